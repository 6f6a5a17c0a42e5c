"""Keypoints of annotations, and the class that names them."""

from collections import Counter

from ppcls_mixformer.paddledet.annotation_file import (
    FARTHEST,
    FIRST,
    TOLERANCE,
    leave_out,
    numbers_in,
    size_in,
)

VISIBLE = 2  # the largest flag of a keypoint


def keep_class_of_joints(file):
    """Leaves one class, that which names its keypoints, and its annotations."""
    categories = file.content["categories"]
    named = [category for category in categories if category.get("keypoints")] or categories
    if len(named) > 1:
        some = ", ".join(str(category["name"]) for category in named[:FIRST])
        remedy = "name those of one" if named is categories else "leave one of these classes"
        file.refuse(
            f"has {len(named)} classes, this network learns the keypoints of one: {remedy}, in its entry "
            f"`keypoints` ({some}{', …' if len(named) > FIRST else ''})"
        )
    names = named[0].get("keypoints") or []
    are_texts = isinstance(names, list) and all(type(name) in (str, int) for name in names)
    if not are_texts or len({str(name) for name in names}) < len(names):
        file.refuse(f"has a class {named[0]['name']} whose `keypoints` are no list of different names")
    file.content["categories"] = named
    annotations = file.content.get("annotations") or []
    others = [a for a in annotations if len(categories) > 1 and a["category_id"] != named[0]["id"]]
    if others:
        file.note(others, f"are of other classes than {named[0]['name']}, and are left out", left_out=True)
        leave_out(file, others)


def number_of_joints(content):
    """How many keypoints a person has: as many as its class names, or else most persons; None if unknown."""
    names = content["categories"][0].get("keypoints")
    if names:
        return len(names)
    all_keypoints = (annotation.get("keypoints") for annotation in content.get("annotations") or ())
    lengths = Counter(
        len(keypoints) for keypoints in all_keypoints if keypoints and isinstance(keypoints, list)
    )
    return lengths.most_common(1)[0][0] // 3 if lengths else None


def complete_keypoints(file):
    """Has every person have keypoints; one without any is a box whose keypoints nobody labelled."""
    annotations = file.content["annotations"]
    _flatten_keypoints(file)
    count = number_of_joints(file.content) or 0
    lacking = [annotation for annotation in annotations if not annotation.get("keypoints")]
    file.note(lacking, "have no keypoints: they count as not labelled")
    for annotation in lacking:
        annotation["keypoints"] = [0] * 3 * count
    wrong, far, unknown, miscounted, outside, corner, largest = [], [], [], [], [], [], 0
    sizes = {image["id"]: size_in(image) for image in file.content["images"]}
    labelled = beyond = 0
    for annotation in annotations:
        numbers = numbers_in(annotation["keypoints"])
        if numbers is None or len(numbers) != 3 * count or min(numbers[2::3], default=0) < 0:
            wrong.append(annotation)
            continue
        far += [annotation] if max(map(abs, numbers), default=0) >= FARTHEST else []
        unknown += [annotation] if max(numbers[2::3], default=0) > VISIBLE else []
        corner += [annotation] if _is_in_the_corner(numbers) else []
        largest = max(largest, *numbers[0::3], *numbers[1::3], 0)
        seen = sum(flag > 0 for flag in numbers[2::3])
        if annotation.get("num_keypoints", seen) != seen:
            miscounted.append(annotation)
        annotation.update(keypoints=numbers, num_keypoints=seen)
        number = count_outside(numbers, sizes[annotation["image_id"]])
        outside += [annotation] if number else []
        labelled, beyond = labelled + seen, beyond + number
    file.refuse_any(
        wrong, f"have keypoints other than {3 * count} numbers, x, y and a flag for each of {count}"
    )
    if not wrong:
        _refuse_astray(file)
    file.refuse_any(far, "have a keypoint farther away than any picture is wide")
    file.refuse_any(
        unknown,
        f"have a keypoint with a flag above {VISIBLE}: COCO's are 0 for not labelled, 1 for hidden and 2 for "
        "visible",
    )
    if 0 < largest <= 1:
        file.refuse("has no keypoint beyond one pixel: COCO's are in pixels, not in shares of the picture")
    if 2 * beyond > labelled:
        file.refuse(
            f"cannot be used: {beyond} of {labelled} labelled keypoints are outside of their pictures: are "
            f"these of another size?{file.first_ids(outside)}"
        )
    file.note(outside, "have a labelled keypoint outside of the picture")
    file.note(
        corner, "have a keypoint at 0, 0 that counts as labelled: if nobody labelled it, its flag should be 0"
    )
    file.note(miscounted, "have another num_keypoints than flags above 0: it is counted anew")


