r"""Whether saliency points at the object: the pointing game (arXiv 1608.00507) on cluttered digits.

    python benchmarks/pointing_game.py --write dataset/cluttered
    python -m ppcls_mixformer prepare dataset/cluttered --model MixFormer_B0 --size 40 \
        --output dataset/pointing
    python -m ppcls_mixformer train -c dataset/pointing/MixFormer_B0_pointing.yaml
    python benchmarks/pointing_game.py --weights output/pointing/MixFormer_B0/best_model.pdparams

A scene is a dark square with one of scikit-learn's digits at a random place, among pieces of other digits.
The digits of the scenes that are looked at are held out of training. A map hits if its greatest value is
inside of the digit's box; maps are those of the scene's true class. The share of the scene that the box fills
is what a map without any knowledge would hit.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

SIDE, INK, PIECE = 40, 20, 6  # of a scene, a digit and a piece, pixels
PIECES = 8  # in a scene
TRAINING = 3000  # scenes
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of PaddleClas's configs
BATCH = 20


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument(
        "--write", type=Path, metavar="FOLDER", help="writes scenes to train on, a folder a digit"
    )
    task.add_argument(
        "--weights", help="of a MixFormer_B0 that was trained on them, .pdparams: plays the game"
    )
    parser.add_argument("--scenes", type=int, default=400, help="held-out ones")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    if arguments.write:
        write(arguments.write, "train", scenes(TRAINING, held_out=False, seed=1))
        write(arguments.write, "val", scenes(arguments.scenes, held_out=True, seed=2))
    else:
        print(play(arguments.weights, arguments.scenes))


def write(folder, split, found):
    """Writes scenes as `FOLDER/SPLIT/DIGIT/NUMBER.png`."""
    from PIL import Image

    for number, (scene, digit, _) in enumerate(found):
        place = folder / split / str(digit)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene).save(place / f"{number:04d}.png")


def play(weights, count):
    """Markdown: what the maps of a network hit."""
    import paddle
    from tqdm import tqdm

    from ppcls_mixformer import MixFormer_B0

    network = MixFormer_B0(class_num=10, pretrained=weights)
    network.eval()
    found = scenes(count, held_out=True, seed=3)
    right, hits = [], {}
    for start in tqdm(range(0, count, BATCH), desc="scenes", unit="batch"):
        pictures, digits, boxes = map(np.array, zip(*found[start : start + BATCH]))
        predicted, maps = look(network, paddle.to_tensor(normalized(pictures)), digits)
        right.append(predicted == digits)
        for name, values in maps.items():
            hits.setdefault(name, []).append(is_hit(values, boxes))
    hits = {name: np.concatenate(values) for name, values in hits.items()}
    return table(np.concatenate(right), hits, np.array([box for _, _, box in found]))


def scenes(count, held_out, seed):
    """A list of scenes `[SIDE, SIDE]`, their digits, and boxes of the ink: left, top, right, bottom.

    Right and bottom are the first pixels that are not in the box.
    """
    from demo.digits import TRAIN, ordered, picture_of

    random = np.random.RandomState(seed)
    part = slice(TRAIN, None) if held_out else slice(TRAIN)
    known = [
        (np.asarray(picture_of(image).resize((INK, INK))), digit) for image, digit, _ in zip(*ordered())
    ][part]
    found = []
    for _ in range(count):
        ink, digit = known[random.randint(len(known))]
        scene = np.zeros((SIDE, SIDE), np.uint8)
        for _ in range(PIECES):
            put(scene, piece(known[random.randint(len(known))][0], random), random)
        left, top = put(scene, ink, random, clear=True)
        rows, columns = (np.flatnonzero((ink > 64).any(axis)) for axis in (1, 0))
        box = (left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1)
        found.append((scene, digit, box))
    return found


def normalized(pictures):
    """Grey pictures `[N, H, W]` as the network takes them, `[N, 3, H, W]`."""
    mean, std = (np.reshape(numbers, (1, 3, 1, 1)) for numbers in (MEAN, STD))
    return ((pictures[:, None] / 255 - mean) / std).astype("float32")


def piece(ink, random):
    """A square of `ink` at a random place."""
    top, left = random.randint(0, ink.shape[0] - PIECE + 1, 2)
    return ink[top : top + PIECE, left : left + PIECE]


def put(scene, ink, random, clear=False):
    """Adds `ink` to the scene at a random place, or replaces what is there; returns left and top."""
    top, left = random.randint(0, len(scene) - len(ink) + 1, 2)
    place = scene[top : top + len(ink), left : left + len(ink)]
    place[:] = ink if clear else np.maximum(place, ink)
    return left, top


def look(network, images, digits):
    """The predicted digits, and maps `[N, h, w]` by name."""
    from ppcls_mixformer.understand import saliency

    trace = saliency.trace(network, images)
    cams = saliency.grad_cams(trace, digits)
    maps = {f"Grad-CAM, stage {number}": cam for number, cam in enumerate(cams, 1)}
    for number, stage in enumerate(trace.stages, 1):
        maps[f"spatial gates, stage {number}"] = saliency.gates(stage).mean(axis=1)
    return trace.logits.numpy().argmax(axis=1), maps


def is_hit(maps, boxes):
    """Whether the middle of the position of the greatest value is in the box, `[N]`."""
    rows, columns = np.unravel_index(maps.reshape([len(maps), -1]).argmax(axis=1), maps.shape[1:])
    x, y = (columns + 0.5) * SIDE / maps.shape[2], (rows + 0.5) * SIDE / maps.shape[1]
    left, top, right, bottom = boxes.T
    return (left <= x) & (x < right) & (top <= y) & (y < bottom)


def table(right, hits, boxes):
    """Markdown: share of hits of each map, of all scenes and of those that were recognized."""
    area = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / SIDE**2).mean()
    lines = [
        f"{right.sum()} of {len(right)} digits recognized; the box fills {area:.1%} of a scene",
        "",
        "| map | hits, all scenes | hits, recognized |",
        "|---|---|---|",
    ]
    lines += [
        f"| {name} | {found.mean():.1%} | {found[right].mean() if right.any() else float('nan'):.1%} |"
        for name, found in hits.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
