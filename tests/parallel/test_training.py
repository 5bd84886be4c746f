"""Training on any number of ranks is the training of one rank, with dropout and for every partition."""

import contextlib
import functools
import json
import re
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))
from graphs import dense_adjacency, npz_bytes, random_graph

from mpiedge.commands import train
from mpiedge.errors import UsageError
from mpiedge.graph import part as parts
from mpiedge.graph import partition
from mpiedge.graph.build import TRAIN, VALIDATION, adjacency
from mpiedge.models.build import MODELS, build_model
from mpiedge.runtime import resources
from mpiedge.runtime.allreduce import Allreduce
from mpiedge.runtime.carrying import Carried
from mpiedge.runtime.choose import reducer
from mpiedge.runtime.processor import confirmed, holding
from mpiedge.training import balance, checkpoint, links, mirror, plan, shares, shortage
from mpiedge.training.inputs import PartInputs
from mpiedge.training.loop import Settings, Trainer
from mpiedge.training.propagate import propagate
from mpiedge.training.stale import StaleTrainer

torch.set_num_threads(1)
METHODS = [name for name in partition.METHODS if name != "metis" or partition.default_method() == "metis"]


@contextlib.contextmanager
def untimed(name, kind="compute"):
    """A phase that nobody measures."""
    yield


class OneRank:
    """What a world of one rank answers, for the reference beside the real ranks."""

    rank, size, is_root, bytes_sent, bytes_recv, wait_s, carried = 0, 1, True, 0, 0, 0.0, Carried()

    def sum(self, array):
        return np.array(array)

    def start_sum(self, array):
        return []

    def wait(self, *requests):
        pass


def settings(model="gcn", **changes):
    """Settings of a short training."""
    values = {"model": model, "hidden": 8, "layers": 2, "hops": 0, "projection": 0, "epochs": 25, "dropout": 0.0,
              "learning_rate": 0.01, "weight_decay": 5e-4, "patience": 1000, "schedule": "constant",
              "class_weights": "none", "dtype": "float32", "seed": 3} | changes  # fmt: skip
    return Settings(**values)


def trainer_of(world, graph, config, owner, reduce=None):
    """A trainer on this rank's part under the given owners."""
    norm, ahead = MODELS[config.model].norm, MODELS[config.model].propagates
    neighbours = adjacency(graph.edges, graph.nodes) if norm or ahead else None
    size = world.size
    part = list(parts.cut(graph, neighbours, owner, graph.splits["column:role"], size))[world.rank]
    part.features.data = part.features.data.astype(config.dtype)
    if ahead:
        part = propagate(world, part, config.hops, ahead, lambda: None)
    model = build_model(config.model, part.features.columns, config.hidden, len(graph.classes), config.layers,
                        config.seed, config.dtype)  # fmt: skip
    return Trainer(world, PartInputs(world, part, untimed, norm), model, config,
                   reduce or Allreduce(world), untimed)  # fmt: skip


def both(world, graph, config, owner, compress="none"):
    """The same training on all ranks and on one alone."""
    many = trainer_of(world, graph, config, owner, Allreduce(world, compress))
    many.run(lambda state: None)
    alone = trainer_of(OneRank(), graph, config, np.zeros(graph.nodes, np.int32))
    alone.run(lambda state: None)
    return many, alone


@pytest.mark.parametrize(("model", "method"), [*(("gcn", method) for method in METHODS), ("sage", "ldg"),
                                               ("sgc", "hash"), ("sign", METHODS[0]), ("mlp", "ldg")])  # fmt: skip
