"""What a training run says of its epochs, read from the log that PaddleClas's trainer writes."""

import re

AVERAGE = re.compile(r"\[(Train|Eval)\]\[Epoch (\d+)[^]]*\]\[Avg\](.*)")
VALUE = re.compile(r"(\w+): (-?\d[\d.]*(?:e[-+]?\d+)?)")


def read_averages(log):
    """`{"Train": {epoch: {metric: value}}, "Eval": …}` from the text of a log.

    A run that goes on, or starts anew in the same file, takes the place of the epochs that it repeats and of
    those behind them. Of two evaluations of an epoch the second is that of averaged weights, `"EMA"`.
    """
    averages = {"Train": {}, "Eval": {}}
    for phase, epoch, values in AVERAGE.findall(log):
        if phase == "Train":
            for known in averages.values():
                for later in [number for number in known if number >= int(epoch)]:
                    del known[later]
        found = {name: float(value) for name, value in VALUE.findall(values)}
        is_averaged = phase == "Eval" and int(epoch) in averages["Eval"]
        averages.setdefault("EMA" if is_averaged else phase, {})[int(epoch)] = found
    return averages


def points(averages, phase, metric):
    """`(epochs, values)` of a metric, two lists; empty where it is not in the log."""
    found = [
        (epoch, values[metric])
        for epoch, values in sorted(averages.get(phase, {}).items())
        if metric in values
    ]
    return [list(column) for column in zip(*found)] or [[], []]
