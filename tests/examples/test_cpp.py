"""The C++ example: its preprocessing equals Pillow's bit for bit, its scores those of ONNX Runtime in Python.

The preprocessing needs a C++ compiler; the example itself also ONNX Runtime's headers, which Python's package
does not have, and its library, which it has. ONNXRUNTIME_INCLUDE and ONNXRUNTIME_LIB name their folders.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from commands import HAS_ONNX, ROOT
from PIL import Image

from ppcls_mixformer import Classifier
from ppcls_mixformer.hosting import onnx

COMPILER = shutil.which(os.environ.get("CXX", "c++"))
HEADER = "onnxruntime_cxx_api.h"
PLACES = [Path(root) for root in ("/usr", "/usr/local", "/opt/homebrew")]
FILTERS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
NORMALIZE = {"channel_num": 3, "mean": MEAN, "order": "", "scale": 1 / 255, "std": STD}
# PyYAML writes them plain or quoted.
NAMES = [
    "goldfish, Carassius",
    "it's: so",
    "- dash",
    "7",
    "金鱼",
    "true",
    "a: b",
    "# no comment",
    "null",
    "x:y",
]

pytestmark = [
    pytest.mark.slow,  # compiling
    pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler; CXX names one"),
]


# Building


def compile(source, target, *options):
    command = [COMPILER, "-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", source, "-o", target, *options]
    subprocess.run([str(part) for part in command], check=True)
    return target


def include_folder():
    """Folder of ONNX Runtime's C++ headers; None where there are none."""
    if os.environ.get("ONNXRUNTIME_INCLUDE"):
        return Path(os.environ["ONNXRUNTIME_INCLUDE"])
    found = (path for root in PLACES for path in (root / "include").glob(f"**/{HEADER}"))
    return next((path.parent for path in found), None)


def library():
    """ONNX Runtime's shared library: a user's, or that of the Python package; None where there is none."""
    folders = [Path(os.environ["ONNXRUNTIME_LIB"])] if os.environ.get("ONNXRUNTIME_LIB") else []
    package = importlib.util.find_spec("onnxruntime")
    folders += [Path(package.origin).parent / "capi"] if package else []
    folders += [root / "lib" for root in PLACES]
    found = (path for folder in folders for path in folder.glob("**/libonnxruntime.so*"))
    return next(found, None)


@pytest.fixture(scope="module")
def prepare(tmp_path_factory):
    """Path of a program that writes what the example hands to a network."""
    return compile(ROOT / "tests/examples/prepare.cpp", tmp_path_factory.mktemp("prepare") / "prepare")


@pytest.fixture(scope="module")
def classify(tmp_path_factory):
    """Path of the example, built against the ONNX Runtime that is there."""
    headers, shared = include_folder(), library()
    if headers is None or shared is None:
        missing = (
            f"{HEADER}: ONNXRUNTIME_INCLUDE" if headers is None else "libonnxruntime.so: ONNXRUNTIME_LIB"
        )
        pytest.skip(f"there is no {missing} names its folder; examples/cpp/README.md says where to get it")
    folder = tmp_path_factory.mktemp("classify")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):  # what the linker looks for, and the loader
        (folder / name).symlink_to(shared.resolve())
    options = ["-isystem", headers, f"-L{folder}", "-lonnxruntime", f"-Wl,-rpath,{folder}"]
    return compile(ROOT / "examples/cpp/classify.cpp", folder / "classify", *options)


# Pictures and descriptions


def noise(width, height):
    """A picture in which a wrong weight or a shift by one pixel shows."""
    return np.random.RandomState(width).randint(0, 256, (height, width, 3), dtype=np.uint8)


def write_ppm(path, picture):
    Image.fromarray(picture).save(path)
    return path


def write_description(folder, resize, crop, names=NAMES):
    """Writes inference.yml as exports have it."""
    steps = [{"ResizeImage": resize}, {"CropImage": {"size": crop}}] if crop else [{"ResizeImage": resize}]
    content = {
        "Global": {"model_name": "MixFormer_B0", "image_shape": [3, 28, 28]},
        "PreProcess": {"transform_ops": [*steps, {"NormalizeImage": NORMALIZE}, {"ToCHWImage": None}]},
        "PostProcess": {"Topk": {"topk": 5, "label_list": names}},
    }
    text = yaml.dump(content, sort_keys=False, allow_unicode=True, width=10**6)
    (folder / "inference.yml").write_text(text, encoding="utf-8")


def reference(picture, resize, crop):
    """The network's input by Pillow and numpy, with PaddleClas's arithmetic."""
    height, width = picture.shape[:2]
    size = resize.get("size")
    if size is None:
        ratio = float(resize["resize_short"]) / min(width, height)
        size = [int(round(width * ratio)), int(round(height * ratio))]
    size = [size, size] if isinstance(size, int) else size
    resized = Image.fromarray(picture).resize(size, FILTERS[resize["interpolation"]])
    if crop:
        wide, high = [crop, crop] if isinstance(crop, int) else crop
        left, top = (size[0] - wide) // 2, (size[1] - high) // 2
        resized = resized.crop((left, top, left + wide, top + high))
    scaled = np.asarray(resized).astype("float32") * np.float32(NORMALIZE["scale"])
    return ((scaled - np.float32(MEAN)) / np.float32(STD)).transpose(2, 0, 1)


