"""The checkout as a folder that paddle.hub loads from."""

import subprocess
import sys

from commands import ROOT

from ppcls_mixformer import VARIANTS, MixFormer_B2


def test_paddle_hub_builds_every_variant_of_a_checkout(tmp_path):
    command = [sys.executable, ROOT / "tests/scripts/hub_load.py", ROOT]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    listed, *described, scores = result.stdout.splitlines()[-2 - len(MixFormer_B2.__doc__.splitlines()) :]
    assert listed == str(sorted(VARIANTS)) and scores == "scores [1, 7]"
    assert "\n".join(described) == MixFormer_B2.__doc__
