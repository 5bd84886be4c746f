"""Models and the sparse kernels under them: the formulas of the papers, and gradients, against dense arithmetic."""

import contextlib

import numpy as np
import pytest
import torch
from graphs import dense_adjacency, random_graph
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge.graph import part as parts
from mpiedge.graph.build import TRAIN, adjacency
from mpiedge.graph.sparse import from_triplets
from mpiedge.kernels import sparse_product
from mpiedge.kernels.sparse_product import Dropout, product, product_transposed
from mpiedge.models.build import build_model
from mpiedge.training.inputs import PartInputs
from mpiedge.training.metrics import accuracy, confusion, macro_f1
from mpiedge.training.optimiser import Adam, flatten

torch.set_num_threads(1)


@contextlib.contextmanager
def untimed(name, kind="compute"):
    """A phase that nobody measures."""
    yield


def inputs_of(world, graph, uses_graph=True):
    """The whole graph as the inputs of one rank."""
    neighbours = adjacency(graph.edges, graph.nodes) if uses_graph else None
    owner = np.zeros(graph.nodes, np.int32)
    part = next(parts.cut(graph, neighbours, owner, graph.splits["column:role"], 1))
    return PartInputs(world, part, untimed)


@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 30), st.sampled_from([1, 3, 4, 7, 8, 16, 17, 32]),
       st.sampled_from([0.0, 0.3, 0.9]), st.booleans())  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_sparse_products_equal_the_plain_ones(seed, rows, columns, width, probability, with_values):
    """The compiled product, its transpose and their dropout do what scipy and numpy do."""
    random = np.random.default_rng(seed)
    count = int(random.integers(0, rows * columns + 1))
    matrix = from_triplets(random.integers(0, rows, count), random.integers(0, columns, count),
                           random.random(count) + 0.5, (rows, columns))  # fmt: skip
    names = random.integers(0, 2**40, rows)
    dropout = Dropout.of(probability, seed, 1) if probability else None
    values = matrix.data if with_values else None
    right = random.random((columns, width)).astype(np.float32)
    left = random.random((rows, width)).astype(np.float32)
    arguments = (matrix.indptr, matrix.indices, values)
    plain = sparse_product._multiply_plain(0, *arguments, right, np.zeros((rows, width), np.float32), names, dropout)
    np.testing.assert_allclose(product(*arguments, right, names, dropout), plain, rtol=1e-5, atol=1e-5)
    plain = sparse_product._multiply_plain(1, *arguments, left, np.zeros((columns, width), np.float32), names, dropout)
    spread = product_transposed(*arguments, left, columns, names, dropout)
    np.testing.assert_allclose(spread, plain, rtol=1e-5, atol=1e-5)
    if dropout:
        mask = sparse_product.dropout_mask(names, width, dropout)
        np.testing.assert_array_equal(mask, sparse_product.dropout_mask_plain(names, width, dropout))


def test_dropout_keeps_the_right_share_and_depends_on_its_place_only():
    """A share of 1 - p is kept, epochs differ, and a row draws the same wherever it stands."""
    names = np.arange(20_000)
    for probability in (0.1, 0.5, 0.9):
        mask = sparse_product.dropout_mask(names, 16, Dropout.of(probability, 1, 2))
        assert abs((mask > 0).mean() - (1 - probability)) < 0.005
        assert abs(mask.mean() - 1) < 0.02
    one, other = (sparse_product.dropout_mask(names, 16, Dropout.of(0.5, 0, epoch)) > 0 for epoch in (1, 2))
    assert abs((one == other).mean() - 0.5) < 0.01
    again = sparse_product.dropout_mask(names[::-1].copy(), 16, Dropout.of(0.5, 0, 1)) > 0
    np.testing.assert_array_equal(again[::-1], one)
    columns = np.corrcoef(one.T.astype(float)) - np.eye(16)
    assert np.abs(columns).max() < 0.03


def test_gcn_is_the_formula_of_the_paper(world):
    """A relu(A X W1 + b1) W2 + b2 with the symmetric normalised adjacency, isolated nodes included."""
    graph = random_graph(2)
    model = build_model("gcn", graph.features.columns, 8, 3, seed=4)
    with torch.no_grad():
        model.bias_1.copy_(torch.linspace(-0.5, 0.5, 8))
        model.bias_2.copy_(torch.linspace(-1, 1, 3))
        scores = model(inputs_of(world, graph).begin()).numpy()
    first, bias_1, second, bias_2 = (parameter.detach().numpy().astype(np.float64) for parameter in model.parameters())
    near, features = dense_adjacency(graph), graph.features.dense()
    expected = near @ np.maximum(near @ features @ first + bias_1, 0) @ second + bias_2
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)


