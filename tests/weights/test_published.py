"""The command `weights`, the SHA-256 that is recorded of a published checkpoint, and mirrors."""

import hashlib

import hostile
import paddle
import pytest
from stand_ins import NAME, files, same, save, send, server, small

from ppcls_mixformer import MixFormer_B1, WeightsError, published
from ppcls_mixformer.hosting.errors import UserError


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A checkpoint of all of MixFormer-B1, under the published name."""
    return save(MixFormer_B1().state_dict(), tmp_path_factory.mktemp("whole") / NAME)


@pytest.fixture
def records(cache):
    return cache.parents[2] / "ppcls_mixformer/weights"


def run(capsys, *argv):
    """What `weights ARGV` prints."""
    published.run_command([str(part) for part in argv])
    return capsys.readouterr().out


def test_a_download_is_recorded_and_compared_from_then_on(cache, records, serve, body):
    serve(lambda handler: send(handler, body))
    small(pretrained=True)
    sha256 = hashlib.sha256(body).hexdigest()
    assert (records / f"{NAME}.sha256").read_text() == f"{sha256}  {NAME}\n"
    save({**small().state_dict(), "x": paddle.zeros([1])}, cache / NAME)
    with pytest.raises(
        WeightsError, match=f"^{cache / NAME}: the file has SHA-256 .*, not {sha256}, recorded in"
    ):
        small(pretrained=True)


def test_a_second_download_must_be_the_same_file(cache, serve, body, tmp_path):
    answers = [body, save(small().state_dict(), tmp_path / "other").read_bytes(), body]
    serve(lambda handler: send(handler, answers.pop(0)))
    small(pretrained=True)
    (cache / NAME).unlink()
    with pytest.raises(WeightsError, match="cannot download .* has SHA-256 .* at an earlier download"):
        small(pretrained=True)
    assert not files(cache)
    small(pretrained=True)
    assert (cache / NAME).read_bytes() == body


def test_what_is_refused_is_not_recorded(cache, records, serve, body):
    serve(lambda handler: send(handler, body[:2000]))
    with pytest.raises(WeightsError):
        small(pretrained=True)
    assert not files(records)


def test_a_hostile_download_is_refused_and_has_run_nothing(cache, serve, tmp_path):
    content = {**hostile.runnable(str(tmp_path / "marker")), **hostile.made_up()}
    answers = [b""]
    url = serve(lambda handler: send(handler, answers[0]))
    for name, pickle in content.items():
        answers[0] = pickle
        with pytest.raises(WeightsError, match=url) as refused:
            small(pretrained=True)
        assert "\n" not in refused.value.args[0]
        assert not (tmp_path / "marker").exists() and not files(cache), name


def test_a_mirror_is_asked_instead(cache, monkeypatch, body):
    asked = []
    with server(lambda handler: (asked.append(handler.path), send(handler, body))) as address:
        monkeypatch.setenv("PPCLS_MIXFORMER_MIRROR", f"{address}/models/")
        small(pretrained=True)
    assert asked == [f"/models/{NAME}"] and files(cache) == [NAME]


def test_a_mirror_that_is_no_address_is_named(cache, monkeypatch):
    monkeypatch.setenv("PPCLS_MIXFORMER_MIRROR", "/mnt/models")
    with pytest.raises(WeightsError, match="PPCLS_MIXFORMER_MIRROR=/mnt/models is not an address"):
        small(pretrained=True)


def test_the_list_says_what_is_there(cache, capsys, whole):
    listed = run(capsys)
    assert listed.count("not downloaded") == len(published.NAMES) == 5 and NAME in listed
    run(capsys, "import", whole)
    listed = run(capsys)
    assert f"in {cache / NAME}, SHA-256 {hashlib.sha256(whole.read_bytes()).hexdigest()}" in listed
    assert listed.count("not downloaded") == 4


def test_an_imported_file_is_used(cache, capsys, whole):
    assert "MixFormer_B1: " in run(capsys, "import", whole)
    assert same(MixFormer_B1(pretrained=True), paddle.load(str(whole)))


def test_only_the_published_checkpoint_of_that_name_is_imported(cache, records, tmp_path, capsys, whole):
    other = tmp_path / "MixFormer_B9_pretrained.pdparams"
    other.write_bytes(whole.read_bytes())
    with pytest.raises(UserError, match="MixFormer_B9 is no variant with published weights"):
        run(capsys, "import", other)
    with pytest.raises(WeightsError, match=f"{other} is not a checkpoint of this MixFormer_B2: "):
        run(capsys, "import", other, "--name", "MixFormer_B2")
    with pytest.raises(WeightsError, match="checkpoint not found"):
        run(capsys, "import", tmp_path / "nowhere")
    other.write_bytes(whole.read_bytes()[:-1])
    with pytest.raises(WeightsError, match=f"{other}: not a whole"):
        run(capsys, "import", other, "--name", "MixFormer_B1")
    other.write_bytes(hostile.runnable(str(tmp_path / "marker"))["a call"])
    with pytest.raises(WeightsError, match=f"{other} holds .*mkdir"):
        run(capsys, "import", other, "--name", "MixFormer_B1")
    assert not files(cache) and not files(records) and not (tmp_path / "marker").exists()


def test_verify_checks_names_shapes_and_sha256(cache, capsys, whole):
    assert "no published checkpoint is in" in run(capsys, "verify")
    with pytest.raises(UserError, match="checkpoint not found"):
        run(capsys, "verify", "MixFormer_B1")
    cache.mkdir(parents=True)
    (cache / NAME).write_bytes(whole.read_bytes())
    assert "names and shapes fit" in (first := run(capsys, "verify")) and "is now recorded" in first
    assert "as before" in run(capsys, "verify", "MixFormer_B1")
    save(MixFormer_B1().state_dict(), cache / NAME)
    with pytest.raises(UserError, match="the file has SHA-256"):
        run(capsys, "verify")


def test_verify_refuses_another_network_and_records_nothing(cache, records, capsys, body):
    cache.mkdir(parents=True)
    (cache / NAME).write_bytes(body)
    with pytest.raises(UserError, match="is not a checkpoint of this MixFormer_B1"):
        run(capsys, "verify")
    assert not files(records)
