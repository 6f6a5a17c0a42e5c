"""What tests take from the golden files of the published architecture."""

from pathlib import Path

from ppcls_mixformer.selftest import replay
from ppcls_mixformer.selftest.replay import golden_model, images  # noqa: F401

GOLDEN = Path(__file__).parent / "golden"  # what no device can change
EVALUATIONS = sorted([*replay.EVALUATIONS, *GOLDEN.glob("eval_*.npz")], key=lambda path: path.name)