def test_mlp_sees_no_graph(world):
    """relu(X W1 + b1) W2 + b2, the same for any edges."""
    graph = random_graph(2)
    model = build_model("mlp", graph.features.columns, 8, 3, seed=4)
    with torch.no_grad():
        scores = model(inputs_of(world, graph, uses_graph=False).begin()).numpy()
    first, _, second, _ = (parameter.detach().numpy() for parameter in model.parameters())
    np.testing.assert_allclose(scores, np.maximum(graph.features.dense() @ first, 0) @ second, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "probability"), [("gcn", 0.0), ("gcn", 0.5), ("mlp", 0.5)])
def test_gradients_equal_dense_autograd(world, name, probability):
    """Backward through the sparse functions, dropout included, gives what torch gives on dense matrices."""
    graph = random_graph(7)
    inputs = inputs_of(world, graph, name == "gcn")
    model = build_model(name, graph.features.columns, 8, 3, seed=1)
    rows = torch.from_numpy(np.flatnonzero(graph.splits["column:role"] == TRAIN))
    labels = torch.from_numpy(graph.labels)[rows]
    loss = torch.nn.functional.cross_entropy(model(inputs.begin(probability, 3, 5))[rows], labels)
    loss.backward()

    features = torch.from_numpy(graph.features.dense())
    hidden_mask = torch.ones(graph.nodes, 8)
    if probability:
        names = np.arange(graph.nodes)
        drops = [Dropout.of(probability, 3, 5, layer) for layer in (1, 2)]
        features = features * torch.from_numpy(sparse_product.dropout_mask(names, features.shape[1], drops[0]))
        hidden_mask = torch.from_numpy(sparse_product.dropout_mask(names, 8, drops[1]))
    near = torch.from_numpy(dense_adjacency(graph).astype(np.float32)) if name == "gcn" else torch.eye(graph.nodes)
    dense = build_model(name, graph.features.columns, 8, 3, seed=1)
    hidden = torch.relu(near @ (features @ dense.weight_1) + dense.bias_1) * hidden_mask
    scores = near @ (hidden @ dense.weight_2) + dense.bias_2
    expected = torch.nn.functional.cross_entropy(scores[rows], labels)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for ours, theirs in zip(model.parameters(), dense.parameters()):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)


def test_weights_depend_on_the_seed_alone():
    """The same seed gives the same weights, another seed others, all within Glorot's limit."""
    one, same, other = (build_model("gcn", 50, 8, 3, seed) for seed in (1, 1, 2))
    torch.testing.assert_close(one.weight_1, same.weight_1, rtol=0, atol=0)
    assert not torch.equal(one.weight_1, other.weight_1)
    assert one.weight_1.abs().max() <= np.sqrt(6 / 58) and not one.bias_1.any()


def test_adam_equals_torch_adam():
    """Twenty steps of the flat Adam equal torch.optim.Adam with weight decay on the first layer only."""
    mine, theirs = build_model("gcn", 10, 4, 3, 0), build_model("gcn", 10, 4, 3, 0)
    weights, gradient = flatten(mine)
    adam = Adam(weights, 0.01, 5e-3, mine.weight_1.numel())
    rest = [parameter for name, parameter in theirs.named_parameters() if name != "weight_1"]
    reference = torch.optim.Adam([{"params": [theirs.weight_1], "weight_decay": 5e-3}, {"params": rest}], lr=0.01)
    random = torch.Generator().manual_seed(0)
    for _ in range(20):
        drawn = torch.randn(weights.shape, generator=random)
        start = 0
        for parameter in theirs.parameters():
            parameter.grad = drawn[start : start + parameter.numel()].view_as(parameter).clone()
            start += parameter.numel()
        gradient.copy_(drawn)
        adam.step(gradient)
        reference.step()
    for ours, expected in zip(mine.parameters(), theirs.parameters()):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)


def test_quality_figures():
    """Accuracy and macro F1 by hand; a class that neither occurs nor is predicted does not count."""
    counts = confusion(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), 3)
    assert accuracy(counts) == 0.75 and macro_f1(counts) == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert accuracy(np.zeros((2, 2), np.int64)) is None and macro_f1(np.zeros((2, 2), np.int64)) is None