def test_many_ranks_equal_one(world, monkeypatch, model, method):
    """After 50 epochs the weights agree to 1e-4 in float32 and to 1e-9 in float64, and so do the curves, for every
    model and every partition, dropout included, whether boundary rows are shared (one host) or sent (several)."""
    graph = random_graph(5)
    neighbours = adjacency(graph.edges, graph.nodes)
    owner = partition.partition(neighbours, np.arange(1, world.size + 1), method)
    ways = [("float32", 1e-4, 1), ("float64", 1e-9, 1), ("float32", 1e-4, 2), ("float64", 1e-9, 2)]
    for dtype, tolerance, hosts in ways if MODELS[model].norm and world.size > 1 else ways[:2]:
        monkeypatch.setattr(world, "nodes", hosts)
        many, alone = trainer_of(world, graph, fifty_epochs(model, dtype), owner), trained_alone(model, dtype)
        assert bool(many.inputs.shared) == bool(world.size > hosts == 1 and MODELS[model].norm)
        many.run(lambda state: None)
        assert many.state.weights.dtype == dtype
        np.testing.assert_allclose(many.state.weights, alone.weights, rtol=0, atol=tolerance)
        losses = (np.array(state.history)[:, [1, 3]] for state in (many.state, alone))
        np.testing.assert_allclose(*losses, rtol=0, atol=tolerance)


def fifty_epochs(model, dtype):
    """Settings of 50 epochs with dropout."""
    return settings(model, dropout=0.5, epochs=50, dtype=dtype, hops=2 if MODELS[model].propagates else 0)


@functools.cache
def trained_alone(model, dtype):
    """The state of one rank after 50 epochs."""
    graph = random_graph(5)
    alone = trainer_of(OneRank(), graph, fifty_epochs(model, dtype), np.zeros(graph.nodes, np.int32))
    alone.run(lambda state: None)
    return alone.state


@pytest.mark.parametrize(("model", "layers"), [("sage", 2), ("gcn", 4), ("sage", 3), ("gcn", 1)])
def test_models_of_any_depth(world, model, layers):
    """GraphSAGE and deeper networks agree with one rank too, dropout, class weights and a falling rate included."""
    graph = random_graph(5, nodes=120, edges=500)
    owner = (np.arange(graph.nodes) % world.size).astype(np.int32)
    many, alone = both(world, graph, settings(model, layers=layers, dropout=0.3, epochs=15, schedule="cosine",
                                               class_weights="balanced"), owner)  # fmt: skip
    counts = np.bincount(graph.labels[graph.splits["column:role"] == TRAIN])
    np.testing.assert_allclose(many.factors * counts, counts.sum() / 3, rtol=1e-6)
    np.testing.assert_allclose(many.state.weights, alone.state.weights, atol=1e-4)


def test_all_ranks_hold_the_same_weights(world):
    """Nobody sends weights, so they must stay equal bit for bit on every rank, also with compressed gradients."""
    graph = random_graph(6)
    owner = (np.arange(graph.nodes) % world.size).astype(np.int32)
    for compress in ("none", "fp16"):
        many, _ = both(world, graph, settings(epochs=10), owner, compress)
        high, low = world.max(many.state.weights.copy()), world.min(many.state.weights.copy())
        np.testing.assert_array_equal(high, low)


def test_compressed_gradients_stay_close(world):
    """fp16 gradients end near the uncompressed result."""
    graph = random_graph(6)
    owner = (np.arange(graph.nodes) % world.size).astype(np.int32)
    many, alone = both(world, graph, settings(epochs=20, weight_decay=0.05), owner, "fp16")
    assert np.abs(many.state.history[-1][1] - alone.state.history[-1][1]) < 0.02


def test_ranks_without_nodes_or_labels(world):
    """All nodes on one rank, and all labelled nodes on one rank: the others take part and nothing changes."""
    graph = random_graph(9)
    last = world.size - 1
    everything = np.full(graph.nodes, last, np.int32)
    labelled = np.where(graph.splits["column:role"] == TRAIN, last, 0).astype(np.int32)
    for owner in (everything, labelled):
        many, alone = both(world, graph, settings(dropout=0.5), owner)
        np.testing.assert_allclose(many.state.weights, alone.state.weights, atol=1e-4)


