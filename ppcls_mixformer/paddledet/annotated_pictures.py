"""The pictures that an annotation file names: found, opened, and of the sizes that it says."""

import contextlib
import os
import re
import unicodedata
import urllib.parse
from collections import Counter, defaultdict

from tqdm import tqdm

from ppcls_mixformer.hosting import pictures
from ppcls_mixformer.hosting.errors import first_line
from ppcls_mixformer.paddledet.annotation_file import leave_out, size_in, without
from ppcls_mixformer.predict import sources

PATIENCE = 2  # seconds before a progress bar shows
# What `repair_names` says of names of pictures.
FOLDERS = "have \\ in their file_name, which is read as /"
ACCENTS = "have accents in their file_name that their file spells in the other way"
ELSEWHERE = "name a folder in their file_name that is not there, and are found without it"
ALIKE = "have a file_name that lacks its ending or is in another case, and are found as the one that fits"


def name_in_coco(image):
    """The folder and name of the picture of an entry of LVIS, such as `train2017/x.jpg`.

    One without an address, `coco_url`, has the name of a file there or in `file_name`.
    """
    name = image.get("coco_url") or image["file_name"]
    return os.path.join(*name.split("/")[-2:]) if "://" in name else name


def complete_names(file, metric):
    """Has an entry of `images` without the name that `metric` reads take the one that the other has."""
    key, other = ("coco_url", "file_name") if metric == "LVIS" else ("file_name", "coco_url")
    nameless = [image for image in file.content["images"] if not image.get(key)]
    lacking = [image for image in nameless if image.get(other) and isinstance(image[other], str)]
    for image in lacking:
        image[key] = name_in_coco({**image, key: None})
    file.note(lacking, f"have no {key}: their {other} is taken", "images")


def finder(folder, metric):
    """A function that gives the path, in `folder`, of the picture of an entry of `images`."""
    name = name_in_coco if metric == "LVIS" else (lambda i: i.get("file_name") or name_in_coco(i))
    return lambda image: os.path.join(folder, name(image))


def spellings(name):
    """Other spellings of a picture's name, likely ones first.

    Folders are as Windows writes them, accents as macOS does; what stands in front may be a place in the
    program that has written the file, or on the machine that it ran on.
    """
    parts = re.split(r"/|\?d=", name.replace("\\", "/"))  # Label Studio's own folders are behind ?d=
    for place in range(len(parts)):
        rest = "/".join(parts[place:])
        for text in dict.fromkeys((rest, urllib.parse.unquote(rest))):
            yield from dict.fromkeys(unicodedata.normalize(form, text) for form in ("NFC", "NFD"))


class Folders:
    """The pictures in folders, each of which is listed once."""

    def __init__(self):
        self._listed = {}

    def alike(self, path):
        """The name of the one picture that is that of `path` in another case, or where `path` has no ending.

        Another format is another picture: masks have the names of pictures, and the size.
        """
        folder, name = os.path.split(path)
        if folder not in self._listed:
            self._listed[folder] = defaultdict(list)
            with contextlib.suppress(OSError, ValueError):
                for entry in os.listdir(folder or "."):
                    if entry.lower().endswith(sources.SUFFIXES):
                        for key in {_plain(entry), _plain(entry).rpartition(".")[0]}:
                            self._listed[folder][key].append(entry)
        found = self._listed[folder].get(_plain(name), [])
        return found[0] if len(found) == 1 else None


def _plain(name):
    """A name in the one spelling of all that are compared."""
    return re.sub(r"\.jpeg$", ".jpg", unicodedata.normalize("NFC", name.strip()).casefold())


def find_spelling(image, path_of, folders, key="file_name"):
    """The name by which the picture of an entry of `images` is there, or None.

    It is one of `spellings` of the entry's, or else one of the `alike`.

    Args:
        folders: a `Folders`.
        key: where the entry has the name.
    """
    entries = [{**image, key: spelling} for spelling in spellings(image[key])]
    for entry in entries:
        if os.path.isfile(path_of(entry)):
            return entry[key]
    for entry in entries:
        name = folders.alike(path_of(entry))
        if name:
            return os.path.join(os.path.dirname(entry[key]), name)
    return None


