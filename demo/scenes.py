"""Writes small scenes in the layouts of COCO, LVIS v1 and ADE20K; nothing is downloaded.

Each scene is composed of photographs that the scikit-image wheel carries, scikit-learn's handwritten
digits and drawn stick figures, and is labelled to the pixel. A scene depends on its own number only,
not on how many there are. Training and held-out scenes share neither a digit nor a piece of a photograph.

    coco/{train2017,val2017}/*.jpg        picture 1, 2, … for training; 100001, 100002, … held out
    coco/annotations/instances_*.json     digits (categories 1 to 10) and figures (12): boxes and polygons
    coco/annotations/person_*.json        17 keypoints a figure; boxes as a person detector would find them
    coco/annotations/lvis_v1_*.json       the same things, digits with a long tail; validation adds
                                          200001, …, which are held out but lie in train2017, as LVIS has it
    ADEChallengeData2016/                 pictures, class maps (0: unlabelled) and objectInfo.txt
"""

import argparse
from pathlib import Path

from ppcls_mixformer.hosting import cli
from ppcls_mixformer.hosting.whole import whole_folder

from .compose import compose_split
from .layouts import write_ade, write_coco, write_detections, write_lvis

MARK = ".scenes"  # file in a folder that this command wrote, and so may replace


def write_all(folder, train, val):
    """Writes all layouts: `train` training scenes, `val` held-out ones, and for LVIS a quarter more."""
    counts = {"train": train, "val": val, "lvis_val": max(1, val // 4)}
    scenes = {split: compose_split(split, count) for split, count in counts.items()}
    for split in ("train", "val"):
        write_coco(folder / "coco", split, scenes[split])
    write_detections(folder / "coco/annotations/person_detection_results_val2017.json", scenes["val"])
    write_lvis(folder / "coco", scenes["train"], scenes["val"], scenes["lvis_val"])
    write_ade(folder / "ADEChallengeData2016", scenes["train"], scenes["val"])


def main(argv=None):
    """Composes the scenes and puts them in the place of earlier ones, once all are written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("dataset/scenes"))
    parser.add_argument("--train", type=int, default=96, help="training scenes")
    parser.add_argument("--val", type=int, default=32, help="held-out scenes")
    options = parser.parse_args(argv)
    output = options.output.resolve()
    if min(options.train, options.val) < 1:
        parser.error("at least one scene of each kind is needed")
    if output.exists() and not output.is_dir():
        parser.error(f"{output} is a file, and is not replaced")
    if output.exists() and not (output / MARK).is_file() and any(output.iterdir()):
        parser.error(f"{output} holds other files than scenes of this command and is not replaced")
    output.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(output) as new:
        write_all(new, options.train, options.val)
        (new / MARK).touch()


if __name__ == "__main__":
    cli.run(main)
