"""Whether saliency points at the object: the pointing game (arXiv 1608.00507) on digits.

    python benchmarks/pointing_game.py --weights output/digits/MixFormer_B0/best_model.pdparams

A scene is a grid of scikit-learn's digits, all different, and one of them is asked for (the grid of arXiv
2104.00032). The network is the quick start's, which saw single digits; those of the scenes were held out of
its training. A map hits if its greatest value is in the cell of the digit; maps are those of the digit's
class. The share of the scene that a cell fills is what a map without any knowledge would hit.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of PaddleClas's configs
BATCH = 20


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", required=True, help="of the quick start's MixFormer_B0, .pdparams")
    parser.add_argument("--side", type=int, choices=(2, 3), default=2, help="of the grid, in digits (2)")
    parser.add_argument("--scenes", type=int, default=400, help="(400)")
    arguments = parser.parse_args()
    print(play(arguments.weights, grids(arguments.scenes, arguments.side, seed=3)))


def play(weights, found):
    """Markdown: what the maps of a network with these weights hit in the scenes `found`, see `grids`."""
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
    left, top, right_end, bottom = found[0][2]
    area = (right_end - left) * (bottom - top) / side**2
    return table(np.concatenate(right), hits, area)


def grids(count, side, seed):
    """A list of scenes `[H, W]` of `side` x `side` digits, with the digit asked for and the box of its cell.

    A box is left, top, right, bottom, in pixels; right and bottom are the first that are not in it.
    """
    from demo.digits import SIDE, TRAIN, ordered, picture_of

    random = np.random.RandomState(seed)
    images, digits, _ = (part[TRAIN:] for part in ordered())
    found = []
    for _ in range(count):
        classes = random.permutation(10)[: side * side]
        chosen = [random.choice(np.flatnonzero(digits == digit)) for digit in classes]
        cells = [np.asarray(picture_of(images[index])) for index in chosen]
        asked = random.randint(side * side)
        top, left = np.array(divmod(asked, side)) * SIDE
        box = (left, top, left + SIDE, top + SIDE)
        rows = [cells[start : start + side] for start in range(0, side * side, side)]
        found.append((np.block(rows), classes[asked], box))
    return found


def normalized(pictures):
    """Grey pictures `[N, H, W]` as the network takes them, `[N, 3, H, W]`."""
    mean, std = (np.reshape(numbers, (1, 3, 1, 1)) for numbers in (MEAN, STD))
    return ((pictures[:, None] / 255 - mean) / std).astype("float32")


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
        f"{right.sum()} of {len(right)} scenes are taken for the digit; a cell fills {area:.1%} of a scene",
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