@pytest.mark.parametrize(("nodes", "edges", "classes"), [(3, 0, 1), (30, 0, 3), (30, 60, 1), (4, 6, 2)])
def test_odd_graphs(world, nodes, edges, classes):
    """No edges, one class, fewer nodes than ranks: trained and equal to one rank."""
    graph = random_graph(1, nodes=nodes, edges=edges, classes=classes)
    graph.splits["column:role"][graph.labels >= 0] = TRAIN
    owner = (np.arange(graph.nodes) % world.size).astype(np.int32)
    many, alone = both(world, graph, settings(epochs=20), owner)
    np.testing.assert_allclose(many.state.weights, alone.state.weights, atol=1e-4)
    assert np.isfinite(many.state.weights).all()


@pytest.mark.parametrize("compress", ["none", "int8", "powersgd:2"])
def test_resumed_training_is_the_uninterrupted_one(world, compress):
    """Saved after 10 of 16 epochs and resumed from the bytes: the very same curve and weights, also with what
    compression had not sent yet."""
    graph = random_graph(11, nodes=100, edges=300)
    owner = (np.arange(graph.nodes) % world.size).astype(np.int32)
    config, images = settings(dropout=0.5, epochs=16), []
    shapes = [(graph.features.columns, 8), (8,), (8, 3), (3,)]
    whole = trainer_of(world, graph, config, owner, reducer(world, compress, shapes))

    def after_epoch(state):
        assert bool(whole.asked) == (state.epoch == 10)
        if whole.asked:
            lost = whole.reduce.gather_lost(whole.lost)
            images.append(world.bcast({"image": np.frombuffer(checkpoint.to_image(state, "mark", lost), np.uint8)}))

    whole.run(after_epoch, lambda: world.is_root and whole.state.epoch == 10)
    state, mark = checkpoint.from_image(images[0]["image"].tobytes())
    assert mark == "mark" and state.epoch == 10 and bool(state.lost) == (compress != "none")
    second = trainer_of(world, graph, config, owner, reducer(world, compress, shapes))
    second.restore(state)
    second.run(lambda state: None)
    np.testing.assert_array_equal(second.state.weights, whole.state.weights)
    curve = slice(0, 5)
    assert [row[curve] for row in second.state.history] == [row[curve] for row in whole.state.history]


class Death(Exception):
    """What a call of MPI raises, in this test."""


@pytest.mark.parametrize("compress", ["none", "int8", "powersgd:2"])
def test_memory_outlives_a_rank(world, monkeypatch, compress):
    """Rank 0 dies when the others have taken a step that it has not, before that is in the curve: what they have in
    memory leads to the very same curve and weights; it is refused where the copy of what compression lost has died."""
    if world.size == 1:
        return
    graph = random_graph(11, nodes=100, edges=300)
    owner = (np.arange(graph.nodes) % world.size).astype(np.int32)
    config, shapes = settings(dropout=0.5, epochs=16), [(graph.features.columns, 8), (8,), (8, 3), (3,)]
    whole, cut, second = (trainer_of(world, graph, config, owner, reducer(world, compress, shapes)) for _ in range(3))
    whole.run(lambda state: None)
    kept = mirror.Mirror(world, "mark", cut.state)
    if compress != "none":
        cut.mirror = kept
        kept.keep(world, 0, cut.reduce.lost())

    def wait(*args, wait=cut._wait_for_sums):
        wait(*args)
        if world.is_root and cut.state.epoch == 10:
            raise Death

    def gradient(epoch, gradient=cut._gradient):
        if epoch == 12:
            raise Death
        return gradient(epoch)

    monkeypatch.setattr(cut, "_wait_for_sums", wait)
    monkeypatch.setattr(cut, "_gradient", gradient)
    with pytest.raises(Death):
        cut.run(lambda state: None)
    monkeypatch.setattr(type(world), "current", world)  # what is made here is not to stay
    images = {}
    for dead in range(1, min(world.size, 3)):
        others = world.without([{"rank": rank} for rank in range(dead)])
        if others:
            others.kept = kept
            assert mirror.newest(others, "of another training") is None
            images[dead] = mirror.newest(others, "mark")
    if world.rank > 1:
        assert (images[2] is None) == (compress != "none")
    state, _ = checkpoint.from_image(world.bcast(images.get(1), 1))
    assert (state.epoch, len(state.history)) == (11, 10)
    second.restore(state)
    second.run(lambda state: None)
    np.testing.assert_array_equal(second.state.weights, whole.state.weights)
    assert [row[:5] for row in second.state.history] == [row[:5] for row in whole.state.history]


