"""What tests take from the golden files of the published architecture."""

from pathlib import Path

from ppcls_mixformer.selftest.replay import (  # noqa: F401
    FOLDER,
    golden_model,
    golden_value,
    images,
    trajectory_value,
)

GOLDEN = Path(__file__).parent / "golden"  # what the package itself does not replay
EVALUATIONS = sorted([*FOLDER.glob("eval_*.npz"), *GOLDEN.glob("eval_*.npz")], key=lambda path: path.name)
