"""Readers of graph files: right on small made files and on the real ones, harmless on hostile ones."""

import json
import os
import pickle

import numpy as np
import pytest
from graphs import npz_bytes, old_pickle, planetoid_files, random_graph

from mpiedge.errors import InputError
from mpiedge.graph import pickles, readers
from mpiedge.graph.build import TEST, TRAIN, VALIDATION, adjacency, class_codes, undirected


def read_files(path, files, label=None):
    """Reads a graph out of a dict of files."""
    return readers.read_graph(path, readers.file_names(path, files), files.__getitem__, label)


def read_folder(folder, label=None):
    """Reads a graph out of a real folder."""
    names = readers.file_names(str(folder), os.listdir(folder))
    return readers.read_graph(str(folder), names, lambda name: (folder / name).read_bytes(), label)


def test_planetoid_folder_is_put_in_node_order():
    """Rows of tx land at the nodes that test.index names; a node without a row has no features, label or role."""
    files, features, one_hot, test_index = planetoid_files()
    graph = read_files("toy", files)
    known = 22
    assert graph.nodes == 30 and graph.default_split == "planetoid"
    dense = graph.features.dense()
    for position, node in enumerate(test_index):
        expected = features[known + position]
        np.testing.assert_allclose(dense[node], expected / max(expected.sum(), 1), rtol=1e-6)
        assert graph.labels[node] == one_hot[known + position].argmax()
    without = next(iter(set(range(known, 30)) - set(test_index.tolist())))
    assert not dense[without].any() and graph.labels[without] == -1
    split = graph.splits["planetoid"]
    assert (split[:6] == TRAIN).all() and set(np.flatnonzero(split == TEST)) == set(test_index.tolist())
    assert split[without] == 0


class Exploit:
    """Unpickling this would run a command."""

    def __reduce__(self):
        return os.system, ("touch /tmp/mpiedge-was-here",)


@pytest.mark.parametrize("data", [
    pickle.dumps(Exploit()), pickle.dumps(print), pickle.dumps(os.getcwd), b"", b"garbage", b"\x80\x02}q\x00.extra"[:4],
    old_pickle(np.zeros(3))[:-10], pickle.dumps(np.zeros(3)).replace(b"ndarray", b"memmap "),
    b"cos\nsystem\n(S'true'\ntR.", b"cnumpy\nload\n(S'x'\ntR.", b"c__builtin__\neval\n(S'1'\ntR.",
])  # fmt: skip
def test_hostile_or_broken_pickles_are_refused(data):
    """A pickle that names anything but arrays, sparse rows, dicts and lists ends in an InputError; nothing runs."""
    with pytest.raises(InputError, match="not a pickle of plain arrays"):
        pickles.load("ind.x", data)
    assert not os.path.exists("/tmp/mpiedge-was-here")


def test_damaged_sparse_matrix_is_refused():
    """Column numbers outside the matrix are noticed before anything indexes memory with them."""
    import scipy.sparse

    matrix = scipy.sparse.csr_matrix(np.eye(3))
    matrix.indices = np.array([0, 1, 99], np.int32)
    with pytest.raises(InputError, match="damaged"):
        pickles.load("ind.x", old_pickle(matrix))


def test_planetoid_files_that_do_not_fit_are_refused():
    """Features of another width, labels of another length, or an edge to nowhere: one line, no traceback."""
    for name, value in (("ind.toy.tx", planetoid_files(columns=9)[0]["ind.toy.tx"]),
                        ("ind.toy.graph", pickle.dumps({0: [999]}, 2)), ("ind.toy.ally", pickle.dumps([1, 2], 2)),
                        ("ind.toy.test.index", b"not numbers"), ("ind.toy.graph", pickle.dumps([1], 2))):  # fmt: skip
        files = planetoid_files()[0] | {name: value}
        with pytest.raises(InputError):
            read_files("toy", files)


def test_npz_round_trip_and_masks():
    """An npz gives the same edges, labels and feature places; masks become numbered splits."""
    graph = random_graph(1)
    masks = {f"{part}_masks": np.stack([graph.splits["column:role"] == role] * 2)
             for part, role in (("train", TRAIN), ("val", VALIDATION), ("test", TEST))}  # fmt: skip
    again = read_files("g.npz", {"": npz_bytes(graph, **masks)})
    np.testing.assert_array_equal(again.edges, graph.edges)
    np.testing.assert_array_equal(again.labels, graph.labels)
    np.testing.assert_array_equal(again.features.dense() > 0, graph.features.dense() > 0)
    assert set(again.splits) == {"column:0", "column:1"} and again.default_split == "column:0"
    np.testing.assert_array_equal(again.splits["column:1"], graph.splits["column:role"])


