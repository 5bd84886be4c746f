"""Decides before the work: split, partition, settings, and what each rank will hold."""

import itertools
from dataclasses import asdict, dataclass, replace

import numpy as np

from mpiedge.errors import InputError, MpiedgeError
from mpiedge.graph import part as parts
from mpiedge.graph import partition
from mpiedge.graph.build import Adjacency, Graph, adjacency
from mpiedge.graph.part import Part
from mpiedge.graph.shared_halo import shares_rows
from mpiedge.kernels import native
from mpiedge.models.build import MODELS, uses_graph
from mpiedge.runtime import launcher, resources
from mpiedge.runtime.root import on_root
from mpiedge.runtime.rows import form
from mpiedge.training import split as splits
from mpiedge.training.loop import Settings
from mpiedge.training.shares import Shares, settle
from mpiedge.training.sources import Source

PENALTY = 0.07
"""The default L2 penalty times the number of training nodes. The loss is a mean over those nodes, so a prior of fixed
strength weighs less the more of them there are; with the 140 of Cora this is the 5e-4 of Kipf & Welling 2017."""
OF_GRAPHS, OF_TABLES = (16, 0.5), (64, 0.2)
"""The default hidden width and dropout: those of Kipf & Welling 2017, and those for rows without a graph, which need a
larger network and less against learning them by heart."""
ID_BYTES = 70  # of each node's name while it is written (counted)
MODEL_WINDOW = 1 << 15  # nodes of which what they hand to new neighbours is written at a time, in four copies
METIS_NODE, METIS_ENTRY = 140, 100  # bytes that METIS takes for a node and for a neighbour of one (86 MB measured)
COPIES = 6  # times the weights: what compression had lost, of this rank and of another (training/mirror.py)
CALLS = 2e6
"""Multiplications that take half as long as the calls of an epoch, which is 1 to 2 ms: counted in full they would leave
slow ranks too little, as these wait between calls (measured)."""
SCIPY_PRODUCT = 60  # bytes per entry of a sparse matrix that scipy multiplies, dropout included (counted)


@dataclass
class Layout:
    """Who holds what and what is trained. owner, split, neighbours: on rank 0 only; the rest on every rank.

    rank_rows: owned nodes, halo copies, adjacency entries and feature entries of every rank, int64 (ranks, 4). tile:
    where the graph stays on disk, what is in memory at a time (see training/blocks.py). sent_bytes: what each rank was
    expected to send per epoch when that was told, else None.
    """

    settings: Settings
    split_name: str
    split_counts: dict
    classes: list[str]
    columns: int
    nodes: int
    edges: int
    entries: int
    method: str
    cut_edges: int
    rank_rows: np.ndarray
    shares: Shares
    config: dict
    tile: object = None
    sent_bytes: float | None = None
    owner: np.ndarray | None = None
    split: np.ndarray | None = None
    neighbours: Adjacency | None = None

    @property
    def real(self) -> int:
        """Bytes of a weight."""
        return np.dtype(self.settings.dtype).itemsize


def make_layout(stage, source: Source, args) -> Layout:
    """Collective: rank 0 splits and partitions; others encode meanwhile what is still to be; all learn the sizes.

    Raises InputError on every rank. Messages: a broadcast of counts and names, what shares.py needs, those of
    encoding.py, a broadcast of the sizes of all parts.
    """
    own, connected = {}, uses_graph(args.model)

    def describe() -> dict:
        graph = source.graph
        features = source.encoding or graph.features
        check(graph, features.columns, source.name)
        name, own["split"] = splits.of_training(graph, args)
        counts = splits.counts(own["split"])
        if not counts["train"]:
            raise InputError(source.name, f"split {name} has no training nodes", "Give another --split")
        return {"split_name": name, "split_counts": counts, "classes": graph.classes, "nodes": graph.nodes,
                "columns": features.columns, "entries": features.entries,
                "edges": len(graph.edges) if connected else 0}

    facts = on_root(stage.world, describe)
    given = connected and args.partition not in (None, *partition.METHODS)
    shares = choose_shares(stage, args, source, facts, given)

    def cut() -> None:
        graph = source.graph
        neighbours = adjacency(graph.edges, graph.nodes) if connected else None
        method = (args.partition or _method(stage, neighbours)) if connected else "blocks"
        if given:
            owner = partition.read_owners(method, graph.nodes, stage.world.size)
        elif connected:
            owner = partition.partition(neighbours, shares.values, method, args.seed)
        else:
            owner = partition.blocks(graph.nodes, shares.values)
        own.update(owner=owner, neighbours=neighbours, method=method)

    if stage.world.is_root:
        try:
            cut()
        except MpiedgeError as error:
            own["error"] = error  # told once the others listen
    if source.encoding is not None:
        with stage.phase("encode"):
            source.features, source.encoding = source.encoding.run(stage.world), None
        facts["entries"] = source.features.entries

    def count() -> dict:
        if "error" in own:
            raise own["error"]
        lengths = (source.features or source.graph.features).lengths
        rows, cut_edges = count_rows(lengths, own["neighbours"], own["owner"], stage.world.size)
        return {"method": own["method"], "cut_edges": cut_edges, "rank_rows": rows}

    layout = finish_layout(args, source, facts | on_root(stage.world, count) | {"shares": shares})
    layout.owner, layout.split, layout.neighbours = (own.get(name) for name in ("owner", "split", "neighbours"))
    resources.return_freed()
    return layout


