"""Hands hostile strings and pickles to what the `paddleclas` command reads files with; says what came of it.

Usage: clas_hostile_predict.py FOLDER
"""

import sys
from pathlib import Path

from paddleclas.deploy.python import build_gallery
from paddleclas.deploy.python.preprocess import create_operators
from paddleclas.deploy.utils.config import get_config

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleclas import stock

sys.path.insert(0, str(Path(__file__).parents[1]))
import hostile  # noqa: E402

folder = Path(sys.argv[1])
marker = folder / "marker"
stock.files_that_run_nothing()


def attempt(read, *arguments):
    """One line of what reading comes to."""
    try:
        print("read", read(*arguments))
    except UserError as error:
        print("refused", error)
    if marker.exists():
        print("RUN", arguments)


for text in hostile.strings(str(marker)):
    attempt(create_operators, [{"NormalizeImage": {"scale": text}}])
    (folder / "x.yaml").write_text("Global: {x: 1}")
    attempt(get_config, str(folder / "x.yaml"), [f"Global.x={text}"])
for _ in hostile.everything_at(folder / "id_map.pkl"):
    with open(folder / "id_map.pkl", "rb") as file:
        attempt(build_gallery.pickle.load, file)
attempt(create_operators, [{"NormalizeImage": {"scale": "1.0/255.0"}}])
