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
from mpiedge.kernels.cross_entropy import cross_entropy, cross_entropy_plain
from mpiedge.kernels.sparse_product import Dropout, product, product_back
from mpiedge.models.build import build_model
from mpiedge.training.inputs import PartInputs
from mpiedge.training.metrics import accuracy, accuracy_between, confusion, macro_f1, roc_auc
from mpiedge.training.optimiser import SCHEDULES, Adam, flatten
from mpiedge.training.select import METHODS, hardness, select

torch.set_num_threads(1)


@contextlib.contextmanager
def untimed(name, kind="compute"):
    """A phase that nobody measures."""
    yield


def inputs_of(world, graph, norm):
    """The whole graph as the inputs of one rank."""
    neighbours = adjacency(graph.edges, graph.nodes) if norm else None
    owner = np.zeros(graph.nodes, np.int32)
    part = next(parts.cut(graph, neighbours, owner, graph.splits["column:role"], 1))
    return PartInputs(world, part, untimed, norm)


def mask_of(width, dropout):
    """What dropout multiplies dense rows with, float32."""
    return sparse_product.relu_dropout(np.ones((len(dropout.keys), width), np.float32), dropout)


@given(st.integers(0, 10_000), st.integers(0, 200), st.sampled_from([1, 3, 8, 16, 17]))
@settings(max_examples=30, deadline=None)
def test_rows_are_added_by_pairs(seed, count, width):
    """The compiled sum over pairs is numpy's, in both types."""
    random = np.random.default_rng(seed)
    pairs = (random.integers(0, 50, count) << 5 | random.integers(0, 20, count)).astype(np.uint32)
    for kind in (np.float32, np.float64):
        dense, (plain, compiled) = random.random((20, width)).astype(kind), np.ones((2, 50, width), kind)
        sparse_product.add_pairs_plain(pairs, 5, dense, plain)
        sparse_product.add_pairs(pairs, 5, dense, compiled)
        np.testing.assert_allclose(compiled, plain, rtol=1e-5)


@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 30), st.sampled_from([1, 3, 4, 7, 8, 16, 17, 32]),
       st.sampled_from([0.0, 0.3, 0.9]), st.booleans())  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_sparse_products_equal_the_plain_ones(seed, rows, columns, width, probability, with_values):
    """The compiled product, its transpose and their dropout do what scipy and numpy do."""
    random = np.random.default_rng(seed)
    count = int(random.integers(0, rows * columns + 1))
    matrix = from_triplets(random.integers(0, rows, count), random.integers(0, columns, count),
                           random.random(count) + 0.5, (rows, columns))  # fmt: skip
    matrix.data = matrix.data if with_values else None
    dropout = Dropout.of(probability, random.integers(0, 2**40, rows), seed, 1) if probability else None
    targets, scale = random.permutation(rows), random.random(rows).astype(np.float32)
    right = random.random((columns, width)).astype(np.float32)
    plain, compiled = np.ones((2, rows, width), np.float32)
    arrays = (matrix.indptr, matrix.indices, matrix.data)
    sparse_product.product_plain(*arrays, right, plain, targets, scale, dropout)
    product(matrix, right, compiled, targets, scale, dropout)
    np.testing.assert_allclose(compiled, plain, rtol=1e-5, atol=1e-5)
    doubles = (array.astype(np.float64) for array in (right, scale))
    exact = product(matrix, next(doubles), np.ones((rows, width)), targets, next(doubles), dropout)
    assert exact.dtype == np.float64
    np.testing.assert_allclose(compiled, exact, rtol=1e-5, atol=1e-5)
    pieces = np.zeros((rows, width), np.float32)
    for part in (slice(0, rows // 2), slice(rows // 2, rows)):
        product(matrix, right, pieces, scale=scale, part=part)
    np.testing.assert_allclose(pieces, product(matrix, right, scale=scale), rtol=1e-6)
    whole, zeros = np.zeros((rows, columns), np.float32), np.zeros((columns, width), np.float32)
    sparse_product.product_plain(*arrays, np.eye(columns, dtype=np.float32), whole, dropout=dropout)
    left = random.random((2 * rows, width)).astype(np.float32)
    for sources in (None, random.permutation(2 * rows)[:rows]):
        expected = whole.T @ left[slice(rows) if sources is None else sources]
        kept = left if sources is not None else left[:rows]
        found = product_back(matrix, kept, zeros.copy(), sources, dropout)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
        exact = product_back(matrix, kept.astype(np.float64), zeros.astype(np.float64), sources, dropout)
        np.testing.assert_allclose(exact, expected, rtol=1e-4, atol=1e-4)
    if dropout:
        dense = random.standard_normal((rows, width))
        for kind in (np.float32, np.float64):
            found = sparse_product.relu_dropout(dense.astype(kind), dropout)
            np.testing.assert_allclose(found, sparse_product.relu_dropout_plain(dense.astype(kind), dropout), rtol=1e-6)
            slopes = sparse_product.relu_dropout_back(found, dense.astype(kind), dropout)
            np.testing.assert_allclose(slopes, dense * (found > 0) * dropout.scale, rtol=1e-6)


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 9), st.booleans())
@settings(max_examples=25, deadline=None)
def test_cross_entropy_equals_torch(seed, rows, classes, weighted):
    """The compiled loss, the plain one and torch agree: sum, gradient of the chosen rows, right answers."""
    random = np.random.default_rng(seed)
    scores = (10 * random.standard_normal((rows, classes))).astype(np.float32)
    labels, chosen = random.integers(0, classes, rows), np.flatnonzero(random.random(rows) < 0.7)
    factors = random.random(classes).astype(np.float32) if weighted else None
    leaf = torch.from_numpy(scores.copy()).requires_grad_()
    loss = torch.nn.functional.cross_entropy(leaf[chosen], torch.from_numpy(labels)[chosen], reduction="sum",
                                             weight=None if factors is None else torch.from_numpy(factors))  # fmt: skip
    (loss * 0.25).backward()
    for function in (cross_entropy, cross_entropy_plain):
        gradient = np.zeros_like(scores)
        found, right = function(scores, labels, chosen, gradient, 0.25, factors)
        assert found == pytest.approx(loss.item(), rel=1e-4, abs=1e-4)
        assert right == (scores[chosen].argmax(axis=1) == labels[chosen]).sum()
        np.testing.assert_allclose(gradient, leaf.grad.numpy(), atol=1e-5)
        assert function(scores, labels, chosen, factors=factors) == (pytest.approx(found), right)