def _method(stage, neighbours: Adjacency) -> str:
    """Local: how to partition: by METIS where it is installed and has the memory that it takes."""
    needed = METIS_NODE * neighbours.nodes + METIS_ENTRY * len(neighbours.neighbours)
    free = stage.own_budget_bytes - resources.current_rss_bytes(stage.world.node_size)
    return partition.default_method() if needed <= free else "ldg"


def choose_shares(stage, args, source: Source, facts: dict, given: bool = False) -> Shares:
    """Collective: the share of the work that each rank gets; given: the partition comes from a file instead.

    facts: of the layout, without its parts. Messages: see shares.py. Raises UsageError on every rank.
    """
    adjacent = 2 * facts["edges"] + facts["nodes"]
    everything = np.array([[facts["nodes"], 0, adjacent, facts["entries"]]], np.int64)
    parts_to_come = {"method": "", "cut_edges": 0, "rank_rows": everything, "shares": None}
    layout = finish_layout(args, source, facts | parts_to_come)
    items = memory(layout, 0)
    fixed = items["weights"] + items["torch"] + items["predictions"]
    divided = sum(items.values()) - fixed
    if source.encoder and stage.world.is_root:
        fixed += model_memory(layout)
    work = adjacent + partition.NODE_WEIGHT * facts["nodes"]
    shares = settle(stage, "equal" if given else args.shares, work, calls(layout), divided, fixed)
    return replace(shares, why="") if given else shares


def finish_layout(args, source: Source, facts: dict) -> Layout:
    """Local: the layout from what was found of the graph and the flags."""
    penalty = PENALTY / facts["split_counts"]["train"] if args.weight_decay is None else args.weight_decay
    ahead = MODELS[args.model].propagates
    layers = 1 if ahead == "last" else args.layers
    hops, projection = (args.hops, args.project) if ahead else (0, 0)
    hidden, dropout = OF_TABLES if args.model == "mlp" else OF_GRAPHS
    hidden, dropout = args.hidden or hidden, dropout if args.dropout is None else args.dropout
    settings = Settings(args.model, hidden, layers, hops, projection, args.epochs, args.lr, penalty, dropout,
                        args.patience, args.schedule, args.class_weights, args.dtype, args.seed)
    config = asdict(settings) | {"split": facts["split_name"], "source": source.name}
    return Layout(settings=settings, config=config, **facts)


def check(graph: Graph, columns: int, name: str) -> None:
    """Local: InputError for a graph that nothing can be learned from."""
    if graph.nodes == 0:
        raise InputError(name, "there are no nodes", "Give a table with rows")
    if not (graph.labels >= 0).any():
        raise InputError(name, "no node has a label", "Name the label column with --label")
    labelled = graph.labels[graph.labels >= 0]
    if (labelled == labelled[0]).all():
        raise InputError(name, f"all labels are {graph.classes[labelled[0]]}: there is nothing to tell apart",
                         "Name another label column with --label")
    if len(np.unique(labelled)) == len(labelled):
        raise InputError(name, "no two nodes have the same label", "Name another label column with --label")
    if columns == 0:
        raise InputError(name, "no column can serve as a feature", "Give a table with text, numbers or dates")


