"""The README.md of an exported folder: how to read it, from what it came, and how its readers agreed."""

import logging
from pathlib import Path

import paddle

from ppcls_mixformer import __version__
from ppcls_mixformer.hosting import source
from ppcls_mixformer.hosting.web import sha256_of
from ppcls_mixformer.paddleclas import HOST
from ppcls_mixformer.predict.description import FEATURES, GATES

logger = logging.getLogger(__name__)

NAME = "README.md"
MARK = "<!-- written by ppcls_mixformer's export -->"
PAGE = """{mark}
# {title}

An exported classifier. Its input is float32 `{shape}`, its output {output}.

| file | read by |
|---|---|
{files}

`inference.yml`, where it is there, has the preprocessing and the names of the classes.

```python
from ppcls_mixformer import Classifier

classify = Classifier("{folder}")
classify("a.jpg")                           # class_ids, scores, label_names: best first
classify("pictures").save("classes.csv")    # a folder
```

```sh
python -m ppcls_mixformer predict --inference_model_dir {folder} --infer_imgs pictures --save classes.csv
```

## From what it came

{origin}

## How readers agree with the checkpoint

{agreements}
"""
MORE = {  # by the name of an output
    FEATURES: "; a second output, pooled features `[N, D]`",
    f"{GATES}1": "; the last outputs, spatial gates of each stage `[N, blocks, height, width]`",
}
NOT_CHECKED = "It was not measured: export with `--check N`."


def origin_of(config, flags):
    """Lines that say from which config, weights and packages an export is made."""
    weights = config["Global"]["pretrained_model"]
    named = f"`Arch.pretrained: {config['Arch'].get('pretrained')}`"
    if weights:
        named = f"`{weights}.pdparams`, SHA-256 {sha256_of(f'{weights}.pdparams')}"
    if flags.random_weights:
        named += " (`--random-weights`: what it says is no result)"
    overrides = "".join(f" `-o {override}`" for override in flags.override)
    tree = source.describe(HOST, source.locate(HOST)).rpartition(", in ")[0]
    return [
        f"- config: `{flags.config}`{overrides}",
        f"- weights: {named}",
        f"- ppcls_mixformer {__version__}, paddlepaddle {paddle.__version__}, {tree}",
    ]


def write(staging, target, description, origin, agreements, readers, outputs):
    """Writes the page into the folder `staging`, unless `target` has a README.md that is somebody else's.

    Args:
        description: of the export; None where it has none.
        agreements: one for each reader; none where nothing was measured.
        readers: who reads a file, by its name.
        outputs: names of what the program gives, in their order.
    """
    there = Path(target) / NAME
    if there.exists() and MARK not in there.read_text(encoding="utf-8", errors="replace"):
        logger.warning("%s is not of an export: it stays, and what it would say is not written", there)
        return
    files = [f"| `{name}` | {who} |" for name, who in readers.items() if (staging / name).exists()]
    shape = ["N", *(description.image_shape or "CHW")] if description else list("NCHW")
    independent = description and description.independent
    page = PAGE.format(
        mark=MARK,
        title=(description and description.model_name) or "Export",
        shape=f"[{', '.join(map(str, shape))}]",
        output="scores `[N, classes]`, "
        + ("each label's own" if independent else "which sum up to 1")
        + "".join(text for name, text in MORE.items() if name in outputs),
        files="\n".join(files),
        folder=target,
        origin="\n".join(origin),
        agreements="\n".join(f"- {agreement}" for agreement in agreements) or NOT_CHECKED,
    )
    (staging / NAME).write_text(page, encoding="utf-8")