def test_dropout_keeps_the_right_share_and_depends_on_its_place_only():
    """A share of 1 - p is kept, epochs differ, and a row draws the same wherever it stands."""
    names = np.arange(20_000)
    for probability in (0.1, 0.5, 0.9):
        mask = mask_of(16, Dropout.of(probability, names, 1, 2))
        assert abs((mask > 0).mean() - (1 - probability)) < 0.005
        assert abs(mask.mean() - 1) < 0.02
    one, other = (mask_of(16, Dropout.of(0.5, names, 0, epoch)) > 0 for epoch in (1, 2))
    assert abs((one == other).mean() - 0.5) < 0.01
    again = mask_of(16, Dropout.of(0.5, names[::-1].copy(), 0, 1)) > 0
    np.testing.assert_array_equal(again[::-1], one)
    columns = np.corrcoef(one.T.astype(float)) - np.eye(16)
    assert np.abs(columns).max() < 0.03


def near_of(graph, norm):
    """The normalised adjacency of the papers, dense, float64; for perceptrons the identity."""
    if norm is None:
        return np.eye(graph.nodes)
    if norm == "symmetric":
        return dense_adjacency(graph)
    full = np.zeros((graph.nodes, graph.nodes))
    full[graph.edges[:, 0], graph.edges[:, 1]] = full[graph.edges[:, 1], graph.edges[:, 0]] = 1
    return full / np.maximum(full.sum(axis=1), 1)[:, None]


def dense_scores(name, model, graph, masks):
    """The formula of the papers on dense matrices; masks: of every layer's input, in torch."""
    near = torch.from_numpy(near_of(graph, model.norm).astype(np.float32))
    rows = torch.from_numpy(graph.features.dense())
    for layer in range(1, model.layers + 1):
        weight, bias = getattr(model, f"weight_{layer}"), getattr(model, f"bias_{layer}")
        rows = rows * masks[layer - 1]
        if name == "sage":
            own, other = weight.chunk(2, dim=1)
            rows = rows @ own + near @ rows @ other + bias
        else:
            rows = near @ rows @ weight + bias
        rows = torch.relu(rows) if layer < model.layers else rows
    return rows


@pytest.mark.parametrize("probability", [0.0, 0.5])
@pytest.mark.parametrize(("name", "layers"), [("gcn", 2), ("gcn", 3), ("sage", 2), ("sage", 1), ("mlp", 2)])
def test_models_are_the_formulas_of_the_papers(world, name, layers, probability):
    """Scores and gradients, dropout included, are those that torch's autograd gives on dense matrices."""
    graph = random_graph(7)
    model, dense = (build_model(name, graph.features.columns, 8, 3, layers, seed=1) for _ in range(2))
    inputs = inputs_of(world, graph, model.norm)
    rows = torch.from_numpy(np.flatnonzero(graph.splits["column:role"] == TRAIN))
    labels = torch.from_numpy(graph.labels)[rows]
    with torch.no_grad():
        for one, other in zip(model.parameters(), dense.parameters()):
            if one.ndim == 1:
                one.copy_(torch.linspace(-0.5, 0.5, len(one)))
                other.copy_(one)
    scores = model(inputs.begin(probability, 3, 5))
    loss = torch.nn.functional.cross_entropy(scores[rows], labels)
    loss.backward()
    masks, names = [torch.ones(())] * layers, np.arange(graph.nodes)
    if probability:
        wide = [graph.features.columns] + [8] * (layers - 1)
        masks = [torch.from_numpy(mask_of(width, Dropout.of(probability, names, 3, 5, layer)))
                 for layer, width in enumerate(wide, start=1)]
        masks[0] = torch.ones(()) if name == "mlp" else masks[0]
    expected = torch.nn.functional.cross_entropy(dense_scores(name, dense, graph, masks)[rows], labels)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for ours, theirs in zip(model.parameters(), dense.parameters()):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)


