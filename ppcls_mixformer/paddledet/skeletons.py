"""Keypoints of every person in pictures, drawn as skeletons.

PaddleDetection's own Trainer takes a picture for one person, and cannot draw with today's Matplotlib.
"""

from pathlib import Path

import cv2
import numpy as np
import paddle
from ppdet.data.transform.keypoint_operators import TopDownAffine
from ppdet.data.transform.operators import NormalizeImage, Permute

from ppcls_mixformer.hosting import pictures as picture_files
from ppcls_mixformer.hosting.whole import whole_file
from ppcls_mixformer.paddledet import reading
from ppcls_mixformer.paddledet.drawing import draw_skeleton


def draw_all(trainer, config, pictures, boxes, threshold, output_dir):
    """Writes each of `pictures` with the skeletons of its persons to `output_dir`; in `reading.leaving_out`.

    Args:
        trainer: of a `TopDownHRNet`, with its weights.
        pictures: paths.
        boxes: as `boxes.for_drawing` gives them; None takes each picture for one person.
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
        persons = [(0, 0, width, height, 1.0)] if boxes is None else boxes.get(path, [])
        for *box, _ in persons:
            keypoints = find_keypoints(trainer.model, config, image, box)
            draw_skeleton(image, keypoints, config["joints"], threshold)
        target = Path(output_dir) / Path(path).name
        with whole_file(target) as part:
            part.write_bytes(cv2.imencode(target.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes())
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
