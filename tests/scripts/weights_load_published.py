"""Builds MixFormer-B1 with its published weights, as the trainer of a host does, and saves what it holds.

A file larger than `--largest-file` bytes cannot be written, as on a full disk.
"""

import argparse
import json
import resource
import signal

import paddle

from ppcls_mixformer import MixFormer_B1, paddleclas, paddledet, paddleseg, zoo
from ppcls_mixformer.hosting import cli


def build_alone(overrides):
    return MixFormer_B1(pretrained=True, **overrides)


def build_in_paddleclas(overrides):
    paddleclas.register()
    import ppcls.arch

    return ppcls.arch.MixFormer_B1(pretrained=True, **overrides)


def build_in_paddledet(overrides):
    paddledet.register()
    from ppdet.core.workspace import create, load_config

    load_config("configs/COCO/mask_rcnn_mixformer_b1_1x_coco.yml")  # says pretrained: true
    return create("MixFormer", **overrides)


def build_in_paddleseg(overrides):
    paddleseg.register()
    from paddleseg.cvlibs import manager

    return manager.BACKBONES["MixFormer"](arch="MixFormer_B1", pretrained=True, **overrides)


BUILDERS = {
    "no host": build_alone,
    "paddleclas": build_in_paddleclas,
    "paddledet": build_in_paddledet,
    "paddleseg": build_in_paddleseg,
}


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host", choices=BUILDERS)
    parser.add_argument("address", help="where the published weights are looked for")
    parser.add_argument("output", help="file for the state dict")
    parser.add_argument("--overrides", type=json.loads, default={}, help="arguments of the network")
    parser.add_argument("--largest-file", type=int)
    flags = parser.parse_args(argv)

    # A job in the background of a shell has SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if flags.largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (flags.largest_file, resource.RLIM_INFINITY))
    zoo.WEIGHTS_URL = f"{flags.address}/{{}}_pretrained.pdparams"
    model = BUILDERS[flags.host](flags.overrides)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    paddle.save(model.state_dict(), flags.output)


if __name__ == "__main__":
    cli.run(main)