def test_npz_with_objects_or_wrong_arrays_is_refused(tmp_path):
    """Object arrays (which would be unpickled) are refused, as are edges, labels or features out of range."""
    graph = random_graph(1)
    path = tmp_path / "evil.npz"
    np.savez(path, edges=np.array([Exploit()], dtype=object), labels=np.zeros(3), node_features=np.ones((3, 2)))
    for data in (path.read_bytes(), b"not a zip", b"", npz_bytes(graph)[:200]):
        with pytest.raises(InputError):
            readers.read_npz("g.npz", data)
    sound = {"edges": graph.edges, "labels": np.arange(3), "node_features": np.ones((3, 2)), "train": np.zeros(3)}
    for name, array, cause in (("labels", [0.5, 1, 2], "whole number"), ("labels", [0, 1, 10**12], "not below"),
                               ("labels", list("abc"), "no numbers"), ("node_features", [[1, np.nan]] * 3, "finite"),
                               ("node_features", np.ones((2, 2)), "for every label"), ("edges", None, "no array")):
        np.savez(path, **{key: value for key, value in (sound | {name: array}).items() if value is not None})
        with pytest.raises(InputError, match=cause):
            readers.read_npz("g.npz", path.read_bytes())
    graph.edges[0, 0] = 10_000
    with pytest.raises(InputError, match="does not exist"):
        readers.read_npz("g.npz", npz_bytes(graph))
    assert not os.path.exists("/tmp/mpiedge-was-here")


FOLDER = {
    "edges.csv": b"id_1,id_2\nb,a\na,b\nc,c\nb,zz\n",
    "target.csv": b"id,page,kind\na,x,tv\nb,y,news\nc,z,\n",
    "features.json": json.dumps({"b": [2, 0, 2], "zz": [9]}).encode(),
}


def test_edge_folder():
    """Ids are kept in file order, unknown nodes are left out with a note, an empty label is unknown."""
    graph = read_files("f", FOLDER)
    assert graph.ids.tolist() == ["a", "b", "c"] and graph.edges.tolist() == [[0, 1]]
    assert graph.classes == ["news", "tv"] and graph.labels.tolist() == [1, 0, -1]
    assert graph.features.columns == 3 and graph.features.indptr.tolist() == [0, 0, 2, 2]
    assert any("1 edges name unknown nodes" in note for note in graph.notes)
    assert read_files("f", FOLDER, label="page").classes == ["x", "y", "z"]


@pytest.mark.parametrize("change", [
    {"edges.csv": b""}, {"target.csv": b"id\n1\n"}, {"features.json": b"[1]"}, {"features.json": b'{"a": [-1]}'},
    {"features.json": b'{"a": ["x"]}'}, {"features.json": b"{"}, {"target.csv": b"\xff\xfe"},
    {"edges.csv": b"a,b\n1\n"},
])  # fmt: skip
def test_bad_edge_folder_is_one_line(change):
    """Empty, cut or mistyped files raise InputError."""
    with pytest.raises(InputError):
        read_files("f", FOLDER | change)


def test_unknown_form_and_label():
    """A folder of unknown form and a label column that is not there are refused with the remedy."""
    with pytest.raises(InputError, match="no graph of a known form"):
        readers.file_names("x", ["a.txt"])
    with pytest.raises(InputError, match=r"lacks ind\.c\.tx"):
        readers.file_names("x", [f"ind.c.{part}" for part in readers.PLANETOID_PARTS if part != "tx"])
    with pytest.raises(InputError, match="no column nope"):
        read_files("f", FOLDER, label="nope")


def test_undirected_edges_and_adjacency():
    """Loops and repetitions go, both directions are stored, neighbours ascend; numeric classes sort as numbers."""
    edges = undirected(np.array([[2, 0], [0, 2], [1, 1], [3, 2]]), 5)
    assert edges.tolist() == [[0, 2], [2, 3]]
    neighbours = adjacency(edges, 5)
    assert neighbours.indptr.tolist() == [0, 1, 1, 3, 4, 4] and neighbours.neighbours.tolist() == [2, 0, 3, 2]
    assert adjacency(undirected(np.zeros((0, 2)), 3), 3).degrees().tolist() == [0, 0, 0]
    assert class_codes(["10", "9", ""])[1] == ["9", "10"] and class_codes([])[1] == []


@pytest.mark.parametrize(("name", "nodes", "edges", "columns", "entries", "classes", "unlabelled"), [
    ("cora", 2708, 5278, 1433, 49216, 7, 0), ("citeseer", 3327, 4552, 3703, 105165, 6, 15),
    ("facebook_musae", 22470, 170823, 4714, 314583, 4, 0), ("amazon_photo", 7650, 119081, 745, 1979909, 8, 0),
    ("minesweeper", 10000, 39402, 7, 10000, 2, 0),
])  # fmt: skip
def test_real_graphs(shared_data, name, nodes, edges, columns, entries, classes, unlabelled):
    """Nodes, undirected edges, features, non-zeros, classes and unlabelled nodes of real graphs are the known ones."""
    graph = read_folder(shared_data / "graph" / name)
    assert (graph.nodes, len(graph.edges), graph.features.columns) == (nodes, edges, columns)
    assert (len(graph.features.data), len(graph.classes)) == (entries, classes)
    assert (graph.labels < 0).sum() == unlabelled
