"""Where PaddleClas comes from: the order, pip and git against local and broken sources, the command."""

import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import venv
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from ppcls_mixformer import VARIANTS, __main__
from ppcls_mixformer.hosting import fetch, source, whole
from ppcls_mixformer.hosting.errors import UserError

ROOT = Path(__file__).parents[2]
HOST = __main__.HOSTS["paddleclas"]
ENGINE = "ppcls/engine/engine.py"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home of its own, without a PaddleClas; pip asks no index but what a test gives it."""
    home = tmp_path / "home"
    # Tests before may have registered PaddleClas in this process.
    monkeypatch.setattr(sys, "path", [part for part in sys.path if not Path(part, "ppcls").is_dir()])
    for name in [name for name in sys.modules if name.split(".")[0] == "ppcls"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("PADDLECLAS_HOME", raising=False)
    return home


@pytest.fixture
def links(tmp_path, monkeypatch):
    """The only place where pip looks for wheels."""
    folder = tmp_path / "links"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def make_tree(root, text="", **files):
    """A folder that passes for PaddleClas; `text` is what its trainer holds."""
    for name, content in {ENGINE: text, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def make_wheel(folder, members):
    """A wheel that pip takes for the pinned one; returns its SHA-256."""
    info = "paddlex-2.1.0.dist-info"
    path = folder / "paddlex-2.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: paddlex\nVersion: 2.1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


WHEEL_TREE = {f"PaddleClas/{ENGINE}": "of the wheel", "paddlex/__init__.py": ""}


@pytest.fixture
def wheel(links, monkeypatch):
    """A small stand-in for the pinned wheel, which pip finds and whose hash is the pinned one."""
    sha256 = make_wheel(links, WHEEL_TREE)
    monkeypatch.setitem(__main__.HOSTS, "paddleclas", replace(HOST, sha256=sha256))


@pytest.fixture(params=["nothing cached", "a tree cached"])
def unchanged(request, home):
    """After the test the cache holds what it held before, and nothing else."""
    if request.param == "a tree cached":
        make_tree(source.cached_tree(HOST), "of an earlier fetch", ORIGIN="somewhere\n")
    before = content(source.CACHE.expanduser())
    yield
    assert content(source.CACHE.expanduser()) == before


def content(folder):
    """Every file below a folder with its text, and every folder."""
    paths = sorted(folder.rglob("*"))
    return {str(p.relative_to(folder)): p.read_text() if p.is_file() else None for p in paths}


def engine():
    return (source.cached_tree(HOST) / ENGINE).read_text()


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs `python -m ppcls_mixformer` in this process; returns what it prints and why it ends, if so.

    An exception that would be a traceback fails the test.
    """

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["ppcls_mixformer", *arguments])
        try:
            __main__.main()
        except SystemExit as end:
            return capsys.readouterr().out, end.code
        return capsys.readouterr().out, None

    return run


def one_line_error(result, *parts):
    _, error = result
    assert isinstance(error, str) and error.startswith("error: ") and "\n" not in error
    for part in parts:
        assert part in error, error


MAIN = "from ppcls_mixformer.__main__ import main; main()"


def process(*arguments, code=MAIN, **environment):
    """The same in a process of its own, which Ctrl-C reaches even where the tests run in the background."""
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n" + code
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    )


def pinned(sha256):
    return (
        "from dataclasses import replace; from ppcls_mixformer import __main__, paddleclas\n"
        f"__main__.HOSTS['paddleclas'] = replace(paddleclas.HOST, sha256={sha256!r})\n"
    )


# The order


def test_a_clone_goes_before_an_importable_tree_before_the_cache(tmp_path, home):
    make_tree(home / "clone")
    make_tree(tmp_path / "importable")
    make_tree(source.cached_tree(HOST))
    (tmp_path / "command only/ppcls").mkdir(parents=True)  # as some wheels install it
    code = f"""
import importlib, os, sys
from ppcls_mixformer import paddleclas
from ppcls_mixformer.hosting import source
print(source.locate(paddleclas.HOST))
sys.path.insert(0, {str(tmp_path / "command only")!r}); importlib.invalidate_caches()
print(source.locate(paddleclas.HOST))
sys.path.insert(0, {str(tmp_path / "importable")!r}); importlib.invalidate_caches()
print(source.locate(paddleclas.HOST))
os.environ["PADDLECLAS_HOME"] = "~/clone"
print(source.locate(paddleclas.HOST))
"""
    output, _ = process(code=code).communicate()
    # Paddle may have warned before.
    assert output.splitlines()[-4:] == [
        *2 * [str(source.cached_tree(HOST))],
        str(tmp_path / "importable"),
        str((home / "clone").resolve()),
    ]


