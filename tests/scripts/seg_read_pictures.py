"""Segments the pictures of a folder with an export, as PaddleSeg's `deploy/python/infer.py` does it.

Arguments: the folder of the export, that of the pictures, and that where each engine's maps go.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ppcls_mixformer.hosting import onnx
from ppcls_mixformer.hosting.inference import predictor
from ppcls_mixformer.paddleseg import register

register()

from paddleseg.deploy.infer import DeployConfig
from paddleseg.utils.visualize import get_pseudo_color_map

export, pictures, output = map(Path, sys.argv[1:])
config = DeployConfig(str(export / "deploy.yaml"))
engines = {engine: predictor(Path(config.model), engine == "onednn") for engine in ("onednn", "plain")}
if (export / "model.onnx").exists():
    engines["onnx"] = onnx.runner(export / "model.onnx")
for engine, run in engines.items():
    (output / engine).mkdir(parents=True)
    for picture in sorted(pictures.iterdir()):
        maps = run(config.transforms({"img": str(picture)})["img"][None])[0]
        get_pseudo_color_map(maps[0]).save(output / engine / f"{picture.stem}.png")
