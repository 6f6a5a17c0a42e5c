"""The golden files of the published architecture, replayed: how far off this machine is."""

import json
import re
import zlib
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F

from ppcls_mixformer import zoo
from ppcls_mixformer.selftest.finding import Finding, largest

FOLDER = Path(__file__).parent / "golden"
EVALUATIONS = sorted(FOLDER.glob("eval_*.npz"))
STEPS = 60  # of the golden training run
# What may differ: logits and features, and a loss; a gradient's norm, as a share; sums of running statistics,
# which are about 10 or more, as a share.
OUTPUT, GRADIENT, STATISTICS = 1e-4, 1e-2, 1e-4
LEAST = 1e-4  # a share of the largest gradient's norm; smaller ones are mostly rounding
# Losses of the first ten steps; of all; logits after them. Rounding grows from step to step: 0.0075 in a loss
# and 0.063 in a logit, which reach 5, were seen.
FIRST_LOSSES, LOSSES, LOGITS = 1e-3, 0.03, 0.2


# Networks and pictures


def golden_value(name, shape, position_bias=0.5):
    """The value that most golden files were made with, from the entry's own name."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith("_variance") or (len(shape) == 1 and name.endswith(".weight")):
        return random.uniform(0.5, 1.5, shape)
    if name.endswith("relative_position_bias_table"):
        return position_bias * random.standard_normal(shape)
    if len(shape) == 1:
        return 0.1 * random.standard_normal(shape)
    fan_in = np.prod(shape[1:]) if len(shape) == 4 else shape[0]
    return random.standard_normal(shape) / np.sqrt(fan_in)


def trajectory_value(name, shape):
    """The value that the golden training run started from: norms and biases as a fresh network has them."""
    if len(shape) > 1:
        return golden_value(name, shape, position_bias=0.02)
    return np.ones(shape) if name.endswith((".weight", "_variance")) else np.zeros(shape)


def golden_model(name, value=golden_value, **arguments):
    """The variant `name` without stochastic depth, each entry of the state dict from `value(name, shape)`."""
    model = getattr(zoo, name)(drop_path_rate=0.0, **arguments)
    for key, entry in model.state_dict().items():
        if not key.endswith("relative_position_index"):
            entry.set_value(value(key, tuple(entry.shape)).astype("float32"))
    return model


def images(seed, *shape):
    return paddle.to_tensor(np.random.RandomState(seed).standard_normal(shape).astype("float32"))


# Evaluation


def evaluation(path):
    """The finding on the outputs of a network in evaluation; `path` is such as `eval_B0_224x224.npz`."""
    variant, height, width = re.fullmatch(r"eval_(B\d)_(\d+)x(\d+)", Path(path).stem).groups()
    model = golden_model(f"MixFormer_{variant}")
    model.eval()
    found = _outputs(model, images(0, 2, 3, int(height), int(width)))
    with np.load(path) as golden:
        errors = {name: distance(found[name], golden[name]) for name in golden.files}
    return largest(f"evaluation of {variant} at {height}×{width}", errors, OUTPUT)


def _outputs(model, x):
    """What golden files of evaluation hold, by its name there."""
    with paddle.no_grad():
        found = {"logits": model(x).numpy(), "pooled": model.forward_features(x).numpy()}
        stages = [stage.numpy() for stage in model.forward_stages(x)]
    for i, stage in enumerate(stages):
        found[f"stage{i}_shape"] = stage.shape
        found[f"stage{i}_mean"] = stage.mean((2, 3))
        found[f"stage{i}_std"] = stage.std((2, 3))
        found[f"stage{i}_corner"] = stage[:, :8, -3:, -3:]
    return found


def distance(found, expected):
    """The largest difference of two arrays; infinite where their shapes differ."""
    found, expected = np.asarray(found), np.asarray(expected)
    return float(np.abs(found - expected).max()) if found.shape == expected.shape else np.inf


# A training step


def training_step():
    """Yields findings on loss, gradients and running statistics of one step of B0 at 128×128."""
    golden = json.loads((FOLDER / "train_B0_128x128.json").read_text())
    model = golden_model("MixFormer_B0")
    labels = paddle.to_tensor(np.arange(8) * 7 % 1000)
    loss = F.cross_entropy(model(images(1, 8, 3, 128, 128)), labels)
    loss.backward()
    yield Finding("training step of B0: loss", abs(float(loss) - golden["loss"]), OUTPUT)
    norms = {n: np.linalg.norm(p.grad.numpy()) for n, p in model.named_parameters() if not p.stop_gradient}
    yield largest("training step of B0: gradients", _shares(norms, golden["grad_norm"]), GRADIENT)
    state = model.state_dict()
    sums = {name: float(state[name].numpy().sum()) for name in golden["bn_sum_after_step"]}
    errors = {
        name: abs(sums[name] - total) / max(10, abs(total))
        for name, total in golden["bn_sum_after_step"].items()
    }
    yield largest("training step of B0: running statistics", errors, STATISTICS)


def _shares(norms, golden):
    """What share of each norm is missing or too much; infinite for a gradient that one side lacks."""
    least = LEAST * max(golden.values())
    shares = dict.fromkeys(norms.keys() ^ golden.keys(), np.inf)
    for name in norms.keys() & golden.keys():
        if golden[name] >= least:
            shares[name] = abs(norms[name] - golden[name]) / golden[name]
    return shares


# Sixty training steps


def trajectory():
    """Yields findings on losses of B0 at 64×64 through sixty steps, and on what it says after them."""
    golden = json.loads((FOLDER / "trajectory_B0_64x64.json").read_text())
    classes = np.arange(64) * 7 % 10
    pictures = np.random.RandomState(7).standard_normal((64, 3, 64, 64)).astype("float32")
    pictures += (0.2 * classes).astype("float32").reshape([64, 1, 1, 1])
    model = golden_model("MixFormer_B0", trajectory_value, class_num=10)
    losses = _train(model, golden["decayed"], pictures, classes)
    errors = {f"step {i}": abs(loss - golden["losses"][i]) for i, loss in enumerate(losses)}
    first = dict(list(errors.items())[:10])
    yield largest("training of B0: losses of ten steps", first, FIRST_LOSSES)
    yield largest(f"training of B0: losses of {STEPS} steps", errors, LOSSES)
    model.eval()
    with paddle.no_grad():
        logits = model(paddle.to_tensor(pictures[:4])).numpy()
    yield Finding(f"training of B0: logits after {STEPS} steps", distance(logits, golden["logits"]), LOGITS)


def _train(model, names, pictures, classes):
    """Losses of the golden run; `names` are of the parameters that decay."""
    schedule = paddle.optimizer.lr.CosineAnnealingDecay(8e-4, 200)
    parameters = dict(model.named_parameters())
    decayed = {parameters[name].name for name in names}
    optimizer = paddle.optimizer.AdamW(
        schedule,
        epsilon=1e-8,
        parameters=model.parameters(),
        weight_decay=0.04,
        apply_decay_param_fun=decayed.__contains__,
    )
    model.train()
    losses = []
    for step in range(STEPS):
        x, y = _batch(step, pictures, classes)
        loss = F.cross_entropy(model(x), y, soft_label=True)
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        schedule.step()
        losses.append(float(loss))
    return losses


def _batch(step, pictures, classes):
    """Pictures and soft labels of a step of the golden run: Mixup, then label smoothing."""
    chosen = np.random.RandomState(100 + step).permutation(64)[:16]
    other = np.random.RandomState(500 + step).permutation(16)
    share = np.random.RandomState(900 + step).beta(0.2, 0.2)
    x, y = pictures[chosen], np.eye(10)[classes[chosen]]
    x, y = (share * a + (1 - share) * a[other] for a in (x, y))
    return paddle.to_tensor(x.astype("float32")), paddle.to_tensor((y * 0.9 + 0.01).astype("float32"))
