"""A classifier's checkpoint in a backbone."""

import logging

import paddle
import pytest
from dense_networks import dense, moved, values

from ppcls_mixformer import MixFormer_B0, MixFormer_B1, WeightsError, zoo


def test_a_classifiers_checkpoint_gives_the_trunk(tmp_path, caplog):
    classifier, model = MixFormer_B0(class_num=10), dense()
    path = tmp_path / "classifier.pdparams"
    paddle.save(classifier.state_dict(), str(path))
    with caplog.at_level(logging.INFO, "ppcls_mixformer.weights.checkpoint"):
        zoo.load_dense(model, "MixFormer_B0", str(path))
    theirs = values(classifier)
    trunk = {name: value for name, value in values(model).items() if not name.startswith("norm")}
    assert all((value == theirs[name]).all() for name, value in trunk.items())
    (line,) = [
        record.getMessage()
        for record in caplog.records
        if record.name == "ppcls_mixformer.weights.checkpoint"
    ]
    assert line == (
        f"{path}: used the {len(trunk)} entries of patch_embed and layers, left head, last_proj, norm; "
        "the norms of the output maps start from scratch"
    )


def refusal(model, path):
    """The one line in which a checkpoint is refused; the model is as it was."""
    before = values(model)
    with pytest.raises(WeightsError) as error:
        zoo.load_dense(model, "MixFormer_B0", str(path))
    assert "\n" not in error.value.args[0] and not moved(model, before)
    return str(error.value)


def test_what_does_not_fit_is_refused_in_one_line(tmp_path):
    path = tmp_path / "classifier.pdparams"
    model = dense()
    assert "checkpoint not found" in refusal(model, path)
    paddle.save(MixFormer_B1(class_num=10).state_dict(), str(path))
    line = refusal(model, path)
    assert f"{path} is not a checkpoint of this DenseMixFormer (embed_dim 24" in line and "not [12" in line
    path.write_bytes(path.read_bytes()[:1000])
    assert "damaged" in refusal(model, path)
    paddle.save({"epoch": 3}, str(path))
    assert "no state dict" in refusal(model, path)
    with pytest.raises(WeightsError, match="no weights were ever published for MixFormer_B0"):
        zoo.load_dense(model, "MixFormer_B0", True)