def run(program, *arguments):
    """What a program prints; its one line where it refuses."""
    result = subprocess.run([str(part) for part in (program, *arguments)], capture_output=True)
    if result.returncode:
        assert result.returncode == 1 and not result.stdout, result
        assert result.stderr.startswith(b"error: ") and result.stderr.count(b"\n") == 1, result.stderr
        return result.stderr.decode()
    assert not result.stderr, result.stderr
    return result.stdout


# Preprocessing


@pytest.mark.parametrize("crop", [28, [20, 12], None], ids=["square", "width and height", "whole"])
@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize(
    "resize",
    [{"resize_short": 28}, {"resize_short": 45}, {"size": 30}, {"size": [64, 33]}],
    ids=["short 28", "short 45", "30", "64x33"],
)
def test_pictures_are_prepared_as_pillow_prepares_them(prepare, tmp_path, resize, interpolation, crop):
    resize = {**resize, "interpolation": interpolation, "backend": "pil"}
    write_description(tmp_path, resize, crop)
    for size in [(28, 28), (97, 61), (61, 350), (5, 3), (1, 90), (90, 75)]:
        picture = noise(*size)
        output = run(prepare, tmp_path, write_ppm(tmp_path / "a.ppm", picture))
        expected = reference(picture, resize, crop)
        head, rest = output.split(b"\n", 1)
        assert head.decode() == f"{expected.shape[1]} {expected.shape[2]} {len(NAMES)}"
        found = np.frombuffer(rest[-expected.size * 4 :], "float32").reshape(expected.shape)
        np.testing.assert_array_equal(found, expected)


def test_halves_are_rounded_to_even_as_in_python(prepare, tmp_path):
    resize = {"resize_short": 2, "interpolation": "bilinear", "backend": "pil"}
    write_description(tmp_path, resize, None)
    for width in (5, 7, 9, 11):  # times a half
        output = run(prepare, tmp_path, write_ppm(tmp_path / "a.ppm", noise(width, 4)))
        assert output.split()[:2] == [b"2", str(round(width / 2)).encode()]


def test_names_are_read_as_yaml_has_them(prepare, tmp_path):
    write_description(tmp_path, {"size": 2, "interpolation": "BICUBIC", "backend": "PIL"}, None)
    _, *lines = run(prepare, tmp_path, write_ppm(tmp_path / "a.ppm", noise(4, 4))).split(b"\n")
    assert [line.decode() for line in lines[: len(NAMES)]] == NAMES


def test_lists_in_brackets_are_those_in_lines(prepare, tmp_path):
    picture = write_ppm(tmp_path / "a.ppm", noise(30, 40))
    write_description(tmp_path, RESIZE, [20, 12], names=["cat", "dog"])
    lines = run(prepare, tmp_path, picture)
    path = tmp_path / "inference.yml"
    brackets = re.sub(
        r":((?:\n +- [\w.]+)+)$",
        lambda list_: ": [" + ", ".join(list_[1].split()[1::2]) + "]",
        path.read_text(),
        flags=re.M,
    )
    assert brackets.count("[") == 5
    path.write_text(brackets.replace("[20", "[ 20"))
    assert run(prepare, tmp_path, picture) == lines


# Refusals

RESIZE = {"resize_short": 28, "interpolation": "bicubic", "backend": "pil"}
REFUSED = {
    "another backend": ("backend: pil", "backend: cv2", "not with bicubic by cv2"),
    "another filter": ("interpolation: bicubic", "interpolation: lanczos", "not with lanczos by pil"),
    "no number": (
        "resize_short: 28",
        "resize_short: 1/2",
        "ResizeImage has no usable number as its resize_short",
    ),
    "a huge size": ("resize_short: 28", "resize_short: 1e12", "ResizeImage has no usable number"),
    "a huge result": ("resize_short: 28", "resize_short: 999999", "sides of a million pixels"),
    "no size": ("    size: 20\n", "    x: 1\n", "CropImage has no usable number as its size"),
    "a large crop": ("size: 20", "size: 29", "the crop does not fit into the resized picture"),
    "nothing": ("resize_short: 28", "resize_short: 0", "a picture cannot be resized to nothing"),
    "another transform": ("- CropImage:", "- PadImage:", "PadImage is not done here"),
    "no normalisation": ("- NormalizeImage:", "- ToCHWImage:", "has no NormalizeImage"),
    "escapes": ("- '7'", '- "\\x07"', 'not understood: "\\x07"'),
    "an open quote": ("- '7'", "- '7", "not understood: '7"),
    "a name in two lines": ("- '7'", "- seven\n        and more", "not understood:         and more"),
    "a long line": ("- '7'", "- " + "7" * 100000, "not understood:     - 777"),
    "another file": ("Global:", "just words\nGlobal:", "not understood: just words"),
}


