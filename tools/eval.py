"""Evaluates a model: `python tools/eval.py -c CONFIG -o Global.pretrained_model=PATH`."""

from start import run

if __name__ == "__main__":
    run("evaluate")
