r"""Whether saliency points at the object: the pointing game (arXiv 1608.00507) on digits.

    python benchmarks/pointing_game.py --grid --weights output/digits/MixFormer_B0/best_model.pdparams

    python benchmarks/pointing_game.py --write dataset/cluttered
    python -m ppcls_mixformer prepare dataset/cluttered --model MixFormer_B0 --size 40 \
        --output dataset/pointing
    python -m ppcls_mixformer train -c dataset/pointing/MixFormer_B0_pointing.yaml
    python benchmarks/pointing_game.py --weights output/pointing/MixFormer_B0/best_model.pdparams

With `--grid` a scene is four of scikit-learn's digits, all different, as the quick start trains on them, and
one of the four is asked for (the grid of arXiv 2104.00032). Else it is a dark square with one digit at a
random place, among pieces of other digits, of which a network is trained first. The digits of the scenes that
are looked at are held out of training. A map hits if its greatest value is inside of the digit's box; maps
are those of the digit's class. The share of the scene that the box fills is what a map without any knowledge
would hit.
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
    parser.add_argument("--grid", action="store_true", help="four digits a scene, of the quick start's")
    parser.add_argument("--scenes", type=int, default=400, help="held-out ones")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    if arguments.write:
        write(arguments.write, "train", scenes(TRAINING, held_out=False, seed=1))
        write(arguments.write, "val", scenes(arguments.scenes, held_out=True, seed=2))
    else:
        found = (
            grids(arguments.scenes, seed=3)
            if arguments.grid
            else scenes(arguments.scenes, held_out=True, seed=3)
        )
        print(play(arguments.weights, found))


def write(folder, split, found):
    """Writes scenes as `FOLDER/SPLIT/DIGIT/NUMBER.png`."""
    from PIL import Image

    for number, (scene, digit, _) in enumerate(found):
        place = folder / split / str(digit)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene).save(place / f"{number:04d}.png")


def play(weights, found):
    """Markdown: what the maps of a network hit in the scenes `found`."""
    import paddle
    from tqdm import tqdm

    from ppcls_mixformer import MixFormer_B0

    network = MixFormer_B0(class_num=10, pretrained=weights)
    network.eval()
    side = len(found[0][0])
    right, hits = [], {}
    for start in tqdm(range(0, len(found), BATCH), desc="scenes", unit="batch"):
        pictures, digits, boxes = map(np.array, zip(*found[start : start + BATCH]))
        predicted, maps = look(network, paddle.to_tensor(normalized(pictures)), digits)
        right.append(predicted == digits)
        for name, values in maps.items():
            hits.setdefault(name, []).append(is_hit(values, boxes, side))
        hits.setdefault("the middle", []).append(is_hit(np.zeros([len(boxes), 1, 1]), boxes, side))
    hits = {name: np.concatenate(values) for name, values in hits.items()}
    left, top, right_end, bottom = np.array([box for _, _, box in found]).T
    area = ((right_end - left) * (bottom - top)).mean() / side**2
    return table(np.concatenate(right), hits, area)


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


def grids(count, seed):
    """The same of four digits `[28, 28]` side by side; the digit is one of them, and its box its quarter."""
    from demo.digits import SIDE as quarter
    from demo.digits import TRAIN, ordered, picture_of

    random = np.random.RandomState(seed)
    images, digits, _ = (part[TRAIN:] for part in ordered())
    found = []
    for _ in range(count):
        classes = random.permutation(10)[:4]
        chosen = [random.choice(np.flatnonzero(digits == digit)) for digit in classes]
        parts = [np.asarray(picture_of(images[index])) for index in chosen]
        asked = random.randint(4)
        top, left = np.array(divmod(asked, 2)) * quarter
        box = (left, top, left + quarter, top + quarter)
        found.append((np.block([parts[:2], parts[2:]]), classes[asked], box))
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


def is_hit(maps, boxes, side):
    """Whether the middle of the position of the greatest value is in the box, `[N]`."""
    rows, columns = np.unravel_index(maps.reshape([len(maps), -1]).argmax(axis=1), maps.shape[1:])
    x, y = (columns + 0.5) * side / maps.shape[2], (rows + 0.5) * side / maps.shape[1]
    left, top, right, bottom = boxes.T
    return (left <= x) & (x < right) & (top <= y) & (y < bottom)


def table(right, hits, area):
    """Markdown: share of hits of each map, in all scenes and in those that are taken for the digit."""
    lines = [
        f"{right.sum()} of {len(right)} scenes are taken for the digit; its box fills {area:.1%} of a scene",
        "",
        "| map | hits, all scenes | hits, taken for it |",
        "|---|---|---|",
    ]
    lines += [
        f"| {name} | {found.mean():.1%} | {found[right].mean() if right.any() else float('nan'):.1%} |"
        for name, found in hits.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
