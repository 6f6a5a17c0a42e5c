"""Keypoints of every person in pictures, drawn as skeletons.

PaddleDetection's own Trainer takes a picture for one person, and cannot draw with today's Matplotlib.
"""

import json
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import paddle
from ppdet.data.transform.keypoint_operators import TopDownAffine
from ppdet.data.transform.operators import NormalizeImage, Permute

from ppcls_mixformer.hosting import pictures as picture_files
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddledet import reading

# Which of COCO's keypoints, counted from 0, a line connects.
EDGES = ((0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12), (11, 12))
EDGES += ((11, 13), (13, 15), (12, 14), (14, 16))


def read_boxes(path, threshold):
    """Boxes of a detector's result file, `{picture's stem: [(x, y, width, height), …]}`.

    The file is JSON as COCO wants it: a list of `image_id` or `filename`, `category_id`, `bbox` and
    `score`. Boxes with a score below `threshold`, or of another class than person, 1, are left out.

    Raises:
        UserError: no such file, or another kind of file.
    """
    try:
        found = json.loads(Path(path).read_text())
        boxes = defaultdict(list)
        for box in found:
            if box["score"] >= threshold and box["category_id"] == 1:
                name = Path(box["filename"]).stem if "filename" in box else f"{box['image_id']:012d}"
                boxes[name].append(tuple(box["bbox"]))
        return boxes
    except OSError as error:
        raise UserError(f"--bbox_file: cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"--bbox_file: {path} is not a detector's result file, a JSON list of image_id, "
            "category_id, bbox and score"
        ) from None


def draw_all(trainer, config, pictures, boxes, threshold, output_dir):
    """Writes each of `pictures` with the skeletons of its persons to `output_dir`; in `reading.leaving_out`.

    Args:
        trainer: of a `TopDownHRNet`, with its weights.
        pictures: paths.
        boxes: as `read_boxes` gives them; None takes each picture for one person.
        threshold: keypoints with a lower score are not drawn.
    """
    trainer.model.eval()
    Path(output_dir).mkdir(parents=True, exist_ok=True)
    for path in pictures:
        try:
            image = picture_files.imread(path)
        except (OSError, picture_files.Unreadable) as error:
            reading.leave_out(path, error)
            continue
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        height, width = image.shape[:2]
        persons = [(0, 0, width, height)] if boxes is None else boxes.get(Path(path).stem, [])
        for person in persons:
            draw(image, find_keypoints(trainer.model, config, image, person), threshold)
        target = Path(output_dir) / Path(path).name
        cv2.imwrite(str(target), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        print(f"{target}: {len(persons)} persons")


def find_keypoints(model, config, image, box):
    """Keypoints `[K, 3]` (x, y, score) of the person in `box` of `image`, `[H, W, 3]` uint8."""
    size = config.trainsize
    center, scale = frame(box, size, config.pixel_std)
    none = np.zeros((config.num_joints, 3), "float32")
    record = {"image": image.copy(), "center": center, "scale": scale, "joints_vis": none}
    record |= {"joints": none, "gt_joints": none}  # the latter in develop
    record = Permute()(NormalizeImage(config.global_mean, config.global_std)(TopDownAffine(size)(record)))
    inputs = {name: paddle.to_tensor(record[name]).unsqueeze(0) for name in ("image", "center", "scale")}
    with paddle.no_grad():
        return model(inputs)["keypoint"][0][0][0]


def frame(box, size, pixel_std):
    """Centre and scale of what the network sees: `box`, larger by a quarter and shaped as its input."""
    x, y, width, height = box
    ratio = size[0] / size[1]
    width, height = max(width, height * ratio), max(height, width / ratio)
    center = np.array([x + box[2] / 2, y + box[3] / 2], "float32")
    return center, np.array([width, height], "float32") * 1.25 / pixel_std


def draw(image, keypoints, threshold):
    """Draws a skeleton into `image`: left side orange, right side blue, as seen by the person."""
    points = [tuple(int(round(v)) for v in point[:2]) for point in keypoints]
    drawn = [point[2] >= threshold for point in keypoints]
    width = max(1, min(image.shape[:2]) // 100)
    for first, second in EDGES:
        if drawn[first] and drawn[second]:
            cv2.line(image, points[first], points[second], color(second), width, cv2.LINE_AA)
    for index, point in enumerate(points):
        if drawn[index]:
            cv2.circle(image, point, width + 1, color(index), -1, cv2.LINE_AA)


def color(index):
    """RGB of a keypoint: the nose is yellow, then odd ones are on the left, even ones on the right."""
    return (255, 230, 0) if index == 0 else (255, 120, 0) if index % 2 else (0, 120, 255)