@pytest.mark.parametrize("change", REFUSED)
def test_an_unexpected_description_is_one_line(prepare, tmp_path, change):
    old, new, message = REFUSED[change]
    write_description(tmp_path, RESIZE, 20)
    path = tmp_path / "inference.yml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    error = run(prepare, tmp_path, write_ppm(tmp_path / "a.ppm", noise(30, 40)))
    assert error.startswith("error: ") and message in error


@pytest.mark.parametrize(
    "content, message",
    [
        (b"P5\n2 2\n255\n1234", "is no binary PPM picture (P6) of 8 bits"),
        (b"P6\n2 2\n65535\n" + b"1" * 24, "is no binary PPM picture (P6) of 8 bits"),
        (b"P6\n2 -2\n255\n" + b"1" * 12, "is no binary PPM picture (P6) of 8 bits"),
        (b"P6\n2 2\n255\n" + b"1" * 11, "ends within the picture"),
        (b"", "is no binary PPM picture (P6) of 8 bits"),
    ],
    ids=["grey", "16 bits", "negative", "cut off", "empty"],
)
def test_a_file_that_is_no_such_picture_is_one_line(prepare, tmp_path, content, message):
    write_description(tmp_path, RESIZE, 20)
    (tmp_path / "a.ppm").write_bytes(content)
    assert run(prepare, tmp_path, tmp_path / "a.ppm") == f"error: {tmp_path}/a.ppm {message}" + (
        "; README.md says how to make one\n" if "is no" in message else "\n"
    )


def test_a_picture_with_comments_is_read(prepare, tmp_path):
    write_description(tmp_path, RESIZE, 20)
    picture = noise(30, 40)
    (tmp_path / "a.ppm").write_bytes(b"P6 # by hand\n30 # wide\n40\n255\n" + picture.tobytes())
    plain = run(prepare, tmp_path, write_ppm(tmp_path / "b.ppm", picture))
    assert run(prepare, tmp_path, tmp_path / "a.ppm") == plain


def test_what_is_not_there_is_one_line(prepare, tmp_path):
    picture = write_ppm(tmp_path / "a.ppm", noise(30, 40))
    assert run(prepare, tmp_path, picture) == f"error: {tmp_path}/inference.yml cannot be read\n"
    write_description(tmp_path, RESIZE, 20)
    assert run(prepare, tmp_path, tmp_path / "b.ppm") == f"error: {tmp_path}/b.ppm cannot be read\n"


# The example


def answers(output):
    """`{name: score}` in the order in which the example prints them."""
    lines = [line.split("\t") for line in output.decode().splitlines()]
    return {name: float(score) for score, name in lines}


@pytest.mark.skipif(not HAS_ONNX, reason="there is no paddle2onnx")
@pytest.mark.parametrize("interpolation", FILTERS)
def test_the_scores_are_those_of_python(classify, exported, tmp_path, interpolation):
    resize = {"resize_short": 40, "interpolation": interpolation, "backend": "pil"}
    shutil.copy(exported[0] / "inference.onnx", tmp_path)
    write_description(tmp_path, resize, 28)
    session = onnx.session(tmp_path / "inference.onnx")
    for size in [(28, 28), (97, 61), (61, 350)]:
        picture = noise(*size)
        batch = reference(picture, resize, 28)[None]
        expected = session.run(None, {session.get_inputs()[0].name: batch})[0][0]
        found = answers(run(classify, tmp_path, write_ppm(tmp_path / "a.ppm", picture)))
        best = np.argsort(-expected, kind="stable")[:5]
        assert list(found) == [NAMES[number] for number in best]
        np.testing.assert_allclose(list(found.values()), expected[best], rtol=0, atol=1e-4)


@pytest.mark.skipif(not HAS_ONNX, reason="there is no paddle2onnx")
def test_an_exported_folder_is_read_as_it_is(classify, exported, tmp_path):
    in_python = Classifier(exported[0], "onnxruntime", topk=5)
    for size in [(97, 61), (61, 350)]:
        picture = noise(*size)
        found = answers(run(classify, exported[0], write_ppm(tmp_path / "a.ppm", picture)))
        expected = in_python(picture)
        assert list(found) == expected["label_names"]
        np.testing.assert_allclose(list(found.values()), expected["scores"], rtol=0, atol=1e-4)


@pytest.mark.skipif(not HAS_ONNX, reason="there is no paddle2onnx")
def test_classes_without_names_are_numbers_and_another_size_is_one_line(classify, exported, tmp_path):
    shutil.copy(exported[0] / "inference.onnx", tmp_path)
    picture = write_ppm(tmp_path / "a.ppm", noise(50, 40))
    write_description(tmp_path, RESIZE, 28, names=["first"])
    assert set(answers(run(classify, tmp_path, picture))) <= {"first", *map(str, range(1, 10))}
    write_description(tmp_path, RESIZE, 20)
    assert "28" in run(classify, tmp_path, picture)
    (tmp_path / "inference.onnx").write_bytes(b"no program")
    assert "inference.onnx" in run(classify, tmp_path, picture)
    assert run(classify) == "error: two arguments are needed: the folder of an export, and a picture\n"
