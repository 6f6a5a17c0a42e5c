"""The `paddleclas` predict command on any supported Paddle, with the same flags.

PaddleClas's own predictor does the work; three things about it are bridged, see `bridge`.
"""

import os
import re
import sys

import paddle

from ppcls_mixformer.hosting.errors import HostError, in_one_line


def main():
    """`tools/predict.py --inference_model_dir DIR --infer_imgs PATH …`."""
    in_one_line(predict)


def predict():
    """Checks the paths among the flags, then runs the `paddleclas` command on them."""
    check_paths(sys.argv[1:])
    from paddleclas import paddleclas as command
    from paddleclas.deploy.utils import predictor

    bridge(command, predictor)
    command.main()


def check_paths(argv):
    """Refuses pictures, class names or a model folder that are not there."""
    for flag in ("--infer_imgs", "--class_id_map_file", "--inference_model_dir"):
        for position, argument in enumerate(argv):
            value = argument.partition("=")[2] if argument.startswith(f"{flag}=") else None
            if argument == flag and position + 1 < len(argv):
                value = argv[position + 1]
            if value and not value.startswith("http") and not os.path.exists(value):
                raise HostError(f"{flag}: there is no file or folder {value}")


def bridge(command, predictor):
    """Lets PaddleClas 2.6's predictor read today's exports.

    - It asks for `inference.pdmodel` though Paddle 3 reads and writes `inference.json`.
    - Paddle 3: `enable_memory_optim` before `enable_new_executor` ends in "Not find predictor_id".
    - Paddle 2.6: it hands the folder over as if it were a file, which ends in `std::bad_alloc`.
    """
    predictor.Config = inference_config
    check_input_model = command.PaddleClas._check_input_model

    def accept_json(self, model_name, folder):
        if not model_name and folder and os.path.isfile(os.path.join(folder, "inference.json")):
            return "custom", folder
        if not model_name and folder and not os.path.isfile(os.path.join(folder, "inference.pdmodel")):
            raise HostError(
                f"{folder} holds neither inference.json nor inference.pdmodel: "
                "export a checkpoint with tools/export_model.py"
            )
        return check_input_model(self, model_name, folder)

    command.PaddleClas._check_input_model = accept_json


def inference_config(folder, prefix):
    """`paddle.inference.Config` for the program of `folder` that this Paddle reads."""
    names = [f"{prefix}.json", f"{prefix}.pdmodel"]
    if int(re.match(r"\d+", paddle.__version__)[0]) < 3:
        names.reverse()
    programs = [path for path in (os.path.join(folder, name) for name in names) if os.path.isfile(path)]
    if not programs or (programs[0].endswith(".json") and names[0].endswith(".pdmodel")):
        raise HostError(
            f"{folder} holds no {names[0]}, which paddlepaddle {paddle.__version__} reads: "
            "export again with this Paddle"
        )
    config = paddle.inference.Config(programs[0], os.path.join(folder, f"{prefix}.pdiparams"))
    if programs[0].endswith(".json"):
        config.enable_new_executor()
    return config
