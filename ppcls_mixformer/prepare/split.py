"""Pictures are split by a seed, each class in the same shares, and copies of a picture stay together."""

import random
from collections import Counter, defaultdict
from typing import Any, Dict, List, NamedTuple

SPLITS = ("train", "val", "test")
RATIO = 10  # between the counts of two classes, above which lines of the rarer are repeated


class Sorted(NamedTuple):
    """Which pictures go where.

    Attributes:
        splits: indices of pictures by split, in their order.
        contradictory: indices of pictures whose copies have other labels.
        leaked: indices of pictures of which a later split has a copy.
        duplicates: indices of pictures of which there is a copy before, in the same split.
    """

    splits: Dict[str, List[int]]
    contradictory: List[int]
    leaked: List[int]
    duplicates: List[int]


def sort_out(pictures, digests, shares, seed):
    """Splits pictures, as far as their own splits do not say it.

    Args:
        digests: of the pixels of each picture, equal for copies.
        shares: `{"val": …, "test": …}`, from 0 to 1, of pictures for training that go elsewhere.
    """
    copies = defaultdict(list)
    for index, digest in enumerate(digests):
        copies[digest].append(index)
    contradictory, leaked, duplicates, groups = [], [], [], []
    splits = {name: [] for name in SPLITS}
    for group in copies.values():
        if len({pictures[index].labels for index in group}) > 1:
            contradictory += group
            continue
        last = max(SPLITS.index(pictures[index].split or "train") for index in group)
        here = [index for index in group if SPLITS.index(pictures[index].split or "train") == last]
        leaked += [index for index in group if index not in here]
        duplicates += here[1:]
        if last:
            splits[SPLITS[last]] += here
        else:
            groups.append(here)
    shares = {name: share for name, share in shares.items() if share and not splits[name]}
    labels = [pictures[group[0]].labels for group in groups]
    for group, name in zip(groups, stratify(labels, list(map(len, groups)), shares, seed)):
        splits[name] += group
    return Sorted(
        {name: sorted(indices) for name, indices in splits.items() if indices},
        sorted(contradictory),
        sorted(leaked),
        sorted(duplicates),
    )


def stratify(labels, sizes, shares, seed):
    """Name of the split of each group of pictures, by iterative stratification (Sechidis et al., 2011).

    A class with at least as many groups as there are splits is in all of them; training comes first.

    Args:
        labels: of each group, a tuple; `sizes`: how many pictures it is.
    """
    names = ["train", *shares]
    own = [tuple(group) or (None,) for group in labels]  # without a label they are a class as well
    waiting, counts = defaultdict(set), Counter()
    for index, group in enumerate(own):
        for label in group:
            waiting[label].add(index)
            counts[label] += sizes[index]
    wanted = {label: _wanted(counts[label], len(waiting[label]), shares) for label in waiting}
    shuffled = list(range(len(labels)))
    random.Random(seed).shuffle(shuffled)
    place = {index: number for number, index in enumerate(shuffled)}
    chosen = [None] * len(labels)
    while waiting:
        rarest = min(waiting, key=lambda label: (len(waiting[label]), str(label)))
        for index in sorted(waiting.pop(rarest), key=place.get):
            name = max(names, key=lambda name: (wanted[rarest][name], -names.index(name)))
            chosen[index] = name
            for label in own[index]:
                wanted[label][name] -= sizes[index]
                waiting.get(label, set()).discard(index)
        for label in [label for label, groups in waiting.items() if not groups]:
            del waiting[label]
    return chosen


def _wanted(count, groups, shares):
    """How many pictures of a class each split should have; at least one where there are enough."""
    wanted = {}
    for position, (name, share) in enumerate(shares.items()):
        wanted[name] = max(share * count, 1 if groups > position + 1 else 0)
    return {"train": max(count - sum(wanted.values()), 1), **wanted}


def repeats(labels):
    """How often each picture stands in the training list, so that no class is too rare.

    Where the counts of two classes differ by more than RATIO times, the lines of the rarer are repeated until
    it has a RATIOth of the most frequent one; a picture of several classes follows the rarest.

    Args:
        labels: of each picture for training.
    """
    counts = Counter(label for group in labels for label in group)
    most = max(counts.values(), default=0)
    needed = {label: max(1, -(-most // (RATIO * count))) for label, count in counts.items()}
    return [max((needed[label] for label in group), default=1) for group in labels]


def class_counts(classes, labels, times: Any = None):
    """How many pictures each class has, in the order of `classes`; `times` that each is counted."""
    counts = Counter()
    for index, group in enumerate(labels):
        counts.update(dict.fromkeys(group, times[index] if times else 1))
    return [counts[name] for name in classes]
