"""What is timed: each mode turns a network into a function that runs it once and waits for it."""

import contextlib
import copy
from pathlib import Path

import paddle

from ppcls_mixformer import MixFormer
from ppcls_mixformer.hosting import onnx
from ppcls_mixformer.hosting.inference import find_program, predictor
from ppcls_mixformer.network.fuse import fuse_for_inference


def autocast(amp):
    """Automatic mixed precision of level `amp`, `O1` or `O2`, or none for `O0`."""
    return contextlib.nullcontext() if amp == "O0" else paddle.amp.auto_cast(level=amp, dtype="float16")


def evaluation(model, x, amp, folder, threads):
    """Forward pass without gradients, in dynamic graph mode."""
    model.eval()
    if amp == "O2":
        model = paddle.amp.decorate(model, level="O2")

    def run():
        with paddle.no_grad(), autocast(amp):
            model(x)
        synchronize()

    return run


def training(model, x, amp, folder, threads):
    """Forward, backward and AdamW step, in dynamic graph mode."""
    model.train()
    optimizer = paddle.optimizer.AdamW(1e-4, parameters=model.parameters())
    if amp == "O2":
        model, optimizer = paddle.amp.decorate(model, optimizer, level="O2")
    scaler = paddle.amp.GradScaler(enable=amp != "O0")
    labels = paddle.zeros([x.shape[0]], dtype="int64")

    def run():
        with autocast(amp):
            loss = paddle.nn.functional.cross_entropy(model(x), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.clear_grad()
        synchronize()

    return run


def onednn(model, x, amp, folder, threads):
    """Exported as `tools/export_model.py` does, in paddle.inference with oneDNN."""
    run, images = predictor(export(model, x, folder), onednn=True, threads=threads), x.numpy()
    return lambda: run(images)


def onnxruntime(model, x, amp, folder, threads):
    """Exported, converted to ONNX and run by ONNX Runtime."""
    program = export(model, x, folder)
    path = program.with_suffix(".onnx")
    onnx.convert(program, path)
    session = onnx.session(path, threads)
    feed = {session.get_inputs()[0].name: x.numpy()}
    return lambda: session.run(None, feed)


MODES = {"evaluation": evaluation, "training": training, "onednn": onednn, "onnxruntime": onnxruntime}


def export(model, x, folder):
    """Exports `model`, a MixFormer fused for inference, with the batch left open; returns the program."""
    # A copy in either case: to_static changes the network that it is given.
    model = fuse_for_inference(model) if isinstance(model, MixFormer) else copy.deepcopy(model)
    model.eval()
    spec = paddle.static.InputSpec([None, *x.shape[1:]], "float32", name="x")
    static = paddle.jit.to_static(model, input_spec=[spec], full_graph=True)
    paddle.jit.save(static, str(Path(folder) / "inference"))
    return find_program(folder)


class Product(paddle.nn.Layer):
    """Two square linear layers, `[N, side]` to `[N, side]`: nothing but matrix products."""

    def __init__(self, side):
        super().__init__()
        self.first, self.second = paddle.nn.Linear(side, side), paddle.nn.Linear(side, side)

    def forward(self, x):
        return self.second(self.first(x))


def synchronize():
    """Waits for the GPU, where there is one."""
    if paddle.device.get_device().startswith("gpu"):
        paddle.device.synchronize()