def repair_names(file, path_of, key="file_name"):
    """Has names of pictures, the `key` of their entries, be spelt as their files are, see `find_spelling`."""
    names, folders = {}, Folders()
    for image in file.content["images"]:
        if not os.path.exists(path_of(image)):
            names[id(image)] = find_spelling(image, path_of, folders, key)
    spelt = [names.get(id(image)) or image[key] for image in file.content["images"]]
    counts, repaired = Counter(map(str, spelt)), defaultdict(list)
    for image, spelling in zip(file.content["images"], spelt):
        if not names.get(id(image)):
            continue
        straight = image[key].replace("\\", "/")
        own, other = (unicodedata.normalize("NFC", name) for name in (straight, spelling))
        if own != other:
            if counts[spelling] > 1:  # of two that are not there, whose picture is it?
                continue
            is_alike = os.path.basename(urllib.parse.unquote(own)) != os.path.basename(other)
            repaired[ALIKE if is_alike else ELSEWHERE].append(image)
        else:
            repaired[FOLDERS] += [image] if straight != image[key] else []
            repaired[ACCENTS] += [image] if straight != spelling else []
        image[key] = spelling
    for text in (FOLDERS, ACCENTS, ELSEWHERE, ALIKE):
        file.note(repaired[text], text, "images")


def check_pictures(file, path_of):
    """Opens every picture: leaves out the missing ones, notes sizes that the file lacks.

    Args:
        path_of: the path of the picture that an entry of `images` is of.

    Raises:
        UserError: all are missing; some cannot be read or have another size than the file says.
    """
    missing, unreadable, unsized, others = [], [], [], []
    images = file.content["images"]
    for image in tqdm(images, "pictures", unit="", delay=PATIENCE, disable=None, leave=False):
        path, said = path_of(image), size_in(image)
        try:
            size, stored, is_turned = pictures.read_size(path)
        except FileNotFoundError:
            missing.append(image)
            continue
        except (ValueError, OSError) as error:  # Unreadable is one, and so is a name that no file can have
            unreadable.append((path, first_line(error)))
            continue
        file.turned += [image] if is_turned else []
        if said is None:
            unsized.append(image)
            image["width"], image["height"] = size
        elif said != size:
            others.append((path, size, said, stored))
    _say_of_pictures(file, missing, unreadable, others, path_of)
    counts = Counter(path_of(image) for image in file.content["images"])
    shared = [image for image in file.content["images"] if counts[path_of(image)] > 1]
    file.note(shared, "are of a picture that another one is of, too, each with objects of its own", "images")
    file.note(unsized, "have no width and height: those of the files are taken", "images")
    if missing:
        text = f"have no picture file, such as {path_of(missing[0])}, and are left out with their annotations"
        file.note(missing, text, "images", left_out=True)
    file.content["images"] = without(file.content["images"], missing)
    gone = {image["id"] for image in missing}
    leave_out(file, [a for a in file.content["annotations"] if a["image_id"] in gone])


def _say_of_pictures(file, missing, unreadable, others, path_of):
    total = len(file.content["images"])
    if len(missing) == total:
        file.refuse(f"names {total} pictures, none of which is there; the first is {path_of(missing[0])}")
    wrong = []
    if unreadable:
        path, why = unreadable[0]
        wrong.append(f"names {len(unreadable)} of {total} pictures that cannot be read, first {path}: {why}")
    if others:
        path, size, said, stored = others[0]
        turned = ", as before the turn that its EXIF asks for, which readers make" if said == stored else ""
        wrong.append(
            f"says another size than {len(others)} of {total} pictures have, to which their boxes do not "
            f"belong: {path} is {size[0]}×{size[1]}, the file says {said[0]}×{said[1]}{turned}"
        )
    if wrong:
        file.refuse("; it ".join(wrong))