@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_best_epoch_and_early_stopping(world, weights):
    """Training stops `patience` epochs after the best validation, and the best weights come back; with class weights
    the validation loss is weighted, too, and tells which is best."""
    graph = random_graph(12)
    owner = (np.arange(graph.nodes) % world.size).astype(np.int32)
    trainer = trainer_of(world, graph, settings(epochs=500, patience=5, class_weights=weights), owner, Allreduce(world))
    kept = {}
    trainer.run(lambda state: kept.update({state.epoch: state.weights.copy()}))
    state = trainer.state
    assert state.epoch == state.best_epoch + 5 or state.epoch == 500
    scores = [(row[4], -row[3]) if weights == "none" else -row[3] for row in state.history]
    assert max(scores) == scores[state.best_epoch - 1]
    probabilities = trainer.finish().numpy()
    np.testing.assert_array_equal(state.weights, kept[state.best_epoch])
    rows, labels = trainer.rows[VALIDATION], trainer.labels[trainer.rows[VALIDATION]]
    losses = -np.log(probabilities[rows, labels]) * (1 if weights == "none" else trainer.factors[labels])
    np.testing.assert_allclose(world.sum(losses.sum()) / trainer.validation_nodes, state.best_loss, rtol=1e-4)


@pytest.mark.parametrize("keep", ["last", "all"])
def test_propagated_features(world, keep):
    """Features propagated block by block are the dense powers of the adjacency times X, on every rank its rows."""
    graph = random_graph(4, columns=150)
    owner = (np.arange(graph.nodes) % world.size).astype(np.int32)
    made = list(parts.cut(graph, adjacency(graph.edges, graph.nodes), owner, graph.splits["column:role"], world.size))
    part = propagate(world, made[world.rank], 2, keep, lambda: None)
    near, features = dense_adjacency(graph), graph.features.dense().astype(np.float64)
    powers = [features, near @ features, near @ near @ features]
    expected = powers[2] if keep == "last" else np.concatenate(powers, axis=1)
    assert part.features.sound() and part.halo == 0
    np.testing.assert_allclose(part.features.dense(), expected[part.nodes], atol=1e-5)


def test_shares(world, shared_tmp_path, monkeypatch):
    """Shares that are given or measured leave the result as it is; measured ones are written down, and where speeds are
    about the same, they count as one."""
    graph = random_graph(2, nodes=400, edges=1500)
    path = shared_tmp_path / "g.npz"
    if world.is_root:
        path.write_bytes(npz_bytes(graph))
    world.barrier()
    monkeypatch.setattr(shares, "WORTH_MEASURING", 0)
    monkeypatch.setattr(plan, "CALLS", 1)
    monkeypatch.setattr(shares, "measure", lambda world: [[1.0], [3.0], [3.2]][min(world.rank, 2)])
    found = {}
    numbers = ",".join(str(3 if rank else 1) for rank in range(world.size))
    for name in ("equal", numbers, "auto"):
        run = shared_tmp_path / name
        words = ["--graph", str(path), "--run", str(run), "--epochs", "5", "-q", "--shares", name]
        train.run(train.build_parser().parse_args(words), world)
        if world.is_root:
            found[name] = (run / "train/predictions.csv").read_text()
            noted = run / "decisions.csv"
            assert noted.exists() == (name == "auto" and world.size > 1)
            assert not noted.exists() or "times the mean" in noted.read_text()
            if noted.exists():
                assert len(set(re.search(r"speeds ([\d. ]+)", noted.read_text())[1].split())) == 2
    if world.is_root:
        accuracies = [[line.split(",")[1] for line in text.splitlines()] for text in found.values()]
        assert accuracies[0] == accuracies[1] == accuracies[2]
    with pytest.raises(UsageError, match="shares for"):
        train.run(train.build_parser().parse_args([*words[:-1], "1," * world.size + "1"]), world)


