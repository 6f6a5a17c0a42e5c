"""Whether a GPU has kernels for every operator of the network: Paddle's registry says so, without a GPU."""

import re

import paddle

from ppcls_mixformer.selftest.finding import Finding

TYPES = {"float", "float16", "bfloat16"}  # as the registry calls them
ON_GPU = re.compile(r"data_type\[(?:[^]]*::)?(\w+)\].*place\[Place\(gpu")
# Operators that run another one's kernel.
KERNELS = {
    "assign_out_": "assign",
    "scale_grad": "scale",
    "split_with_num_grad": "concat",
    "unbind_grad": "stack",
}


def missing(used):
    """The finding on operators that lack a kernel on a GPU; `used` are their names, without doubles."""
    known = on_gpu()
    lacking = [name for name in sorted(used) if not TYPES <= known.get(KERNELS.get(name, name), set())]
    name = f"operators of {len(used)} that have no GPU kernel in float32, float16 or bfloat16"
    return Finding(name, len(lacking), 0, ", ".join(lacking) or None)


def on_gpu():
    """Types of the kernels for a GPU, by operator; a Paddle for the CPU has none.

    The registry has names of its own, such as `elementwise_add`; what it calls the kernel is mostly, but not
    always, the name of the operator.
    """
    found = {}
    for name, kernels in paddle.base.core._get_all_register_op_kernels("phi").items():
        types = {match[1] for match in map(ON_GPU.search, kernels) if match}
        for alias in {name, paddle.base.core._get_phi_kernel_name(name)}:
            found.setdefault(alias, set()).update(types)
    return found
