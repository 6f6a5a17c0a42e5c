"""Logs of PaddleClas's trainer, of several releases, and of runs that stop and start again."""

from ppcls_mixformer.understand import curves

TRAIN = "[2026/01/01 00:00:00] ppcls INFO: [Train][Epoch {}/8][Avg]top1: {}, CELoss: 2.1, loss: {}"
EVAL = "[2026/01/01 00:00:00] ppcls INFO: [Eval][Epoch {}][Avg]CELoss: 2.1, loss: 2.1, top1: {}, top5: 1.0"
STEP = "[2026/01/01 00:00:00] ppcls INFO: [Train][Epoch 1/8][Iter: 0/29]lr: 0.1, top1: 0.9, loss: 2.30"


def read(*lines):
    return curves.read_averages("\n".join(lines))


def test_averages_are_read_and_steps_are_not():
    found = read(STEP, TRAIN.format(1, 0.25, "2.30237"), EVAL.format(1, 0.5), TRAIN.format(2, 0.5, "1e-05"))
    assert curves.points(found, "Train", "loss") == [[1, 2], [2.30237, 1e-05]]
    assert curves.points(found, "Eval", "top1") == [[1], [0.5]]
    assert curves.points(found, "Eval", "recall1") == [[], []]


def test_a_run_that_goes_on_or_starts_anew_takes_the_place_of_what_it_repeats():
    first = [line.format(epoch, 0.1, 1.0) for epoch in (1, 2, 3) for line in (TRAIN, EVAL)]
    found = read(*first, TRAIN.format(3, 0.9, 0.5))
    assert curves.points(found, "Train", "top1") == [[1, 2, 3], [0.1, 0.1, 0.9]]
    assert curves.points(found, "Eval", "top1") == [[1, 2], [0.1, 0.1]]
    found = read(*first, TRAIN.format(1, 0.7, 0.5), EVAL.format(1, 0.8))
    assert curves.points(found, "Train", "top1") == [[1], [0.7]]
    assert curves.points(found, "Eval", "top1") == [[1], [0.8]]


def test_averaged_weights_are_not_taken_for_those_that_are_trained():
    epochs = [(TRAIN.format(n, 0.2, 0.5), EVAL.format(n, 0.5), EVAL.format(n, 0.1)) for n in (1, 2)]
    found = read(*epochs[0], *epochs[1], TRAIN.format(2, 0.3, 0.5))
    assert curves.points(found, "Eval", "top1") == [[1], [0.5]]
    assert curves.points(found, "EMA", "top1") == [[1], [0.1]]