def count_rows(entries: np.ndarray, neighbours: Adjacency | None, owner: np.ndarray, ranks: int
               ) -> tuple[np.ndarray, int]:
    """Local: owned nodes, halo copies, adjacency and feature entries of every rank (int64, ranks x 4); cut edges.

    entries: feature entries of every node."""
    owned, features = np.bincount(owner, minlength=ranks), np.bincount(owner, weights=entries, minlength=ranks)
    if neighbours is None:
        zero = np.zeros(ranks)
        return np.stack([owned, zero, zero, features], axis=1).astype(np.int64), 0
    statistics = partition.cut_statistics(neighbours, owner, ranks, entries)
    adjacent = np.bincount(owner, weights=neighbours.degrees() + 1, minlength=ranks)
    rows = np.stack([owned, statistics["halo"], adjacent, features + statistics["halo_weight"]], axis=1)
    return rows.astype(np.int64), statistics["cut_edges"]


def measure_rows(world, part) -> tuple[np.ndarray, int]:
    """Collective: owned nodes, halo copies, adjacency and feature entries of every rank (int64, ranks x 4), as they
    are in the parts that the ranks hold; and cut edges.

    Message: a sum.
    """
    own = np.zeros((world.size, 5), np.int64)
    away = int((part.indices >= part.owned).sum())
    own[world.rank] = part.owned, part.halo, len(part.indices), len(part.features.indices), away
    found = world.sum(own)
    return found[:, :4], int(found[:, 4].sum()) // 2


def widths(layout: Layout) -> list[int]:
    """Local: the widths of all layers' outcomes, the class scores last."""
    return [layout.settings.hidden] * (layout.settings.layers - 1) + [len(layout.classes)]


def entering_columns(layout: Layout) -> int:
    """Local: columns of the features as the model sees them."""
    settings = layout.settings
    sides = settings.hops + 1 if MODELS[settings.model].propagates == "all" else 1
    return (settings.projection or layout.columns) * sides


def entering_entries(layout: Layout, rank: int) -> float:
    """Local: entries of a rank's features as the model sees them; for propagated ones the number to be expected, were
    features and edges independent of each other."""
    owned, _, adjacent, entries = layout.rank_rows[rank].tolist()
    settings, ahead = layout.settings, MODELS[layout.settings.model].propagates
    if not ahead:
        return entries
    columns, reach = settings.projection or layout.columns, adjacent / max(owned, 1)
    each = columns if settings.projection else layout.entries / max(layout.nodes, 1)
    kept = range(settings.hops + 1) if ahead == "all" else [settings.hops]
    return owned * sum(columns * -np.expm1(-each * reach**hop / max(columns, 1)) for hop in kept)


def weights(layout: Layout) -> int:
    """Local: the number of weights and biases."""
    wide, entering = MODELS[layout.settings.model].side_by_side, [entering_columns(layout), *widths(layout)]
    return sum((rows * wide + 1) * columns for rows, columns in itertools.pairwise(entering))


def calls(layout: Layout) -> float:
    """Local: half of what the calls of an epoch cost each rank, whatever its share, as a share of the work of all."""
    out, wide = widths(layout), MODELS[layout.settings.model].side_by_side
    owned, _, adjacent, _ = layout.rank_rows.sum(axis=0).tolist()
    entering = sum(entering_entries(layout, rank) for rank in range(len(layout.rank_rows)))
    products = wide * (entering * out[0] + owned * sum(a * b for a, b in itertools.pairwise(out)))
    return CALLS / max(products + adjacent * sum(out), 1)


def memory(layout: Layout, rank: int) -> dict[str, float]:
    """Local: bytes that a rank will hold, by item."""
    if layout.tile:
        tile = layout.tile
        return {"block": tile.block_bytes, "sums": tile.sum_bytes, "read ahead": tile.read_bytes,
                **fixed_memory(layout, on_disk=True)}
    owned, halo, adjacent, _ = layout.rank_rows[rank].tolist()
    wide, ahead = MODELS[layout.settings.model].side_by_side, MODELS[layout.settings.model].propagates
    real, entering = layout.real, entering_entries(layout, rank)
    items = {
        "nodes": 33 * owned + 16 * halo,
        "edges": 4 * real * adjacent,
        "features": (8 + 2 * real) * entering + 8 * (owned + halo + layout.columns),
        "propagation": 0 if not ahead else (8 + real) * entering + 1024 * real * (owned + halo),
        "products": 0 if native.library else SCIPY_PRODUCT * max(adjacent, entering),
        "halo": 3 * real * halo * wide * sum(widths(layout)),
        "activations": 8 * real * owned * wide * sum(widths(layout)),
        **fixed_memory(layout),
    }
    return {name: size for name, size in items.items() if size}


