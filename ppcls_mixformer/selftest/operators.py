"""Operator calls and casts of a training step: of one Mixing Block, and of the whole network.

In float32 they are counted from Paddle's operator log, which only a process of its own can switch on. In
mixed precision they are counted in the graph of the same step: the CPU has no kernels for it, and Paddle
writes the same casts into a graph; this needs Paddle 3. `python -m ppcls_mixformer.selftest.operators B0`
prints the counts.
"""

import collections
import json
import os
import re
import subprocess
import sys

from ppcls_mixformer.hosting.children import environment
from ppcls_mixformer.hosting.errors import UserError, error_line, first_line

SHAPES = ("reshape", "flatten", "squeeze", "unsqueeze")
# They give a tensor another shape, or hand out its parts, and run no kernel.
VIEWS = {"unbind", *SHAPES, *(f"{name}_grad" for name in SHAPES)}
LOGGED = re.compile(r"Running AD API(?: GRAD)?: (\w+)|== (\w+) (\w+) ==")
MODULE = "ppcls_mixformer.selftest.operators"
PATIENCE = 600  # seconds
STAGE, BLOCK = 2, 0  # its map is one of 14 by 14, which no window pads


PARTS = ("block", "network")


def count(variant="MixFormer_B0", amp_level=None, parts=PARTS):
    """The operator calls of a training step, as a GPU gets them; whichever device counts.

    Args:
        variant: name of a builder, such as MixFormer_B0.
        amp_level: "O1" for mixed precision at that level in bfloat16, None for float32.
        parts: of which to count: "block", one Mixing Block, and "network"; both have stochastic depth.

    Returns:
        `{"block": {"forward": numbers, "backward": numbers}, "network": …}`. The numbers are `calls`, which
        run a kernel and are no casts, `views`, which only give a tensor another shape, and `casts`.

    Raises:
        UserError: Paddle cannot count them; the message says why.
    """
    counts = counted(variant, amp_level, parts)
    return {part: {way: numbers(counter) for way, counter in ways.items()} for part, ways in counts.items()}


def numbers(counter):
    """`calls`, `views` and `casts` of a `Counter` of names of operators."""
    kinds = collections.Counter()
    for name, calls in counter.items():
        kinds[kind(name)] += calls
    return {key: kinds[key] for key in ("calls", "views", "casts")}


def kind(name):
    """What an operator counts as."""
    if name in ("cast", "cast_grad"):
        return "casts"
    return "views" if name in VIEWS else "calls"


def counted(variant="MixFormer_B0", amp_level=None, parts=PARTS):
    """As `count`, with a `Counter` of the operators' names in place of the numbers."""
    request = json.dumps([variant, amp_level, list(parts)])
    done = subprocess.run(
        [sys.executable, "-m", MODULE, request],
        env=environment(GLOG_v="0" if amp_level else "3"),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=PATIENCE,
    )
    if done.returncode:
        raise UserError(f"operators of {variant} could not be counted: {error_line(done.stderr)}")
    counts = json.loads(done.stdout.splitlines()[-1]) if amp_level else of_log(done.stderr)
    if not counts:
        raise UserError("this Paddle logs no operators: none could be counted")
    return {part: {way: collections.Counter(ways[way]) for way in ways} for part, ways in counts.items()}


def of_log(log):
    """`{part: {way: {operator: calls}}}` of Paddle's log with the lines of `mark` in it."""
    counts, current = {}, None
    for operator, part, way in LOGGED.findall(log):
        if part:
            current = counts.setdefault(part, {}).setdefault(way, collections.Counter())
        elif current is not None:
            current[operator] += 1
    counts.pop("end", None)
    return counts


def main(request):
    """In the process that counts: runs the steps, or prints what their graphs hold as JSON."""
    import paddle

    import ppcls_mixformer
    from ppcls_mixformer.network import ops
    from ppcls_mixformer.network.layers import drop_masks_of
    from ppcls_mixformer.network.windows import window_grid

    variant, amp_level, wanted = json.loads(request)
    if amp_level and ops.PADDLE_2:
        sys.exit("Error: mixed precision is counted with Paddle 3")
    ops.runs_on_cpu = lambda: False  # the forms for other devices
    model = getattr(ppcls_mixformer, variant)(class_num=10, drop_path_rate=0.1)
    stage, shape = model.layers[STAGE], [2, 14 * 14, model.stage_dims[STAGE]]
    grid = window_grid((14, 14), stage.window_size, stage.num_heads)
    masks = drop_masks_of(stage.blocks, paddle.rand(shape))  # one draw for all blocks of the stage
    parts = {
        "block": (stage.blocks[BLOCK], shape, (grid, masks[BLOCK])),
        "network": (model, [2, 3, 224, 224], ()),
    }
    parts = {name: parts[name] for name in wanted}
    if amp_level is None:
        for name, (layer, shape, arguments) in parts.items():
            log_step(name, layer, paddle.rand(shape), arguments)
        return
    # They take half precision as it comes and cast nothing, but the CPU has no kernel for them in it.
    paddle.nn.functional.batch_norm = paddle.nn.layer.norm.batch_norm = lambda x, *_, **__: paddle.scale(x)
    counts = {
        name: graph_of_step(layer, shape, arguments, amp_level)
        for name, (layer, shape, arguments) in parts.items()
    }
    print(json.dumps(counts))


def log_step(name, layer, x, arguments):
    """Runs a training step of `layer` with marks in the log."""
    x.stop_gradient = False
    layer(x, *arguments)  # what is built once is no part of a step
    mark(name, "forward")
    out = layer(x, *arguments)
    mark(name, "backward")
    out.backward(out.detach())
    mark("end", "of")


def mark(part, way):
    """Writes to the log where the part of a step begins."""
    os.write(2, f"\n== {part} {way} ==\n".encode())


def graph_of_step(layer, shape, arguments, level):
    """`{way: {operator: calls}}` of the graph of a training step in mixed precision."""
    import paddle
    from paddle.autograd.ir_backward import grad

    def forward(x):
        with paddle.amp.auto_cast(level=level, dtype="bfloat16"):
            return layer(x, *arguments)

    spec = paddle.static.InputSpec(shape, "float32", name="x", stop_gradient=False)
    concrete = paddle.jit.to_static(forward, input_spec=[spec], full_graph=True).concrete_program
    program, outputs = concrete.main_program, concrete.outputs
    forward_operators = names_of(program)
    inputs = [value for value in concrete.parameters[1] if not value.stop_gradient]
    paddle.enable_static()
    with paddle.static.program_guard(program):
        grad(outputs, inputs, allow_unused=True)
    return {
        "forward": forward_operators,
        "backward": names_of(program) - forward_operators,
    }


def names_of(program):
    """A `Counter` of a graph's operators, without what only holds constants, inputs and outputs."""
    names = collections.Counter(operator.name() for operator in program.global_block().ops)
    constants = {"pd_op.data", "pd_op.full", "pd_op.full_int_array", "pd_op.full_like", "pd_op.shadow_output"}
    return collections.Counter(
        {
            name.partition(".")[2].rstrip("_"): calls
            for name, calls in names.items()
            if name.startswith("pd_op.") and name not in constants
        }
    )


if __name__ == "__main__":
    if sys.argv[1].startswith("["):
        main(sys.argv[1])
    else:
        for level in (None, "O1"):
            try:
                print(level or "float32", json.dumps(count(f"MixFormer_{sys.argv[1]}", level)))
            except UserError as error:
                sys.exit(f"error: {first_line(error)}")
