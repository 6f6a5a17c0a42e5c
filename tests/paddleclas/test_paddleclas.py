"""PaddleClas as the host, for real: its trainer on real images, each tool in a process of its own."""

import ast
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
from commands import checkpoint, losses, overrides, run, tool

from ppcls_mixformer.hosting.whole import PREFIX

pytestmark = pytest.mark.slow


def learning_rates(log):
    return dict(re.findall(r"(\[Train\]\[Epoch \d+/\d+\]\[Iter: \d+/\d+\])lr\S* (\S+),", log))


def test_trains_and_evaluates(digits, trained):
    output, log = trained
    assert learning_rates(log)
    assert len(re.findall(r"\[Eval\]\[Epoch \d\]\[best metric", log)) == 2  # each line once
    best = re.findall(r"best metric: ([\d.]+)", log)[-1]
    evaluated = tool(
        "eval",
        *overrides(digits, output),
        f"Global.pretrained_model={checkpoint(output, 'best_model')}",
        f"DataLoader.Train.dataset.cls_label_path={digits}/test_list.txt",
    )
    assert "best_model was trained on other lists than DataLoader.Train has now" in evaluated
    top1 = re.findall(r"\[Avg\].*top1: ([\d.]+)", evaluated)[-1]
    assert float(top1) == pytest.approx(float(best), abs=1e-4)
    assert not list(output.rglob(f"{PREFIX}*"))


def test_resumes_with_the_same_learning_rate_and_a_better_best_model(digits, trained, tmp_path):
    output, log = tmp_path / "resumed", trained[1]
    shutil.copytree(trained[0], output)
    best = checkpoint(output, "best_model.pdstates")
    paddle.save({**paddle.load(str(best)), "metric": 2.0}, str(best))  # which no epoch reaches
    weights = checkpoint(output, "best_model.pdparams").read_bytes()
    settings = overrides(digits, output)
    resumed = tool("train", *settings, f"Global.checkpoints={checkpoint(output, 'epoch_1')}")
    rates = learning_rates(resumed)
    assert rates and all("Epoch 2/" in key for key in rates)
    assert rates.items() <= learning_rates(log).items()
    assert losses(resumed) == losses(log)[-len(rates) :] and "is of another run" not in resumed
    assert re.findall(r"best metric: ([\d.]+)", resumed)[-1] == "2.0"
    assert checkpoint(output, "best_model.pdparams").read_bytes() == weights


def test_fine_tunes_to_another_class_count(digits, trained, tmp_path):
    settings = [s.replace(f"{digits}/t", f"{digits}/parity_t") for s in overrides(digits, tmp_path, epochs=1)]
    settings += [f"Arch.pretrained={checkpoint(trained[0], 'latest')}.pdparams", "Arch.class_num=2"]
    log = tool("train", *settings)
    assert "loaded all but the head, which has 10 classes there and 2 here" in log
    assert len(losses(log)) == 2 and "best metric" in log


def predicted_scores(log):
    ids, scores = re.findall(r"class_ids'?: (\[[^]]*\]).*?scores'?: (\[[^]]*\])", log)[-1]
    return ast.literal_eval(ids), np.array(ast.literal_eval(scores))


def test_predict_gives_the_scores_of_infer(digits, trained, exported):
    picture = digits / (digits / "test_list.txt").read_text().split()[0]
    inferred = tool(
        "infer",
        *overrides(digits, trained[0]),
        f"Global.pretrained_model={checkpoint(trained[0], 'latest')}",
        f"Infer.infer_imgs={picture}",
    )
    flags = [
        *("--inference_model_dir", exported[0], "--infer_imgs", picture, "--topk", "3"),
        *("--class_id_map_file", digits / "label_list.txt"),
        *("--resize_short", "28", "--crop_size", "28", "--use_gpu", "False"),
    ]
    wrapper = run(sys.executable, "tools/predict.py", *flags)
    expected_ids, expected = predicted_scores(inferred)
    outputs = [wrapper]
    # On paddlepaddle 2.6 the stock command dies of std::bad_alloc, whatever the model.
    if (exported[0] / "inference.pdmodel").exists() and not paddle.__version__.startswith("2."):
        stock = Path(sys.executable).with_name("paddleclas")
        outputs.append(run(stock, *flags, FLAGS_enable_pir_api="0"))
    for output in outputs:
        ids, scores = predicted_scores(output)
        assert ids == expected_ids
        np.testing.assert_allclose(scores, expected, atol=1e-4)
