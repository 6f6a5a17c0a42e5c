"""results.csv and early stopping: of made-up epochs, and of real runs."""

import csv
import logging
import re
import shutil

import pytest
from commands import checked, checkpoint, error_line, overrides, refusal, tool

pytestmark = pytest.mark.usefixtures("bridged_paddleclas")


def past(path, done=0, patience=None, number=float):
    """A `History`."""
    from ppcls_mixformer.paddleclas.history import History

    return History(path, done, patience, number)


def epochs(history, metrics, first=1):
    """Lets a `History` see what PaddleClas says in epochs with these metrics."""
    for epoch, metric in enumerate(metrics, first):
        said = f"[Train][Epoch {epoch}/9][Avg]CELoss: 1.5, loss: 1.5"
        history.emit(logging.makeLogRecord({"msg": said}))
        history.emit(logging.makeLogRecord({"msg": f"[Eval][Epoch {epoch}][Avg]loss: 2.5, top1: {metric}"}))
        history.of_evaluation({epoch: metric}.get)(epoch)


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_for_each_epoch(tmp_path):
    epochs(past(tmp_path / "a.csv"), [0.25, 0.5])
    names = ["epoch", "train_CELoss", "train_loss", "eval_loss", "eval_top1", "metric"]
    assert [list(row) for row in rows(tmp_path / "a.csv")] == [names, names]
    assert [list(row.values()) for row in rows(tmp_path / "a.csv")] == [
        ["1", "1.5", "1.5", "2.5", "0.25", "0.25"],
        ["2", "1.5", "1.5", "2.5", "0.5", "0.5"],
    ]


def test_a_run_that_goes_on_keeps_the_rows_that_it_has_behind_it(tmp_path):
    epochs(past(tmp_path / "a.csv"), [0.1, 0.2, 0.3])
    again = past(tmp_path / "a.csv", done=2)
    assert again.waited() == 0
    epochs(again, [0.15, 0.05], first=3)
    assert [row["metric"] for row in rows(tmp_path / "a.csv")] == ["0.1", "0.2", "0.15", "0.05"]
    assert again.waited() == 2
    epochs(past(tmp_path / "a.csv"), [0.4])
    assert [row["metric"] for row in rows(tmp_path / "a.csv")] == ["0.4"]


@pytest.mark.parametrize(
    "content", ["epoch,metric\none,two\n", "a,b\n1,2\n", "\0", "epoch\n1,2,3\n", b"\xff"]
)
def test_another_table_of_that_name_is_begun_anew(tmp_path, content, caplog):
    (tmp_path / "a.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    history = past(tmp_path / "a.csv", done=1)
    epochs(history, [0.5], first=2)
    assert rows(tmp_path / "a.csv")[-1]["metric"] == "0.5"


def test_averaged_weights_have_columns_of_their_own_and_the_better_metric_counts(tmp_path):
    history = past(tmp_path / "a.csv")
    epochs(history, [0.25])
    history.emit(logging.makeLogRecord({"msg": "[Eval][Epoch 1][Avg]loss: 2.0, top1: 0.75"}))
    history.of_evaluation(lambda epoch_id: 0.75)(1)
    (row,) = rows(tmp_path / "a.csv")
    assert (row["eval_top1"], row["eval_ema_top1"], row["metric"]) == ("0.25", "0.75", "0.75")


@pytest.mark.parametrize(
    "number, metrics, waited",
    [
        (float, [0.1, 0.2, 0.3], 0),
        (float, [0.3, 0.2, 0.3], 2),
        (float, [0.1], 0),
        (float, [], 0),
        (None, [0.3, 0.2, 0.25], 1),
    ],
)
def test_evaluations_since_the_best_one(number, metrics, waited):
    from ppcls_mixformer.paddleclas import history, results

    kind = results.Lower if number is None else number
    run = past(None, patience=2, number=kind)
    epochs(run, map(kind, metrics))
    assert run.waited() == waited
    if waited == 2:
        with pytest.raises(history.NothingImproves):
            run.of_training(lambda engine, epoch: None)(None, 4)


@pytest.mark.slow
def test_a_run_ends_where_nothing_improves_and_goes_on_where_it_may(digits, tmp_path):
    still = ["Optimizer.lr.learning_rate=1e-12", "Optimizer.lr.warmup_epoch=0", "Arch.frozen_stages=4"]
    settings = [*overrides(digits, tmp_path, epochs=6), *still]
    log = tool("train", *settings, "Global.early_stopping=2")
    table = rows(checkpoint(tmp_path, "results.csv"))
    assert [row["epoch"] for row in table] == ["1", "2", "3"] and "[Epoch 4/6]" not in log
    assert "the last 2 evaluations brought nothing better, so the run ends here" in log
    for kind in ("Train", "Eval"):
        said = re.findall(rf"\[{kind}\]\[Epoch \d(?:/6)?\]\[Avg\].*?loss: ([\d.]+)", log)
        assert said == [row[f"{kind.lower()}_CELoss"] for row in table]
    assert all(float(row["learning_rate"]) > 0 and float(row["train_seconds"]) > 0 for row in table)
    shutil.copytree(checkpoint(tmp_path, "latest").parent, tmp_path / "kept")
    on = tool("train", *settings, f"Global.checkpoints={tmp_path}/kept/latest", "Global.epochs=4")
    assert "[Epoch 4/4]" in on
    assert rows(checkpoint(tmp_path, "results.csv"))[:3] == table


@pytest.mark.slow
def test_published_weights_start_larger_windows(digits, trained, tmp_path):
    start = f"Arch.pretrained={checkpoint(trained[0], 'latest')}"
    settings = [*overrides(digits, tmp_path, epochs=1), "Arch.window_size=9"]
    tuned = ["Arch.frozen_stages=1", "Arch.layer_decay=0.7"]
    log = tool("train", *settings, start, *tuned)
    assert "of 7×7 windows were interpolated to 9×9" in log
    wrong = tool(
        "eval", *settings, f"Global.pretrained_model={checkpoint(trained[0], 'latest')}", check=False
    )
    assert "has 7×7 windows, Arch.window_size is 9: set it to 7" in error_line(wrong)
    weights = f"Global.pretrained_model={checkpoint(tmp_path, 'latest')}"
    assert "[Eval][Epoch 0][Avg]" in tool("eval", *settings, weights)


def test_early_stopping_needs_evaluations(digits, tmp_path):
    asked = ["Global.eval_during_train=False", "Global.early_stopping=2"]
    text = refusal(checked, "train", *overrides(digits, tmp_path), *asked)
    assert text.startswith("Global.early_stopping needs Global.eval_during_train")