def model_memory(layout: Layout) -> float:
    """Local: bytes that rank 0 takes to write what the nodes of tables hand to new neighbours."""
    return ID_BYTES * layout.nodes + 4 * layout.real * min(MODEL_WINDOW, layout.nodes) * sum(widths(layout))


def fixed_memory(layout: Layout, on_disk: bool = False) -> dict[str, float]:
    """Local: bytes that every rank holds whatever its share; on_disk: predictions lie in files."""
    return {
        "weights": 8 * layout.real * weights(layout),
        "predictions": 0 if on_disk else 6 * layout.nodes,
        "torch": 25e6,  # what torch's first backward pass allocates
    }


def tell(stage, source: Source, layout: Layout, only: bool) -> None:
    """Collective: prints what was found, the partition and the memory plan. only: nothing will be done.

    Raises MemoryPlanError on every rank.
    """
    if stage.how_chosen not in ("given", "new"):
        stage.say(f"run     {stage.run} ({stage.how_chosen})")
    for note in source.notes:
        stage.say(f"graph   {note}")
    counts = layout.split_counts
    stage.say(f"input   {source.name} ({layout.nodes:,} nodes, {layout.edges:,} edges, {layout.columns:,} features, "
              f"{len(layout.classes)} classes)")
    stage.say(f"split   {layout.split_name} ({counts['train']:,} train, {counts['val']:,} val, "
              f"{counts['test']:,} test)")
    if stage.world.size > 1 and uses_graph(layout.settings.model) and not layout.tile:
        halo = layout.rank_rows[:, 1].sum() / layout.nodes
        share = layout.cut_edges / max(layout.edges, 1)
        shared = shares_rows(stage.world, stage.args.halo, not stage.args.staleness)
        sent = layout.sent_bytes = bytes_per_epoch(layout, None if shared else stage.args.halo)
        stage.say(f"parts   {layout.method}: {layout.cut_edges:,} cut edges ({share:.1%}), "
                  f"{halo:.2f} halo copies per node, {sent / 1e6:.2f} MB per epoch and rank")
    planned = memory(layout, stage.world.rank)
    if source.encoder and stage.world.is_root:
        planned["model"] = model_memory(layout)
    if stage.args.compress != "none" and stage.world.size > 1 and launcher.goes_on_without_dead():
        planned["copies"] = COPIES * 4 * weights(layout)
    if stage.world.kept:
        del planned["torch"]  # it has that from before a rank died
    layout.shares.tell(stage)
    if layout.tile:
        rows, widest = layout.tile.block_rows, max(widths(layout)) * layout.real
        stage.say(f"disk    {-(-layout.nodes // rows):,} blocks of {rows:,} nodes, one at a time, and sums of "
                  f"{int(layout.tile.sum_bytes // widest):,} nodes at a time: exact")
    if only:
        largest = stage.world.max(np.array([sum(planned.values())]))[0]
        stage.say(f"memory  {largest / 1e6:.0f} MB per rank beside the programs, of {stage.budget_bytes / 1e6:.0f} MB")
    else:
        stage.plan(**planned)


def bytes_per_epoch(layout: Layout, halo: str | None) -> float:
    """Local: mean bytes a rank sends per epoch: three exchanges of halo rows in their form (None: they lie in shared
    memory), the gradient as it is."""
    if halo is None:
        return layout.real * weights(layout)
    rows = form("fp32" if halo == "auto" else halo)  # what it chooses is not known yet
    copies = int(layout.rank_rows[:, 1].mean()) if MODELS[layout.settings.model].norm else 0
    exchanged = 3 * sum(rows.size(copies, width) for width in widths(layout)[1:])
    return exchanged * layout.real / 4 + layout.real * weights(layout)  # 8 bytes only where rows travel as they are


def scatter_parts(stage, source: Source, layout: Layout) -> Part:
    """Collective: every rank gets its part; afterwards rank 0 too keeps nothing of the graph but ids."""
    graph = source.graph
    cut = parts.cut(graph, layout.neighbours, layout.owner, layout.split, stage.world.size) if graph else None
    part = parts.scatter(stage.world, cut)
    if source.features is not None:
        part.features, source.features = source.features.take(part.nodes), None
    layout.neighbours = layout.owner = None
    if graph is not None:
        graph.features = graph.edges = None
    return part
