"""From matching pairs to clusters: connected components, all their pairs compared, then average link.

Closure alone chains records through single wrong pairs; average link joins two groups only while the mean weight of all
pairs between them stays above the cut.
"""

import numpy as np

from mpiedge.cleaning.answers import CERTAIN

LARGEST_COMPONENT, SMALLEST_LIMIT = 1500, 100
COMPLETED_PAIRS = 10_000_000  # compared in all components together; above it large components are cut sooner
STRONGEST = 5.0  # weights count within this distance of the cut
BATCH_PAIRS = 20_000


def components(a: np.ndarray, b: np.ndarray, records: int) -> np.ndarray:
    """Local: for each record the smallest record connected with it, int64 (records,)."""
    label = np.arange(records)
    while len(a):  # every label is a root here: a record that is its own label
        low = np.minimum(label[a], label[b])
        for root in (label[a], label[b]):
            np.minimum.at(label, root, low)  # only roots are moved, so that no record loses its tree
        while not np.array_equal(label, root := label[label]):
            label = root
        apart = label[a] != label[b]
        a, b = a[apart], b[apart]
    return label


def bounded_components(a, b, weight, cut: float, records: int) -> tuple[np.ndarray, int]:
    """Local: components over pairs above the cut; inside one that is too large the cut rises by 1 until it is not.

    Too large: above 1,500 records, halved (down to 100) while the pairs inside all components are too many to compare.
    Returns (label, how many components had to be cut).
    """
    strong = weight > cut
    a, b, weight = a[strong], b[strong], weight[strong]
    label = components(a, b, records)
    limit, split = LARGEST_COMPONENT, 0
    while True:
        size = np.bincount(label, minlength=records).astype(np.int64)
        large = size > limit
        if large.any():
            split = max(split, int(large.sum()))
            cut += 1.0
            kept = ~large[label[a]] | (weight > cut)
            a, b, weight = a[kept], b[kept], weight[kept]
            label = components(a, b, records)
        elif limit > SMALLEST_LIMIT and (size * (size - 1) // 2).sum() > COMPLETED_PAIRS:
            limit //= 2
        else:
            return label, split


def average_link(strength: np.ndarray) -> np.ndarray:
    """Local: clusters (smallest member's number, int64 (n,)) of a symmetric matrix of strengths, float64.

    The matrix is used up. Joins the two clusters of the highest mean strength while it is not negative; ties by lower
    number.
    """
    n = len(strength)
    label = np.arange(n)
    mean = strength
    np.fill_diagonal(mean, np.inf)
    if n > 1 and mean.min() >= 0:
        return np.zeros(n, np.int64)
    np.fill_diagonal(mean, -np.inf)
    size = np.ones(n)
    best = mean.argmax(axis=1)
    value = mean[np.arange(n), best]
    while True:
        first = int(value.argmax())
        if not value[first] >= 0:
            return label
        low, high = sorted((first, int(best[first])))
        merged = (size[low] * mean[low] + size[high] * mean[high]) / (size[low] + size[high])
        merged[[low, high]] = -np.inf
        merged[value == -np.inf] = -np.inf
        size[low] += size[high]
        mean[low] = mean[:, low] = merged
        mean[high] = mean[:, high] = -np.inf
        label[label == high] = low
        value[high] = -np.inf
        stale = np.flatnonzero((best == low) | (best == high) | (merged >= value))
        stale = stale[value[stale] > -np.inf]
        best[low], value[low] = merged.argmax(), merged.max()
        if len(stale):
            best[stale] = mean[stale].argmax(axis=1)
            value[stale] = mean[stale, best[stale]]


def cluster(stage, a, b, weight, cut: float, records: int, score, floor: float):
    """Collective: labels (smallest record of the cluster, int64 (records,)), the pairs completed, and a summary.

    a, b, weight: candidate pairs, the same on every rank; score(a, b): a generator yielding None, returning the float
    weights of any pairs. Components of three and more are completed: a task is one component, or several small ones,
    largest first; pairs that are candidates are not compared anew. Returns also (a, b, weight) of completed pairs at or
    above `floor`. Messages: labels and these pairs.
    """
    label, split = bounded_components(a, b, weight, cut, records)
    member, start, size = _members(label)
    batch = _batches(size)
    known, known_weight = _weights_inside(a, b, weight, label)

    def weights_of(left, right):
        """A generator that yields None and returns the weights of pairs, of which few are compared anew."""
        key = left.astype(np.int64) * records + right
        place = np.minimum(np.searchsorted(known, key), len(known) - 1)
        weights, missing = known_weight[place].astype(np.float64), np.flatnonzero(known[place] != key)
        del key, place
        for piece in range(0, len(missing), BATCH_PAIRS):
            chosen = missing[piece:piece + BATCH_PAIRS]
            weights[chosen] = yield from score(left[chosen], right[chosen])
        return weights

    def work(task):
        (number,) = task
        groups = [member[start[k]:start[k] + size[k]] for k in range(batch[number], batch[number + 1])]
        places = [np.triu_indices(len(group), 1) for group in groups]
        left, right = (np.concatenate([group[place[side]] for group, place in zip(groups, places)]) for side in (0, 1))
        weights = yield from weights_of(left, right)
        labels, at = [], 0
        for group, (row, column) in zip(groups, places):
            mine = weights[at:at + len(row)]
            at += len(row)
            strength = np.zeros((len(group), len(group)))
            strength[row, column] = np.where(np.abs(mine) < CERTAIN, np.clip(mine - cut, -STRONGEST, STRONGEST),
                                             mine * len(group))
            strength[column, row] = strength[row, column]
            labels.append(group[average_link(strength)])
            yield
        near = weights >= floor
        return {"label": np.concatenate(labels), "a": left[near].astype(np.int32), "b": right[near].astype(np.int32),
                "weight": weights[near]}

    tasks = [(number,) for number in range(len(batch) - 1)]
    pairs = size.astype(np.float64) * (size - 1) / 2
    results = stage.queue.run(tasks, work, name="clusters", kept="clusters",
                              cost=lambda task: float(pairs[batch[task[0]]:batch[task[0] + 1]].sum()))
    completed = []
    for (number,), message in stage.queue.gather(results):
        where = np.concatenate([np.arange(start[k], start[k] + size[k])
                                for k in range(batch[number], batch[number + 1])])
        label[member[where]] = message["label"]
        completed.append((message["a"], message["b"], message["weight"]))
    empty = (np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0))
    completed = tuple(np.concatenate(column) for column in zip(empty, *completed))
    return label, completed, {"components_of_three_and_more": len(size), "largest_component": int(size[0]) if len(size)
                              else int(min(len(a), 1) + 1), "components_cut": split}