def test_none_at_all_names_both_remedies(command):
    output, error = command()
    assert error is None and "python -m ppcls_mixformer fetch" in output and "PADDLECLAS_HOME" in output


@pytest.mark.parametrize("host", __main__.HOSTS.values(), ids=__main__.HOSTS)
def test_the_remedy_is_a_command_that_fetches_that_host(host, command, monkeypatch, home):
    monkeypatch.delenv(host.home, raising=False)
    monkeypatch.setattr(source.importlib.util, "find_spec", lambda name: None)  # other tests import them
    with pytest.raises(UserError) as error:
        source.locate(host)
    words = re.search("`python -m ppcls_mixformer (.*?)`", str(error.value))[1].split()
    fetched = make_tree(source.cached_tree(host), **{host.mark: ""})
    monkeypatch.setattr(fetch, "fetch_from_pypi", lambda other: fetched if other is host else None)
    output, end = command(*words)
    assert end is None and str(fetched) in output


@pytest.mark.parametrize("folder", ["", "no-such-folder", "home/ppcls"])
def test_a_wrong_paddleclas_home_is_named_even_where_the_cache_has_one(tmp_path, monkeypatch, folder):
    make_tree(source.cached_tree(HOST))
    make_tree(tmp_path / "home")
    wrong = str(tmp_path / folder)
    monkeypatch.setenv("PADDLECLAS_HOME", wrong)
    with pytest.raises(UserError, match=f"PADDLECLAS_HOME={wrong} is not a PaddleClas clone.*unset it"):
        source.locate(HOST)


# From the package index


def test_the_pinned_wheel_from_the_package_index(home):
    """The real one: 1.6 MB with pip as it is set up here."""
    fetched, _ = process("fetch").communicate(timeout=300)
    root = source.cached_tree(HOST)
    assert fetched.endswith(f"PaddleClas 2.3 from paddlex==2.1.0, in {root}\n")
    for name in (ENGINE, "ppcls/data/__init__.py", "tools/train.py"):
        assert (root / name).is_file()
    assert [path.name for path in root.parent.iterdir()] == ["PaddleClas"]
    shown, _ = process(PADDLECLAS_HOME="").communicate()
    assert f"PaddleClas 2.3 from paddlex==2.1.0, in {root}" in shown
    (root / "ORIGIN").unlink()
    assert source.describe(HOST, root) == f"PaddleClas 2.3 or older, in {root}"


def test_a_fetched_tree_is_not_fetched_again(wheel, links, command):
    output, error = command("fetch")
    assert error is None and engine() == "of the wheel" and "already" not in output
    shutil.rmtree(links)
    output, error = command("fetch")
    assert error is None and output.startswith("already there: PaddleClas 2.3 from paddlex==2.1.0")
    (source.cached_tree(HOST) / ENGINE).unlink()
    one_line_error(command("fetch"), "cannot download")  # half a tree does not count


def test_a_fetch_replaces_another_tree(wheel, command):
    make_tree(source.cached_tree(HOST), "of an earlier fetch", ORIGIN="somewhere\n", more="")
    assert command("fetch")[1] is None
    files = {name: text for name, text in content(source.CACHE.expanduser()).items() if text is not None}
    assert files == {
        f"PaddleClas/{ENGINE}": "of the wheel",
        "PaddleClas/ORIGIN": "PaddleClas 2.3 from paddlex==2.1.0\n",
    }


def test_another_file_than_the_pinned_one(unchanged, links, command):
    digest = make_wheel(links, WHEEL_TREE)
    one_line_error(command("fetch"), digest, f"not the pinned {HOST.sha256}", "nothing was unpacked")


def test_no_such_wheel(unchanged, links, command):
    one_line_error(
        command("fetch"), "cannot download paddlex==2.1.0: Could not find", "network", "PADDLECLAS_HOME"
    )


@pytest.mark.parametrize("name", ["../outside", "PaddleClas/../../outside", "/outside"])
def test_a_wheel_with_a_path_outside(unchanged, links, monkeypatch, command, name):
    sha256 = make_wheel(links, {**WHEEL_TREE, name: ""})
    monkeypatch.setitem(__main__.HOSTS, "paddleclas", replace(HOST, sha256=sha256))
    assert "outside would land outside its folder" in command("fetch")[1]


def test_a_broken_wheel(unchanged, links, command):
    make_wheel(links, WHEEL_TREE)
    path = next(links.iterdir())
    path.write_bytes(path.read_bytes()[:200])
    one_line_error(
        command("fetch"), "cannot download paddlex==2.1.0: Wheel 'paddlex'", "is invalid. Check pip"
    )


