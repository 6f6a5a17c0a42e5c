"""Trains a model: `python tools/train.py -c CONFIG [-o key=value …]`, PaddleClas's flags."""

from start import run

if __name__ == "__main__":
    run("train")