@settings_of_hypothesis(max_examples=30)
@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(0, 3)), min_size=1, max_size=6))
def test_shares_fit_the_rooms(ranks):
    """What a rank cannot hold goes to the others in proportion; nobody gets more than fits where all fits at all."""
    values, rooms = (np.array(column) for column in zip(*ranks))
    values /= values.sum()
    found = shares.cap(values, rooms, 1.0)
    assert found.sum() == pytest.approx(1) and (found >= 0).all()
    if rooms.sum() > 1:
        assert (found <= rooms + 1e-6).all()
        free = found < rooms - 1e-6
        assert np.ptp((found / values)[free], axis=0) < 1e-6 if free.any() else True


def test_ranks_of_a_host_have_one_speed():
    """What scatters among ranks of a host is chance; a host that is slower stays so, and a rank that always is."""
    scattered = np.array([[2.0, 4.0, 3.0], [4.0, 2.0, 3.0], [1.0, 1.0, 1.2]])
    found = shares.of_hosts(scattered, np.array([0, 0, 1]))
    assert found.tolist() == [[3.0, 3.0, 3.0], [3.0, 3.0, 3.0], [1.0, 1.0, 1.2]] and shares.unlike(found)
    slowed = np.array([[4.0, 4.0, 4.1], [1.0, 1.0, 1.2]])
    assert np.array_equal(shares.of_hosts(slowed, np.array([0, 0])), slowed)


def test_known_speeds_count_as_long_as_they_hold():
    """What the doctor found replaces what scatters about it; a rank that has become slow counts as it is now."""
    known = np.array([1.5, 1.5, 0.5, 0.5])
    seen = np.array([1.6, 1.3, 0.6, 0.5]), np.array([1.5, 0.4, 0.5, 0.5])
    np.testing.assert_allclose(confirmed(seen[0], known, holding(seen[0], known, 1.5)), known)
    found = confirmed(seen[1], known, holding(seen[1], known, 1.5))
    np.testing.assert_allclose(found / found[0], [1, 0.4 / 1.5, 1 / 3, 1 / 3], rtol=1e-6)


@pytest.mark.parametrize("lasts", [False, True])
def test_a_rank_that_is_slow_for_a_moment(world, tmp_path, monkeypatch, lasts):
    """What the doctor did not find is looked at twice; the whole host being slower the second time changes nothing."""
    if world.size < 2 + lasts:
        pytest.skip("of so few ranks nobody knows which one has changed")
    known, slow = np.arange(world.size) + 2.0, world.size - 1
    found = [np.tile(known[:, None], 3) for _ in range(2)]
    found[0][slow] /= 6
    found[1][slow] /= 6 if lasts else 1
    found[1] /= 3
    monkeypatch.setattr(shares, "measure", lambda world: found.pop(0)[world.rank].tolist())
    monkeypatch.setattr(shares, "of_hosts", lambda rates, hosts: rates)
    monkeypatch.setattr(shares.host_profile, "speeds", lambda run, hosts: known.tolist())
    rates, speeds, doctors = shares.calibrate(SimpleNamespace(world=world, run=tmp_path))
    expected = known.copy()
    expected[slow] /= 6 if lasts else 1
    assert doctors and not found and len(rates) == world.size
    np.testing.assert_allclose(speeds / speeds[0], expected / expected[0])


