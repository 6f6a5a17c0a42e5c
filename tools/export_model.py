"""Exports a model: `python tools/export_model.py -c CONFIG -o Global.pretrained_model=PATH [--onnx]`."""

from start import run

if __name__ == "__main__":
    run("export")
