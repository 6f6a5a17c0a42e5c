"""Small exported classifiers, and pictures to classify."""

import numpy as np
import paddle
import pytest
from PIL import Image
from small_export import DESCRIPTION, export


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """Folder of an export for pictures of 16×24 (height × width)."""
    return export(tmp_path_factory.mktemp("small"), paddle.nn.Softmax(), DESCRIPTION)


@pytest.fixture(scope="session")
def independent(tmp_path_factory):
    """Folder of an export whose labels do not exclude each other."""
    described = DESCRIPTION._replace(independent=True, topk=None, threshold=0.3)
    return export(tmp_path_factory.mktemp("independent"), paddle.nn.Sigmoid(), described)


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Folder with pictures of noise of several sizes and formats, one below it, and something else."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "sub").mkdir()
    random = np.random.RandomState(0)
    for name in ("a.png", "b.JPG", "c.webp", "d.bmp", "e.TIFF", "f.gif", "sub/g.jpeg"):
        sides = random.randint(30, 60, 2)
        Image.fromarray(random.randint(0, 256, (*sides, 3), "uint8")).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    return folder
