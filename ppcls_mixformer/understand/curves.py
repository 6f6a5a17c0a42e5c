"""What a training run says of its epochs, read from the log that PaddleClas's trainer writes."""

import re

AVERAGE = re.compile(r"\[(Train|Eval)\]\[Epoch (\d+)[^]]*\]\[Avg\](.*)")
VALUE = re.compile(r"(\w+): (-?\d[\d.]*(?:e[-+]?\d+)?)")


def read_averages(log):
    """`{"Train": {epoch: {metric: value}}, "Eval": …}` from the text of a log.

    A run that goes on, or starts anew in the same file, takes the place of the epochs that it repeats and of
    those behind them.
    """
    averages = {"Train": {}, "Eval": {}}
    for phase, epoch, values in AVERAGE.findall(log):
        if phase == "Train":
            for found in averages.values():
                for later in [number for number in found if number >= int(epoch)]:
                    del found[later]
        averages[phase][int(epoch)] = {name: float(value) for name, value in VALUE.findall(values)}
    return averages


def points(averages, phase, metric):
    """`(epochs, values)` of a metric, two lists; empty where it is not in the log."""
    found = [(epoch, values[metric]) for epoch, values in sorted(averages[phase].items()) if metric in values]
    return [list(column) for column in zip(*found)] or [[], []]
