"""Trees out of files, in which a branch may hang in several places, or in itself."""

DEPTH = 100


def check_size(root, branches, size):
    """Checks that the tree `root` ends, and has no more than `size` nodes once it is written out in full.

    Args:
        branches: called with a node; returns the nodes below it.

    Raises:
        ValueError: it contains itself, is nested too deeply or expands too far; the message says which.
    """
    if _count(root, branches, {}, 0) > size:
        raise ValueError(f"written out in full it has more than {size} parts")


def _count(node, branches, counts, depth):
    """How many nodes `node` has in full; `counts` has those counted, None for those in progress."""
    key = id(node)
    if key not in counts:
        if depth > DEPTH:
            raise ValueError(f"it is nested more than {DEPTH} levels deep")
        counts[key] = None
        counts[key] = 1 + sum(_count(below, branches, counts, depth + 1) for below in branches(node))
    if counts[key] is None:
        raise ValueError("it contains itself")
    return counts[key]
