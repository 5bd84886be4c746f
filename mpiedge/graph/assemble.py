"""Builds every rank's part out of chunks that lie anywhere: neighbour lists first, then features, then the halo's."""

import itertools

import numpy as np

from mpiedge.graph.part import Part
from mpiedge.graph.sort import SortedChunks
from mpiedge.graph.sparse import SparseRows, empty, gather_positions, offsets


def collect_edges(world, chunks: SortedChunks, owner: np.ndarray) -> Part:
    """Collective: this rank's part without features and labels; owner: int32, of all nodes, the same on every rank.

    Messages: each chunk's neighbour lists to the owners of its nodes; then, once, to every owner the list of those of
    its nodes that are copied here, and its answer, their degrees.
    """
    numbers, lengths, neighbours = [], [], []
    for mine, lists in chunks.rounds():
        for message in world.alltoall([_pick(mine, lists, owner[mine] == rank) for rank in range(world.size)]):
            numbers.append(message["numbers"])
            lengths.append(message["lengths"])
            neighbours.append(message["neighbours"])
    owned, lengths, near = (np.concatenate(pieces) for pieces in (numbers, lengths, neighbours))
    del numbers, neighbours
    order = np.argsort(owned)
    taken, positions = gather_positions(offsets(lengths), order)
    owned, near = owned[order], near[positions]
    lengths = np.diff(taken)
    away = np.unique(near[owner[near] != world.rank])
    halo = away[np.argsort(owner[away], kind="stable")]
    ends = np.searchsorted(owner[halo], np.arange(world.size + 1))
    wanted = world.alltoall([{"numbers": halo[a:b]} for a, b in itertools.pairwise(ends)])
    send_rows = [np.searchsorted(owned, message["numbers"]) for message in wanted]
    answers = world.alltoall([{"degrees": lengths[rows] + 1} for rows in send_rows])
    rows = np.repeat(np.arange(len(owned), dtype=np.int32), lengths)
    sorter = np.argsort(halo)
    inside = owner[near] == world.rank
    local = np.empty(len(near), np.int32)
    local[inside] = np.searchsorted(owned, near[inside])
    local[~inside] = len(owned) + sorter[np.searchsorted(halo[sorter], near[~inside])]
    indices = np.empty(len(near) + len(owned), np.int32)
    indices[np.arange(len(near)) + rows] = local
    indptr = offsets(lengths + 1)
    indices[indptr[1:] - 1] = np.arange(len(owned))
    return Part(nodes=np.concatenate([owned, halo]), owned=len(owned), indptr=indptr, indices=indices,
                degrees=np.concatenate([lengths + 1, *(message["degrees"] for message in answers)]),
                features=empty(0),
                labels=np.zeros(0, np.int64), split=np.zeros(0, np.int8),
                send_rows=np.concatenate(send_rows).astype(np.int64),
                send_counts=np.array([len(rows) for rows in send_rows], np.int64), receive_counts=np.diff(ends))


def collect_rows(world, part: Part, rounds, owner: np.ndarray, columns: int) -> None:
    """Collective: labels, roles and features (rows of length 1) for a part, the halo's features too.

    rounds: yields, equally often on all ranks, (first number, arrays of a chunk of nodes) or None. Messages: each
    chunk's rows to their owners; then once the features of the boundary to those who hold copies.
    """
    owned = part.nodes[: part.owned]
    found = []
    for chunk in rounds:
        messages = [{}] * world.size
        if chunk is not None:
            first, arrays = chunk
            mine = owner[first : first + len(arrays["labels"])]
            messages = [{name: array[mine == rank] for name, array in arrays.items()}
                        | {"numbers": first + np.flatnonzero(mine == rank)} for rank in range(world.size)]
        found += [message for message in world.alltoall(messages) if message]
    numbers, labels, split, words = (np.concatenate([message[name] for message in found])
                                     for name in ("numbers", "labels", "split", "words"))
    order = np.argsort(numbers)
    part.labels, part.split = labels[order].astype(np.int64), split[order].astype(np.int8)
    words = words[order]
    ends = np.cumsum([0, *part.send_counts])
    sent = [{"words": words[part.send_rows[a:b]]} for a, b in itertools.pairwise(ends)]
    copies = [message["words"] for message in world.alltoall(sent)]
    words = np.concatenate([words, *copies])
    if len(numbers) != len(owned) or len(words) != len(part.nodes):
        raise ValueError("rows were lost between ranks")
    each = words.shape[1]
    data = np.full(words.size, 1 / np.sqrt(max(each, 1)), np.float32)
    part.features = SparseRows(np.arange(len(words) + 1) * each, np.ascontiguousarray(words.reshape(-1), np.int32),
                               data, columns)


def _pick(numbers, lists, chosen: np.ndarray) -> dict:
    rows = np.flatnonzero(chosen)
    taken, positions = gather_positions(lists.indptr, rows)
    return {"numbers": numbers[rows], "lengths": np.diff(taken), "neighbours": lists.neighbours[positions]}
