"""What is timed: each mode turns a network into a function that runs it once and waits for it."""

import contextlib
import copy
from pathlib import Path

import paddle

from ppcls_mixformer import MixFormer
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
    from paddle import inference

    program = export(model, x, folder)
    config = inference.Config(str(program), str(program.with_suffix(".pdiparams")))
    config.disable_gpu()
    config.disable_glog_info()
    config.set_cpu_math_library_num_threads(threads)
    config.set_mkldnn_cache_capacity(10)
    config.enable_mkldnn()
    if program.suffix == ".json":
        config.enable_new_executor()
    config.enable_memory_optim()
    predictor = inference.create_predictor(config)
    images = x.numpy()

    def run():
        predictor.get_input_handle(predictor.get_input_names()[0]).copy_from_cpu(images)
        predictor.run()
        predictor.get_output_handle(predictor.get_output_names()[0]).copy_to_cpu()

    return run


def onnxruntime(model, x, amp, folder, threads):
    """Exported, converted to ONNX and run by ONNX Runtime."""
    import onnxruntime
    import paddle2onnx

    program = export(model, x, folder)
    path = str(program.with_suffix(".onnx"))
    paddle2onnx.export(
        str(program), str(program.with_suffix(".pdiparams")), path, opset_version=17, optimize_tool="None"
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
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
    programs = (Path(folder) / f"inference.{kind}" for kind in ("json", "pdmodel"))
    return next(program for program in programs if program.exists())


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