def _flatten_keypoints(file):
    """Has keypoints be `x, y, flag, …` with no lists in it, and those without a place be unlabelled."""
    nested, placeless = [], []
    for annotation in file.content["annotations"]:
        found = annotation.get("keypoints")
        if not isinstance(found, list) or numbers_in(found) is not None:
            continue
        if any(isinstance(joint, list) for joint in found):
            joints = [[None] * 3 if joint is None else joint for joint in found]
            if not all(isinstance(joint, list) and len(joint) == 3 for joint in joints):
                continue
            nested.append(annotation)
        elif len(found) % 3 or not any(_is_missing(value) for value in found):
            continue
        else:
            joints = [found[place : place + 3] for place in range(0, len(found), 3)]
        missing = [any(map(_is_missing, joint[:2])) for joint in joints]
        placeless += [annotation] if any(missing) else []
        annotation["keypoints"] = sum(([0] * 3 if m else joint for m, joint in zip(missing, joints)), [])
    file.note(nested, "have a list around each keypoint, which is taken away")
    file.note(placeless, "have keypoints whose x or y is null or NaN: these count as not labelled")


def _refuse_astray(file):
    """Refuses boxes of persons most of which are elsewhere than their keypoints."""
    persons = [annotation for annotation in file.content["annotations"] if annotation["num_keypoints"]]
    astray = [person for person in persons if _is_astray(person)]
    if 2 * len(astray) > len(persons):
        file.refuse_any(
            astray,
            "have most of their keypoints outside of their box: COCO's are [x, y, width, height] from the "
            "left upper corner",
        )


def _is_astray(person):
    """Whether most of the labelled keypoints of a person are outside of the person's box."""
    x, y, width, height = person["bbox"]
    numbers = person["keypoints"]
    return 2 * count_outside([*shifted(numbers, x, y)], (width, height)) > person["num_keypoints"]


def shifted(keypoints, x, y):
    """`x, y, flag, …` as they are counted from a point of the picture."""
    for place in range(0, len(keypoints), 3):
        yield from (keypoints[place] - x, keypoints[place + 1] - y, keypoints[place + 2])


def _is_in_the_corner(keypoints):
    """Whether a labelled one of `x, y, flag, …` is at 0, 0, where many tools have those without a place."""
    if 0 not in keypoints[0::3]:
        return False
    joints = zip(keypoints[0::3], keypoints[1::3], keypoints[2::3])
    return any(x == 0 == y and flag > 0 for x, y, flag in joints)


def _is_missing(value):
    """Whether a value is null or NaN, which alone differs from itself."""
    return value is None or value != value


def count_outside(keypoints, size):
    """How many labelled ones of `x, y, flag, …` are outside of a picture of `size`, which may be None."""
    xs, ys, flags = (keypoints[place::3] for place in range(3))
    if size is None or not flags:
        return 0
    low, right, bottom = -TOLERANCE, size[0] + TOLERANCE, size[1] + TOLERANCE
    if low <= min(xs) and max(xs) <= right and low <= min(ys) and max(ys) <= bottom:
        return 0
    points = zip(xs, ys, flags)
    return sum(flag > 0 and not (low <= x <= right and low <= y <= bottom) for x, y, flag in points)
