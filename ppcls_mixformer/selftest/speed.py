"""Images a second and memory of a network, in a process that does nothing else."""

import statistics
import time
from typing import NamedTuple

from ppcls_mixformer.benchmark.worker import peak_memory, silence

NETWORK, SIZE, CLASSES = "MixFormer_B0", 224, 1000
NO_AUTO_CAST = "Paddle's auto_cast does nothing on a CPU"


class Task(NamedTuple):
    """What is measured.

    Attributes:
        device: `cpu` or `gpu`.
        mode: `training` or `evaluation`.
        precision: `float32`, or `O1` of mixed precision.
        batch: pictures a step.
        warm_up: steps that do not count.
        steps: steps that do.
    """

    device: str
    mode: str
    precision: str
    batch: int
    warm_up: int
    steps: int

    def facts(self):
        """What of it a reader has to know, as JSON takes it."""
        return {"network": NETWORK, "mode": self.mode, "precision": self.precision, "batch": self.batch}

    def obstacle(self):
        """Why it cannot be measured; empty where it can."""
        return NO_AUTO_CAST if (self.device, self.precision) == ("cpu", "O1") else ""


def tasks(device):
    """All that is measured on `device`."""
    batch, warm_up, steps = (64, 5, 20) if device == "gpu" else (8, 1, 5)
    return [
        Task(device, mode, precision, batch, warm_up, steps)
        for mode in ("training", "evaluation")
        for precision in ("float32", "O1")
    ]


def measure(task):
    """Images a second by the median step, seconds of each step, and the peak of memory in bytes."""
    with silence():
        seconds, memory = _run(task)
    speed = task.batch / statistics.median(seconds)
    return {**task.facts(), "images_per_second": speed, "memory": memory, "seconds": seconds}


def _run(task):
    import paddle

    paddle.set_device(task.device)
    step = _training(task) if task.mode == "training" else _evaluation(task)
    seconds = []
    for i in range(task.warm_up + task.steps):
        start = time.perf_counter()
        step()
        if task.device == "gpu":
            paddle.device.cuda.synchronize()
        if i >= task.warm_up:
            seconds.append(time.perf_counter() - start)
    return seconds, paddle.device.cuda.max_memory_allocated() if task.device == "gpu" else peak_memory()


def _evaluation(task):
    """A function that classifies the same pictures again and again."""
    import paddle

    from ppcls_mixformer import zoo

    model, x = getattr(zoo, NETWORK)(), paddle.randn([task.batch, 3, SIZE, SIZE])
    model.eval()

    def step():
        with paddle.no_grad(), paddle.amp.auto_cast(enable=task.precision == "O1", level="O1"):
            model(x)

    return step


def _training(task):
    """A function that trains on the same pictures again and again."""
    import paddle
    import paddle.nn.functional as F

    from ppcls_mixformer import zoo

    model, x = getattr(zoo, NETWORK)(), paddle.randn([task.batch, 3, SIZE, SIZE])
    labels = paddle.arange(task.batch) % CLASSES
    optimizer = paddle.optimizer.AdamW(1e-4, parameters=model.parameters())
    is_mixed = task.precision == "O1"
    scaler = paddle.amp.GradScaler(enable=is_mixed)

    def step():
        with paddle.amp.auto_cast(enable=is_mixed, level="O1"):
            loss = F.cross_entropy(model(x), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.clear_grad()

    return step