def _weights_inside(a, b, weight, label) -> tuple[np.ndarray, np.ndarray]:
    """Local: the candidates inside components of three and more as a * records + b, ascending, and their weights."""
    large = np.bincount(label)[label] >= 3
    inside = np.flatnonzero(large[a] & large[b])
    inside = inside[label[a[inside]] == label[b[inside]]]
    key = a[inside].astype(np.int64) * len(label) + b[inside]
    order = np.argsort(key)
    return key[order], weight[inside[order]]


def _members(label: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Local: the records of all components of three and more, each component's together, largest first, and where each
    begins and how many it has."""
    member = np.flatnonzero(np.bincount(label)[label] >= 3).astype(np.int32)
    member = member[np.argsort(label[member], kind="stable")]
    start = np.flatnonzero(np.diff(label[member], prepend=-1))
    size = np.diff(np.append(start, len(member)))
    order = np.argsort(-size, kind="stable")
    return member, start[order], size[order]


def _batches(size: np.ndarray) -> list[int]:
    """Bounds of runs of components whose pairs fit one task (a large component is a task of its own)."""
    bounds, load = [0], 0
    for number, members in enumerate(size.tolist()):
        pairs = members * (members - 1) // 2
        if load and load + pairs > BATCH_PAIRS:
            bounds.append(number)
            load = 0
        load += pairs
    return [*bounds, len(size)] if len(size) else [0]
