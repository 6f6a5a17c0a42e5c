"""Predicts with PaddleX: `paddlex_predict.py CASES RESULTS`, two JSON files.

A case has `engine`, `folder`, `pictures`, and what `predict` takes; its results are a list of dicts. With
`pipeline` it goes through the pipeline of that name.
"""

import json
import sys
from pathlib import Path

from ppcls_mixformer.paddlex import register

register()
register()  # twice changes nothing

import paddlex  # noqa: E402

PARTS = {
    "image_classification": "ImageClassification",
    "image_multilabel_classification": "ImageMultiLabelClassification",
}


def predict(engine, folder, pictures, pipeline=None, batch_size=1, **asked):
    """Results of `pictures`, or of a folder of them."""
    section = {"model_name": "MixFormer_B0", "model_dir": folder, "batch_size": batch_size}
    if pipeline:
        config = {"pipeline_name": pipeline, "SubModules": {PARTS[pipeline]: section}}
        predictor = paddlex.create_pipeline(config=config, engine=engine, device="cpu")
    else:
        predictor = paddlex.create_model(**section, engine=engine, device="cpu")
    return [plain(result) for result in predictor.predict(pictures, **asked)]


def plain(result):
    """What is compared of a result, as JSON has it."""
    return {key: result[key] for key in ("input_path", "class_ids", "scores", "label_names")}


cases = json.loads(Path(sys.argv[1]).read_text())
Path(sys.argv[2]).write_text(json.dumps([predict(**case) for case in cases]))
