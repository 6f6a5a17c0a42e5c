"""Whether a GPU has kernels for every operator of the network: Paddle's registry says so, without a GPU."""

import re

import paddle

from ppcls_mixformer.selftest import operators
from ppcls_mixformer.selftest.finding import Finding

TYPES = {"float": "float32", "float16": "float16", "bfloat16": "bfloat16"}  # by their names in the registry
ON_GPU = re.compile(r"data_type\[(?:.*::)?(\w+)\].*place\[Place\(gpu")


def missing():
    """The finding on operators of a training step, forward and backward, that lack a kernel on a GPU."""
    steps = operators.counted()["network"].values()
    used = sorted({name for step in steps for name in step})
    known = on_gpu()
    lacking = [name for name in used if not TYPES.keys() <= known.get(name, set())]
    name = f"operators of {len(used)} that have no GPU kernel in float32, float16 or bfloat16"
    return Finding(name, len(lacking), 0, ", ".join(lacking) or None)


def on_gpu():
    """Types of the kernels for a GPU, by operator; a Paddle for the CPU has none."""
    found = {}
    for name, kernels in paddle.base.core._get_all_register_op_kernels("phi").items():
        types = {match[1] for match in map(ON_GPU.search, kernels) if match}
        found.setdefault(paddle.base.core._get_phi_kernel_name(name), set()).update(types)
    return found
