"""Packages on npm: kept where their hash is the pinned one, and one line otherwise."""

import base64
import hashlib
import io
import socket
import tarfile
import threading
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler

import pytest

from ppcls_mixformer.hosting import npm, source
from ppcls_mixformer.hosting.errors import UserError, masked


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setattr(source, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache/npm"


@pytest.fixture
def registry(monkeypatch, tmp_path):
    """Folder of a registry, to which `npm.VARIABLE` points."""
    folder = tmp_path / "registry"
    folder.mkdir()
    with HTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv(npm.VARIABLE, f"http://127.0.0.1:{server.server_port}/")
        yield folder
        server.shutdown()


def publish(registry, content=b"export {}"):
    """A package with one file, put into the registry."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("package/dist/a.js")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    package = npm.Package("some", "1.0.0", hashlib.sha256(buffer.getvalue()).hexdigest())
    (registry / "some/-").mkdir(parents=True, exist_ok=True)
    (registry / "some/-" / package.tarball).write_bytes(buffer.getvalue())
    return package


def files(cache):
    return [path.name for path in cache.glob("*")]


def test_a_package_is_fetched_once_and_read(cache, registry):
    package = publish(registry)
    assert list(npm.read(npm.fetch(package), ["dist/a.js"])) == [b"export {}"]
    (registry / "some/-" / package.tarball).unlink()
    assert npm.fetch(package) == cache / "some-1.0.0.tgz"


def test_a_damaged_file_in_the_cache_is_fetched_again(cache, registry):
    package = publish(registry)
    npm.fetch(package).write_bytes(b"half")
    assert list(npm.read(npm.fetch(package), ["dist/a.js"])) == [b"export {}"]


def test_another_file_than_the_pinned_one_is_not_kept(cache, registry):
    package = publish(registry)
    publish(registry, b"fetch('http://elsewhere')")
    with pytest.raises(UserError, match=f"not the pinned {package.sha256}: .* it was not kept$"):
        npm.fetch(package)
    assert not files(cache)


def test_a_package_that_is_not_there_is_one_line(cache, registry):
    with pytest.raises(UserError, match=r"cannot download http://.*: HTTP Error 404.* Put it at .*tgz by"):
        npm.fetch(npm.Package("other", "1.0.0", "0"))
    assert not files(cache)


@pytest.mark.parametrize("address", ["http://127.0.0.1:{port}", "no address", "ftp://"])
def test_without_a_network_it_is_one_line(cache, monkeypatch, address):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv(npm.VARIABLE, address.format(port=port))
    with pytest.raises(UserError, match="^cannot download .* or name a mirror of npm in") as error:
        npm.fetch(npm.Package("some", "1.0.0", "0"))
    assert "\n" not in error.value.args[0] and not files(cache)


class Guarded(SimpleHTTPRequestHandler):
    """Files for those who know the password."""

    def do_GET(self):
        if self.headers["Authorization"] == "Basic " + base64.b64encode(b"me:p@ss").decode():
            return super().do_GET()
        return self.send_error(401)


def test_a_registry_with_a_password_is_asked_with_it_and_it_is_not_shown(
    cache, monkeypatch, tmp_path, capsys
):
    package = publish(tmp_path / "registry")
    with HTTPServer(("127.0.0.1", 0), partial(Guarded, directory=tmp_path / "registry")) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{server.server_port}"
        monkeypatch.setenv(npm.VARIABLE, f"http://me:wrong@{host}")
        with pytest.raises(UserError) as error:
            npm.fetch(package)
        assert str(error.value).startswith(
            f"cannot download http://***@{host}/some/-/some-1.0.0.tgz: HTTP Error 401"
        )
        monkeypatch.setenv(npm.VARIABLE, f"http://me:p%40ss@{host}")
        with pytest.raises(UserError, match=r"^http://\*\*\*@127.* not the pinned") as error:
            npm.fetch(package._replace(sha256="0"))
        assert npm.fetch(package).is_file()
        server.shutdown()
    assert "ss@" not in str(error.value) + capsys.readouterr().out


@pytest.mark.parametrize(
    "text, shown",
    [
        ("at 'https://me:p@ss@host/a': no", "at 'https://***@host/a': no"),
        ("http://me@host, ftp://a:b@c:1", "http://***@host, ftp://***@c:1"),
        ("http://host/a@b and http://host?mail=a@b", "http://host/a@b and http://host?mail=a@b"),
    ],
)
def test_passwords_are_masked_in_every_message(text, shown):
    assert str(UserError(text)) == masked(text) == shown
