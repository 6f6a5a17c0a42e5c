"""Weights for attention windows of another side: position biases between those that were learned."""

import math

import paddle
import paddle.nn.functional as F

TABLE, INDEX = ".relative_position_bias_table", ".relative_position_index"


def side_of(state):
    """Side of the attention windows of a network with this state dict; None where it has none."""
    rows = {value.shape[0] for name, value in state.items() if name.endswith(TABLE) and len(value.shape) == 2}
    spans = {math.isqrt(count) for count in rows if math.isqrt(count) ** 2 == count}
    return (spans.pop() + 1) // 2 if len(rows) == len(spans) == 1 else None


def resized(own, theirs):
    """The state dict `theirs`, with windows of the side that those of `own` have.

    Its position biases are interpolated bicubically, as Swin's are where it is trained on with larger windows
    (arXiv 2103.14030, section 4.1), and the tables of positions are those of `own`.
    """
    side, before = side_of(own), side_of(theirs)
    if side is None or before is None or side == before:
        return theirs
    state = dict(theirs)
    for name, value in theirs.items():
        if name.endswith(TABLE):
            state[name] = interpolated(value, side)
        elif name.endswith(INDEX) and name in own:
            state[name] = own[name]
    return state


def interpolated(table, side):
    """Position biases `[(2a - 1)², heads]` of windows of a by a as those of `side` by `side`."""
    table = paddle.to_tensor(table)
    span, heads = math.isqrt(table.shape[0]), table.shape[1]
    maps = table.astype("float32").transpose([1, 0]).reshape([1, heads, span, span])
    maps = F.interpolate(maps, size=[2 * side - 1] * 2, mode="bicubic")
    return maps.reshape([heads, -1]).transpose([1, 0]).astype(table.dtype)
