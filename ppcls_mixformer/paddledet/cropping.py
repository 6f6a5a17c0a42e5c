"""Masks of a cropped picture: polygons cut at the borders of a rectangle."""

import functools

import numpy as np

SMALLEST = 1e-3  # square pixels of a part that counts


def cutting_polygons(original):
    """`RandomCrop.crop_segms` of PaddleDetection without shapely, which none of its requirements brings."""

    @functools.wraps(original)
    def crop_segms(self, segms, valid_ids, crop, height, width):
        chosen = [segms[number] for number in valid_ids]
        if not all(isinstance(polygons, list) for polygons in chosen):
            return original(self, segms, valid_ids, crop, height, width)
        return [crop_polygons(polygons, crop) for polygons in chosen]

    return crop_segms


def crop_polygons(polygons, crop):
    """The parts of polygons, `[x, y, …]` each, that are in a crop; their places count from its corner.

    One that leaves the crop and comes back stays one, with edges along the border, which have no area.

    Args:
        polygons: of one object.
        crop: `(left, top, right, bottom)`.
    """
    corner = np.array(crop[:2], "float64")
    parts = []
    for polygon in polygons:
        points = np.array(polygon, "float64").reshape([-1, 2]) - corner
        for axis, side in enumerate(np.array(crop[2:]) - corner):
            points = _cut(_cut(points, axis, 0.0, 1), axis, side, -1)
        if len(points) >= 3 and _area(points) > SMALLEST:
            parts.append(points.reshape(-1).tolist())
    return parts


def _cut(points, axis, border, direction):
    """The corners, `[N, 2]`, of what is left of a polygon on one side of a line across an axis."""
    values = points[:, axis]
    following, later = np.roll(points, -1, axis=0), np.roll(values, -1)
    inside = direction * (values - border) >= 0
    crossing = inside != np.roll(inside, -1)
    lengths = np.where(crossing, later - values, 1)
    crossed = points + (following - points) * ((border - values) / lengths)[:, None]
    crossed[:, axis] = border  # exactly
    return np.stack([points, crossed], 1)[np.stack([inside, crossing], 1)]


def _area(points):
    x, y = points.T
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