@pytest.mark.parametrize(("model", "method"), [("gcn", METHODS[0]), ("sage", "ldg"), ("sign", "ldg")])
def test_a_rank_that_becomes_slow(world, shared_tmp_path, monkeypatch, model, method):
    """A rank that is found to take five times as long loses nodes between two epochs; the curve stays as it was."""
    if world.size == 1:
        pytest.skip("one rank has nobody to hand nodes to")
    graph = random_graph(2, nodes=300, edges=1500)
    path = shared_tmp_path / "g.npz"
    if world.is_root:
        path.write_bytes(npz_bytes(graph))
    world.barrier()
    wait_for_sums, take, seen = Trainer._wait_for_sums, Trainer.take, []

    def found_slow(trainer, sums, going):
        slow = len(trainer.busy_s) > 3 and world.rank == 0
        sums[5 + world.rank] = 1e-4 * trainer.inputs.part.owned * (5 if slow else 1)
        wait_for_sums(trainer, sums, going)

    def take_and_keep(trainer, inputs):
        seen.append(inputs.part)
        take(trainer, inputs)

    def run(name, *more):
        words = ["--graph", str(path), "--run", str(shared_tmp_path / name), "--epochs", "11", "-q", "--model"]
        words += [model, "--partition", method, *more]
        train.run(train.build_parser().parse_args(words), world)
        return np.genfromtxt(shared_tmp_path / name / "metrics.csv", delimiter=",", skip_header=1)[:, :5]

    expected = run("undisturbed", "--no-rebalance")
    monkeypatch.setattr(Trainer, "_wait_for_sums", found_slow)
    monkeypatch.setattr(Trainer, "take", take_and_keep)
    monkeypatch.setattr(plan, "CALLS", 1)
    monkeypatch.setattr(balance, "UNEVEN", ((2, 1.5),))
    monkeypatch.setattr(balance, "CAUTION", 0.0)
    monkeypatch.setattr(balance, "LEAST_GAIN_S", 0.0)
    np.testing.assert_allclose(run("slow"), expected, atol=1e-4)
    assert len(seen) > 1 and (seen[-1].owned < seen[0].owned or world.rank)
    nodes = np.concatenate(world.allgather(seen[-1].nodes[: seen[-1].owned]))
    np.testing.assert_array_equal(np.sort(nodes), np.arange(graph.nodes))
    assert "instead of" in (shared_tmp_path / "slow/decisions.csv").read_text()


def test_memory_that_shrinks(world, shared_tmp_path, monkeypatch):
    """When a host runs out of memory in mid-run, its rank gives its nodes away and a checkpoint is saved; the curve
    stays as it was. Where nobody has room, the checkpoint is what can be done."""
    graph = random_graph(2, nodes=200, edges=900)
    path = shared_tmp_path / "g.npz"
    if world.is_root:
        path.write_bytes(npz_bytes(graph))
    world.barrier()
    take, seen, available_bytes = Trainer.take, [], resources.available_bytes

    def take_and_keep(trainer, inputs):
        seen.append(inputs.part.owned)
        take(trainer, inputs)

    def run(name, *more):
        words = ["--graph", str(path), "--run", str(shared_tmp_path / name), "--epochs", "11", "-q", *more]
        train.run(train.build_parser().parse_args([*words, "--no-rebalance"]), world)
        return np.genfromtxt(shared_tmp_path / name / "metrics.csv", delimiter=",", skip_header=1)[:, :5]

    def taken_by_another(node_size=1):
        looks.append(world.rank)
        return 0 if len(looks) > 4 and world.rank in poor else available_bytes(node_size)

    expected = run("undisturbed")
    monkeypatch.setattr(Trainer, "take", take_and_keep)
    monkeypatch.setattr(shortage, "LOOK_S", 0.0)
    monkeypatch.setattr(resources, "available_bytes", taken_by_another)
    for name, several in (("one", [0]), ("all", range(world.size))):
        looks, poor = [], several
        found = run(name)
        np.testing.assert_allclose(found[:, [1, 3]], expected[:, [1, 3]], atol=1e-4)
        if world.is_root:
            noted = (shared_tmp_path / name / "decisions.csv").read_text()
            assert "rank 0" in noted and "MB of memory after epoch" in noted
            moved = world.size > 1 and name == "one"
            assert ("no other rank has room" not in noted) == moved and ("instead of" in noted) == moved
            assert not moved or seen[-1] <= 2 < max(seen)
            seen.clear()