@pytest.fixture
def silent():
    """Address of a server that accepts and never answers; after 20 seconds it gives up."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        timer = threading.Timer(20, server.close)
        timer.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        timer.cancel()


@pytest.fixture
def refused():
    """Address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}/"


@pytest.mark.parametrize("server", ["refused", "silent"])
def test_an_index_that_cannot_be_reached(unchanged, links, command, monkeypatch, request, server):
    monkeypatch.setattr(source, "PATIENCE", 1)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", request.getfixturevalue(server))
    start = time.monotonic()
    one_line_error(
        command("fetch"), "cannot download paddlex==2.1.0: Could not find", "Check pip, the network"
    )
    assert time.monotonic() - start < 15


def test_a_python_without_pip(unchanged, links, command, tmp_path, monkeypatch):
    venv.create(tmp_path / "bare", with_pip=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare/bin/python"))
    one_line_error(command("fetch"), "cannot download paddlex==2.1.0", "No module named pip")


def test_a_cache_that_cannot_be_written(wheel, command, home):
    (home / ".cache").mkdir(parents=True)
    (home / ".cache/ppcls_mixformer").write_text("a file in the way")
    one_line_error(command("fetch"), f"cannot write to {home}/.cache/ppcls_mixformer")


def test_a_disk_that_fills_up_while_unpacking(unchanged, links):
    sha256 = make_wheel(links, {**WHEEL_TREE, "PaddleClas/zeros": bytes(4 << 20)})
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
    output, _ = process("fetch", code=limit + pinned(sha256) + MAIN).communicate()
    assert "error: cannot write to" in output and "File too large" in output and "Traceback" not in output


def unpacking(links):
    """A process that is unpacking a wheel of 200 MB."""
    sha256 = make_wheel(links, {**WHEEL_TREE, "PaddleClas/zeros": bytes(200 << 20)})
    running = process("fetch", code=pinned(sha256) + MAIN)
    deadline = time.monotonic() + 60
    while not list(source.CACHE.expanduser().glob(f"{whole.PREFIX}*/files/wheel/PaddleClas/zeros")):
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.002)
    return running


def test_an_interrupted_unpack(unchanged, links):
    running = unpacking(links)
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=60)
    assert "error: interrupted; the cache is unchanged" in output and "Traceback" not in output


def test_a_killed_unpack_leaves_the_tree_as_it_was(links):
    make_tree(source.cached_tree(HOST), "of an earlier fetch")
    running = unpacking(links)
    running.kill()
    running.communicate()
    assert list(content(source.cached_tree(HOST))) == ["ppcls", "ppcls/engine", ENGINE]
    assert engine() == "of an earlier fetch"
    with fetch._staging() as folder:  # the next start removes what it had unpacked
        assert {path.name for path in folder.parents[1].iterdir()} == {HOST.name, folder.parent.name}
    shutil.rmtree(source.CACHE.expanduser())  # 200 MB


def test_two_fetches_at_once(links):
    sha256 = make_wheel(links, WHEEL_TREE)
    make_tree(source.cached_tree(HOST), "of an earlier fetch")
    both = [process("fetch", code=pinned(sha256) + MAIN) for _ in range(2)]
    outputs = [running.communicate(timeout=120)[0] for running in both]
    assert [running.returncode for running in both] == [0, 0], outputs
    assert engine() == "of the wheel" and [p.name for p in source.cached_tree(HOST).parent.iterdir()] == [
        HOST.name
    ]


def test_trees_that_are_put_in_place_at_once(tmp_path):
    """The last step of a fetch, two hundred times in eight threads."""
    errors = []

    def install(number):
        try:
            for count in range(25):
                with fetch._staging() as folder:
                    make_tree(folder / HOST.name, f"{number} {count}")
                    fetch._install(HOST, folder / HOST.name, "somewhere")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=install, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and engine().endswith(" 24")
    assert [p.name for p in source.cached_tree(HOST).parent.iterdir()] == [HOST.name]


# From git


def git(folder, *arguments):
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    result = subprocess.run(["git", "-C", str(folder), *who, *arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """A git repository with the branches release/2.4, release/2.5 and, without a trainer, docs."""
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "--quiet")
    for branch in ("release/2.4", "release/2.5"):
        git(root, "checkout", "--quiet", "-b", branch)
        make_tree(root, f"of {branch}")
        git(root, "add", ".")
        git(root, "commit", "--quiet", "--message", branch)
    git(root, "checkout", "--quiet", "-b", "docs")
    git(root, "rm", "--quiet", "-r", "ppcls")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "docs")
    return root


