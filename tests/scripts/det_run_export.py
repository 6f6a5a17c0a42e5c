"""Runs an exported network on stored inputs: det_run_export.py PROGRAM EXPECTED FOUND oneDNN|plain.

EXPECTED and FOUND are .npz files; an array's name is `CASE/in/NAME` or `CASE/out/NUMBER`. FOUND gets the
outputs of each case in EXPECTED. Paddle's own interface alone is used, as somebody who deploys has it.
"""

import sys
from pathlib import Path

import numpy as np
from paddle import inference


def predictor(program, onednn):
    config = inference.Config(str(program), str(program.with_suffix(".pdiparams")))
    config.disable_gpu()
    config.disable_glog_info()
    if onednn:
        config.enable_mkldnn()
    elif hasattr(config, "disable_mkldnn"):
        config.disable_mkldnn()
    return inference.create_predictor(config)


def main(program, expected, found, mode):
    network = predictor(Path(program), mode == "oneDNN")
    data, arrays = np.load(expected), {}
    for case in sorted({name.split("/")[0] for name in data}):
        for name in network.get_input_names():
            network.get_input_handle(name).copy_from_cpu(data[f"{case}/in/{name}"])
        network.run()
        for number, name in enumerate(network.get_output_names()):
            arrays[f"{case}/out/{number}"] = network.get_output_handle(name).copy_to_cpu()
    np.savez(found, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