@pytest.mark.parametrize(("model", "bound"), [("gcn", 50), ("gcn", 2)])
def test_a_late_rank_is_not_waited_for(world, shared_tmp_path, monkeypatch, model, bound):
    """With --staleness steps go on without a rank that takes far longer, its gradient is never older than allowed, all
    ranks end with the same state, and the network learns."""
    graph = random_graph(2, nodes=200, edges=900)
    path, run, made, ages = shared_tmp_path / "g.npz", shared_tmp_path / "run", [], []
    if world.is_root:
        path.write_bytes(npz_bytes(graph))
    world.barrier()
    gradient, record = Trainer._gradient, StaleTrainer._record

    def slow_gradient(trainer, epoch):
        made.append(trainer)
        time.sleep(0.25 if world.rank == world.size - 1 else 0)
        return gradient(trainer, epoch)

    def noting_record(trainer, sums):
        ages.append(trainer.oldest)
        record(trainer, sums)

    monkeypatch.setattr(Trainer, "_gradient", slow_gradient)
    monkeypatch.setattr(StaleTrainer, "_record", noting_record)
    words = ["--graph", str(path), "--run", str(run), "--epochs", "25", "-q", "--model", model]
    words += ["--staleness", str(bound)]
    train.run(train.build_parser().parse_args(words), world)
    state = made[0].state
    assert state.epoch == len(state.history) == 25 and state.history[-1][1] < 0.9 * state.history[0][1]
    for low, high in ((world.min(array), world.max(array)) for array in (state.weights, np.array(state.history))):
        np.testing.assert_array_equal(low, high)
    if world.size > 1 and world.is_root:
        assert 0 < max(ages) <= bound and made[0].left_out >= (8 if bound == 50 else 1)
        assert f"rank {world.size - 1} takes more than" in (run / "decisions.csv").read_text()
        assert not json.loads((run / "train/summary.json").read_text())["exact"]


def test_a_link_that_becomes_slow(world, shared_tmp_path, monkeypatch):
    """When epochs wait longer for the link, gradients are compressed from then on; nothing that was lost is lost."""
    if world.size == 1:
        pytest.skip("one rank has no link")
    graph = random_graph(2, nodes=100, edges=300)
    path = shared_tmp_path / "g.npz"
    if world.is_root:
        path.write_bytes(npz_bytes(graph))
    world.barrier()
    wait_for_sums, chosen = Trainer._wait_for_sums, iter(["int8", "none", "powersgd:2"])

    def found_slow(trainer, sums, going):
        sums[5:-2] = 0.0
        sums[-2] = 0.01 * (1 + len(trainer.wall_s) // 13) ** 2 if world.is_root else 0.0
        wait_for_sums(trainer, sums, going)

    monkeypatch.setattr(Trainer, "_wait_for_sums", found_slow)
    monkeypatch.setattr(links, "choose", lambda world, shapes: (next(chosen), "measured", None))
    monkeypatch.setattr(world, "nodes", 2)
    run = shared_tmp_path / "run"
    words = ["--graph", str(path), "--run", str(run), "--epochs", "50", "-q", "--compress", "auto", "--model", "mlp"]
    train.run(train.build_parser().parse_args(words), world)
    if world.is_root:
        noted = (run / "decisions.csv").read_text()
        assert "gradients by none instead of int8" in noted and "gradients by powersgd:2 instead of none" in noted
        assert noted.count("kept it") == 2
        assert json.loads((run / "train/summary.json").read_text())["compress"] == "powersgd:2"


def test_more_ranks_than_nodes(world, shared_tmp_path):
    """The whole program on three nodes, at any number of ranks."""
    graph = random_graph(1, nodes=3, edges=4, classes=2)
    graph.labels[:] = [0, 1, 0]
    path = shared_tmp_path / "g.npz"
    if world.is_root:
        path.write_bytes(npz_bytes(graph))
    world.barrier()
    words = ["--graph", str(path), "--run", str(shared_tmp_path / "run"), "--epochs", "5", "-q"]
    train.run(train.build_parser().parse_args(words), world)
    if world.is_root:
        assert (shared_tmp_path / "run/train/predictions.csv").read_text().count("\n") == 1 + 3