def test_a_release_from_git(repository, command):
    address = f"file://{repository}"
    for release in ("release/2.4", "release/2.5"):
        commit = git(repository, "rev-parse", "--short", release)
        output, error = command("fetch", "--release", release, "--git", address)
        assert error is None
        line = f"PaddleClas {release} from {address}, commit {commit}, in {source.cached_tree(HOST)}"
        assert output.splitlines() == [f"cloning {release} from {address}", line]
        assert engine() == f"of {release}" and not (source.cached_tree(HOST) / ".git").exists()
    shutil.rmtree(repository)
    output, error = command("fetch", "--release", "release/2.5", "--git", address)
    assert error is None and output.startswith(f"already there: {line}")
    assert line in command()[0]


def test_an_unknown_release_lists_those_that_work(unchanged, repository, command):
    one_line_error(
        command("fetch", "--release", "release/9.9", "--git", f"file://{repository}"),
        f"cannot clone release/9.9 from file://{repository}: ",
        "Remote branch release/9.9 not found",
        "Releases that work: release/2.4, release/2.5, release/2.6, develop",
        "leave out --release to fetch from PyPI",
    )


def test_a_repository_that_is_not_paddleclas(unchanged, repository, command):
    result = command("fetch", "--release", "docs", "--git", f"file://{repository}")
    one_line_error(result, f"docs of file://{repository} is not PaddleClas", ENGINE)


@pytest.mark.parametrize("server", ["refused", "silent"])
def test_a_git_address_that_cannot_be_reached(unchanged, command, monkeypatch, request, server):
    monkeypatch.setattr(source, "PATIENCE", 1)
    address = request.getfixturevalue(server)
    start = time.monotonic()
    secret = address.replace("://", "://me:secret@")
    result = command("fetch", "--release", "develop", "--git", secret)
    shown = address.replace("://", "://***@")
    one_line_error(result, f"cannot clone develop from {shown}: ", "unable to access")
    assert f"cloning develop from {shown}" in result[0] and "secret" not in str(result)
    assert time.monotonic() - start < 15


def test_a_git_address_where_nothing_is(unchanged, command, tmp_path):
    result = command("fetch", "--release", "develop", "--git", f"{tmp_path}/nothing")
    one_line_error(result, f"repository '{tmp_path}/nothing' does not exist")


def test_a_machine_without_git(unchanged, repository, command, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = command("fetch", "--release", "release/2.5", "--git", f"file://{repository}")
    one_line_error(result, "git is not installed", "leave out --release to fetch from PyPI")


def test_an_address_without_a_release_is_refused(command):
    assert command("fetch", "--git", "https://example.org/PaddleClas.git")[1] == 2


# What is said


def test_a_clone_is_described_by_its_files_and_by_git(repository, tmp_path, monkeypatch):
    git(repository, "checkout", "--quiet", "release/2.5")
    commit = git(repository, "rev-parse", "--short", "HEAD")
    make_tree(repository, **{HOST.marks["2.4"]: "", HOST.marks["2.5"]: ""})
    assert (
        source.describe(HOST, repository) == f"PaddleClas 2.5 (release/2.5, commit {commit}), in {repository}"
    )
    git(repository, "tag", "v2.5.9")
    git(repository, "checkout", "--quiet", "--detach")
    assert f"PaddleClas 2.5 (tag: v2.5.9, commit {commit})" in source.describe(HOST, repository)
    inside = make_tree(repository / "inside", **{HOST.marks["2.6 or develop"]: ""})
    assert source.describe(HOST, inside) == f"PaddleClas 2.6 or develop, in {inside}"  # not of the outer one
    monkeypatch.setenv("PATH", str(tmp_path))
    assert source.describe(HOST, repository) == f"PaddleClas 2.5, in {repository}"


def test_a_fetch_says_when_another_tree_goes_first(wheel, command, tmp_path, monkeypatch):
    clone = make_tree(tmp_path / "clone")
    monkeypatch.setenv("PADDLECLAS_HOME", str(clone))
    output, error = command("fetch")
    assert error is None and engine() == "of the wheel"
    assert re.search(f"not in use: PADDLECLAS_HOME .*go first, PaddleClas .*, in {clone}", output)


def test_the_variants_are_listed_with_their_published_numbers(command):
    output, _ = command()
    for name, variant in VARIANTS.items():
        weights = "published" if variant.has_weights else "none"
        row = f"{name} {variant.params} {variant.gflops} {variant.top1} {weights}"
        assert row in re.sub(" +", " ", output)


def test_the_command_as_a_module():
    result = subprocess.run(
        [sys.executable, "-m", "ppcls_mixformer"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0 and "MixFormer_B6" in result.stdout and "Traceback" not in result.stderr