def test_weights_depend_on_the_seed_alone():
    """The same seed gives the same weights, another seed others, all within Glorot's limit."""
    one, same, other = (build_model("gcn", 50, 8, 3, 2, seed) for seed in (1, 1, 2))
    torch.testing.assert_close(one.weight_1, same.weight_1, rtol=0, atol=0)
    assert not torch.equal(one.weight_1, other.weight_1)
    assert one.weight_1.abs().max() <= np.sqrt(6 / 58) and not one.bias_1.any()


def test_adam_equals_torch_adam():
    """Twenty steps of the flat Adam along a cosine equal those of torch.optim, weight decay on the first layer only."""
    mine, theirs = build_model("gcn", 10, 4, 3, 2, 0), build_model("gcn", 10, 4, 3, 2, 0)
    weights, gradient = flatten(mine)
    adam = Adam(weights, 0.01, 5e-3, mine.weight_1.numel())
    rest = [parameter for name, parameter in theirs.named_parameters() if name != "weight_1"]
    reference = torch.optim.Adam([{"params": [theirs.weight_1], "weight_decay": 5e-3}, {"params": rest}], lr=0.01)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(reference, 20)
    random = torch.Generator().manual_seed(0)
    for number in range(20):
        drawn = torch.randn(weights.shape, generator=random)
        start = 0
        for parameter in theirs.parameters():
            parameter.grad = drawn[start : start + parameter.numel()].view_as(parameter).clone()
            start += parameter.numel()
        gradient.copy_(drawn)
        adam.step(gradient, SCHEDULES["cosine"](number / 20))
        reference.step()
        falling.step()
    for ours, expected in zip(mine.parameters(), theirs.parameters()):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)


def test_roc_auc_is_the_share_of_pairs_in_order():
    """The area equals counting all pairs of a positive and a negative, ties half; unknown without one of them."""
    random = np.random.default_rng(2)
    positive, scores = random.random(80) < 0.3, random.integers(0, 10, 80) / 10
    pairs = scores[positive][:, None] - scores[~positive][None, :]
    assert roc_auc(positive, scores) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    assert roc_auc(positive | True, scores) is None and roc_auc(np.zeros(0, bool), np.zeros(0)) is None


def test_quality_figures():
    """Accuracy and macro F1 by hand; a class that neither occurs nor is predicted does not count."""
    counts = confusion(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), 3)
    assert accuracy(counts) == 0.75 and macro_f1(counts) == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert accuracy_between(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert accuracy_between(1.0, 20) == pytest.approx((0.8389, 1.0), abs=1e-4)
    assert accuracy(np.zeros((2, 2), np.int64)) is None and macro_f1(np.zeros((2, 2), np.int64)) is None


@pytest.mark.parametrize("method", METHODS)
def test_selected_training_nodes(method):
    """The share asked for, only of the training nodes, each class kept; hard ones are those of a slow oracle."""
    graph = random_graph(3, nodes=400, classes=4)
    split = np.where(np.arange(400) % 4 < 3, TRAIN, 2).astype(np.int8)
    split[graph.labels < 0] = 0
    chosen = select(graph, split, 0.3, method, seed=1)
    kept, train = np.flatnonzero(chosen == TRAIN), np.flatnonzero(split == TRAIN)
    assert set(kept) < set(train) and abs(len(kept) - 0.3 * len(train)) <= 4
    np.testing.assert_array_equal(chosen[split != TRAIN], split[split != TRAIN])
    np.testing.assert_array_equal(chosen, select(graph, split, 0.3, method, seed=1))
    counts = np.bincount(graph.labels[kept], minlength=4)
    assert counts.min() >= 1 and (method != "balanced" or np.ptp(counts) == 0)
    rows, labels = graph.features.dense()[train], graph.labels[train]
    found = hardness(graph.features.take(train), labels, 4)
    for row in (0, 10, 50):
        means = [rows[(labels == code) & (np.arange(len(train)) != row)].mean(axis=0) for code in range(4)]
        like = [float(rows[row] @ mean) for mean in means]
        own = like.pop(labels[row])
        assert found[row] == pytest.approx(max(like) - own, abs=1e-5)
    if method == "hard":
        easy = np.setdiff1d(train, kept)
        place = {node: value for node, value in zip(train, found)}
        for code in range(4):
            assert min(place[node] for node in kept if graph.labels[node] == code) >= max(
                place[node] for node in easy if graph.labels[node] == code)
