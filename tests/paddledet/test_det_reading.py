"""What PaddleDetection cannot read or transform ends a run with the file, or is left out and named."""

import os
import re
import shutil
from pathlib import Path

import pytest
from commands import error_line
from det_tools import DETECTOR, KEYPOINTS, command_line, tool
from PIL import Image

from ppcls_mixformer.hosting.errors import UserError

DECODE = "{Decode: {}}, {Resize: {target_size: [64, 64], keep_ratio: false}}"
BAD = "000000000005.jpg"


@pytest.fixture
def copied(scenes, tmp_path):
    """The scenes once more, for a test to change."""
    return shutil.copytree(scenes, tmp_path / "copied")


@pytest.fixture
def broken(copied):
    """The scenes with one damaged picture in training."""
    picture = copied / "train2017" / BAD
    picture.write_bytes(picture.read_bytes()[:1500])
    return copied


@pytest.fixture
def batches(host):
    """Reads all batches of a reader of the scenes in a folder."""

    def read(name, folder, workers, *overrides, config=DETECTOR):
        from ppdet.core.workspace import create

        from ppcls_mixformer.paddledet.config import load

        load(config, command_line(folder, config, *overrides)[3:])
        dataset = create(name.replace("Reader", "Dataset"))()
        return list(zip(range(len(reader := create(name)(dataset, workers))), reader))

    return read


def transforms(name, *entries):
    return f"{name}.sample_transforms=[{', '.join(entries)}]"


@pytest.fixture
def failing():
    """Adds a transform `Fail` to PaddleDetection, which raises an exception at one picture."""
    from ppdet.data import transform
    from ppdet.data.transform.operators import BaseOperator

    class Fail(BaseOperator):
        def __init__(self, kind):
            super().__init__()
            self.error = {error.__name__: error for error in (IndexError, OSError, MemoryError)}[kind]

        def apply(self, sample, context=None):
            if sample["im_id"] == int(Path(BAD).stem):
                raise self.error("no more")
            return sample

    Fail.__module__ = "ppdet.data.transform.own"
    transform.Fail = Fail
    yield
    del transform.Fail


@pytest.mark.parametrize("workers, shared", [(0, "false"), (2, "false"), (2, "true")])
def test_a_damaged_picture_is_named_at_once(broken, batches, workers, shared, capfd):
    settings = [f"TrainReader.use_shared_memory={shared}", transforms("TrainReader", DECODE)]
    with pytest.raises(
        UserError, match=f"^TrainReader: {broken}/train2017/{BAD} cannot be read: .*truncated"
    ):
        batches("TrainReader", broken, workers, *settings)
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "kind, said",
    [
        ("IndexError", "Fail fails on PATH: IndexError: no more"),
        ("MemoryError", "Fail fails on PATH: MemoryError: no more"),
        ("OSError", "PATH cannot be read: no more"),
    ],
)
def test_a_transform_that_fails_is_named_with_the_file(scenes, batches, failing, workers, kind, said):
    with pytest.raises(UserError) as refusal:
        batches(
            "TrainReader", scenes, workers, transforms("TrainReader", DECODE, f"{{Fail: {{kind: {kind}}}}}")
        )
    assert str(refusal.value) == "TrainReader: " + said.replace("PATH", f"{scenes}/train2017/{BAD}")


def test_of_mixed_pictures_the_damaged_one_is_named(broken, batches):
    settings = [transforms("TrainReader", "{Decode: {}}", "{Mixup: {}}"), "TrainReader.mixup_epoch=9"]
    with pytest.raises(UserError, match=f"/{BAD} cannot be read"):
        batches("TrainReader", broken, 0, *settings, "TrainReader.batch_size=1")


@pytest.mark.parametrize("workers", [0, 2])
def test_pictures_that_make_no_batch_are_one_line(copied, batches, workers):
    Image.new("RGB", (50, 50)).save(copied / "train2017" / BAD)
    with pytest.raises(
        UserError, match="^TrainReader: joining a batch fails on .*.jpg and 1 more: .* same shape"
    ):
        batches("TrainReader", copied, workers, transforms("TrainReader", "{Decode: {}}"))


@pytest.mark.parametrize("workers", [0, 2])
def test_keypoints_name_the_damaged_picture(broken, batches, workers):
    for picture in (broken / "train2017").iterdir():
        picture.write_bytes(picture.read_bytes()[:1500])
    with pytest.raises(UserError, match=rf"^TrainReader: {broken}/train2017/\d+.jpg cannot be read: .*trunc"):
        batches("TrainReader", broken, workers, config=KEYPOINTS)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "verb, reader", [("train", "TrainReader"), ("eval", "EvalReader")], ids=["training", "evaluation"]
)
def test_a_command_ends_in_one_line(scenes, files, tmp_path, verb, reader, workers):
    settings = [f"weights={files}/b0.pdparams"] if verb == "eval" else []
    settings += [f"worker_num={workers}", f"save_dir={tmp_path}", transforms(reader, "{Permute: {}}")]
    log = tool(verb, scenes, DETECTOR, *settings, check=False)
    assert re.match(
        rf"error: {reader}: Permute fails on {scenes}/\w+/\d+.jpg: KeyError: 'image'", error_line(log)
    )


@pytest.fixture
def folder(scenes, tmp_path):
    """Pictures of which some cannot be read."""
    good = sorted((scenes / "val2017").iterdir())
    folder = tmp_path / "pictures"
    (folder / "folder.jpg").mkdir(parents=True)
    for name, source in (("a.jpg", good[0]), ("z.jpg", good[1]), ("folder.jpg/inside.jpg", good[2])):
        shutil.copy(source, folder / name)
    (folder / "half.jpg").write_bytes(good[3].read_bytes()[:2000])
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("no picture")
    (folder / "link.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(folder / "pipe.jpg")
    Image.new("RGB", (2000, 2)).save(folder / "flat.png")  # nothing is left of it, resized
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("config", [DETECTOR, KEYPOINTS])
def test_infer_does_the_other_pictures_and_names_the_bad_ones(scenes, files, folder, tmp_path, config):
    flags = ["--infer_dir", folder, "--output_dir", tmp_path / "drawn"]
    log = tool("infer", scenes, config, f"weights={files}/b0.pdparams", flags=flags, check=False)
    bad = {"folder.jpg", "half.jpg", "empty.jpg", "text.jpg", "link.jpg", "pipe.jpg"}
    bad |= {"flat.png"} if config == DETECTOR else set()
    warnings = [line for line in log.split("\n") if "warning: " in line]
    assert {name for name in bad if any(f"{folder}/{name}" in line for line in warnings)} == bad
    assert f"error: {len(bad)} of 9 pictures have no answer" in error_line(log)
    done = {path.name for path in folder.iterdir()} - bad
    assert {path.name for path in (tmp_path / "drawn").iterdir()} == done and {"a.jpg", "z.jpg"} <= done
