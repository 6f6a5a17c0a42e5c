"""How much memory a process can still have."""

import contextlib
import re
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
# Of each release of control groups: where its folders are, and in them the limit, the use, and the caches.
LIMITS = (
    ("", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def available():
    """Bytes that this process can have before something is ended for want of them, swap included.

    Returns:
        None where the system does not tell.
    """
    found = [_of_the_machine(), *(_of_a_group(*names) for names in LIMITS)]
    return min((size for size in found if size is not None), default=None)


def _of_the_machine():
    with contextlib.suppress(OSError, KeyError):
        sizes = dict(re.findall(r"^(\w+): +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE))
        return 1024 * (int(sizes["MemAvailable"]) + int(sizes["SwapFree"]))
    return None


def _of_a_group(folder, limit, use, cache):
    """What the group of a container has left, which is seen there as the root of all groups."""
    root = GROUPS / folder
    with contextlib.suppress(OSError, ValueError, KeyError):
        stat = dict(line.split() for line in (root / "memory.stat").read_text().splitlines())
        used = int((root / use).read_text()) - int(stat[cache])
        return max(int((root / limit).read_text()) - used, 0)  # no number: without a limit
    return None
