"""Builds the graph out of the run's clean tables or CSV files: encoded by all ranks, joined on rank 0.

Features are encoded while rank 0 cuts the graph, and stay on the rank that has encoded them until then
(graph/spread.py); rank 0 joins edges by digests of their ends, and holds of every node its name, label and digests, of
every edge its ends.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable

import numpy as np

from mpiedge.errors import InputError, StoreError, UsageError
from mpiedge.graph import cells, tables
from mpiedge.graph.features import Encoder, Survey, as_text, digests, plan_encoder, survey
from mpiedge.models.build import uses_graph
from mpiedge.runtime import resources
from mpiedge.runtime.root import on_root
from mpiedge.store.parts import one_line
from mpiedge.store.run import read_manifest, rerun
from mpiedge.training.encoding import Encoding, expected_entries
from mpiedge.training.filled import filled_cells
from mpiedge.training.sources import Source

TABLE_COPIES = 25
"""Memory that rank 0 takes to read CSV files (22 to 25 times their bytes were measured)."""

CHUNK_BYTES, SPREAD_COPIES, ROW_BYTES = 40e6, 6, 160
"""Memory to read clean tables: of a rank for the chunk at hand and surveys; of all together a multiple of the bytes of
their parts, for features; of rank 0 for every row, an edge or a node (38 MB, 4.1 times, 115 bytes were measured)."""

SHOWN = 20  # columns in a line for people
BATCH = 2
"""Chunks of a table for each rank in a step of what rank 0 puts together."""


def is_file(name: str | None) -> bool:
    """Whether --nodes or --edges names a CSV file, not a table of the run."""
    return bool(name) and (os.path.sep in name or name.lower().endswith((".csv", ".csv.gz", ".tsv")))


class StoredRows:
    """A clean table of the run, read by whichever rank is free."""

    def __init__(self, stage, table):
        self.stage, self.name = stage, table.name
        self.kinds = {column.name: column.kind for column in table.columns}
        self.notations = {column.name: column.extra["notation"] for column in table.columns
                          if "notation" in column.extra}
        self.table = table

    def filled(self) -> dict[str, np.ndarray]:
        """Local: on rank 0 the rows of each column that were blank before clean (see training/filled.py)."""
        return filled_cells(self.stage.run, self.name, self.table.rows)

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return len(self.table.chunk_rows)

    def spread(self, columns: list[str], work: Callable, chunks: range | None = None) -> dict[int, object]:
        """Collective: work(chunk) of every chunk by number, each on the rank that read it."""
        tasks = [(chunk,) for chunk in chunks or range(self.chunks)]
        done = self.stage.queue.run(tasks, lambda task: work(self.table.read(task[0], columns)),
                                    name=f"read {self.name}")
        return {chunk: result for (chunk,), result in done}

    def gather(self, found: dict[int, object]) -> list:
        """Collective: what `spread` found, in chunk order, on rank 0; an empty list elsewhere."""
        if self.stage.world.size == 1:
            return [found[chunk] for chunk in sorted(found)]
        pairs = self.stage.queue.gather_root([((chunk,), part) for chunk, part in found.items()])
        return [part for _, part in pairs]

    def each(self, columns: list[str], work: Callable, take: Callable) -> None:
        """Collective: take(work(chunk)) of every chunk, in chunk order, on rank 0, which never holds many of them."""
        step = BATCH * self.stage.world.size
        for first in range(0, self.chunks, step):
            found = self.spread(columns, work, range(first, min(first + step, self.chunks)))
            for result in self.gather(found):
                take(result)


class CsvRows:
    """A CSV file, read by rank 0 alone."""

    def __init__(self, stage, path: str, file):
        """Collective: reads the file and finds the columns' kinds. Raises InputError on every rank."""
        self.stage, self.name, self.notations = stage, os.path.basename(path), {}
        self._own: list[dict] = []

        def read() -> dict:
            data = stage.access.read_bytes(file, 0, file.size)
            _, columns = cells.read_csv(path, data)
            self._own = cells.in_chunks(columns)
            kinds = {name: cells.infer_kind(column) for name, column in columns.items()}
            return {"kinds": kinds, "digest": hashlib.sha256(data).hexdigest(), "chunks": len(self._own)}

        found = on_root(stage.world, read)
        self.kinds, self.digest, self.chunks = found["kinds"], found["digest"], found["chunks"]

    def filled(self) -> dict:
        """Local: nothing, as in `StoredRows`: its cells are as they were."""
        return {}

    def spread(self, columns: list[str], work: Callable) -> dict[int, object]:
        """Local: work(chunk) of every chunk by number, on rank 0; nothing elsewhere."""
        return {number: work({name: chunk[name] for name in columns}) for number, chunk in enumerate(self._own)}

    def gather(self, found: dict[int, object]) -> list:
        """Local: what `spread` found, in chunk order, on rank 0; an empty list elsewhere."""
        return [found[number] for number in sorted(found)]

    def each(self, columns: list[str], work: Callable, take: Callable) -> None:
        """Local: take(work(chunk)) of every chunk, in chunk order, on rank 0."""
        for result in self.spread(columns, work).values():
            take(result)


def open_tables(stage, args) -> Source:
    """Collective: the graph of the node table with the label and of the edge table. Raises InputError or UsageError."""
    source = Source(str(stage.run))
    known = _known_tables(stage, args, source)
    node_name, label, found = _choose_label(stage, args, known)
    nodes = known[node_name]
    split_column = args.split[len("column:") :] if (args.split or "").startswith("column:") else None
    if split_column and split_column not in nodes.kinds:
        raise _everywhere(UsageError(f"--split {args.split}", f"{node_name} has no such column",
                                     f"It has {', '.join(nodes.kinds)}"))
    keys = on_root(stage.world, lambda: tables.key_columns(nodes.kinds, found))
    left_out = {label, split_column, *keys}
    candidates = {name: kind for name, kind in nodes.kinds.items() if name not in left_out}

    told = _single_dependencies(stage, nodes) if args.drop_determined else []

    def decide() -> dict:
        if not found.present[label]:
            raise InputError(node_name, f"no row has a label in {label}", "Name the label column with --label")
        if tables.is_measure(label, nodes.kinds[label], found):
            raise InputError(node_name, f"the {found.distinct(label):,} values of {label} are quantities, no classes",
                             "Put them into a few ranges in a column of their own, or name another --label")
        if tables.is_name(label, nodes.kinds[label], found):
            raise InputError(node_name, f"the {found.distinct(label):,} values of {label} are names, no classes",
                             "Name another --label")
        encoder = plan_encoder(candidates, found)
        telling = {name for name in encoder.kinds if found.repeats(name)}  # others determine all, and tell nothing
        gone = tables.determined([one for one in told if one["lhs"][0] in telling], list(encoder.kinds))
        if gone:
            stage.say(f"dropped {', '.join(f'{name} (told by {by})' for name, by in gone.items())}")
            encoder = plan_encoder({name: kind for name, kind in candidates.items() if name not in gone}, found)
        if not encoder.columns:
            raise InputError(node_name, "no column can serve as a feature", "Give a table with text, numbers or dates")
        return {"encoder": encoder.to_message(), "entries": expected_entries(encoder, found)}

    decided = on_root(stage.world, decide)
    source.encoder = Encoder.from_message(decided["encoder"])
    source.encoding = Encoding(nodes, source.encoder, decided["entries"])
    edges = _read_edges(stage, args, known, node_name, keys) if uses_graph(args.model) else None
    guessed = "" if args.label else " (guessed; --label names another)"
    source.notes = [f"nodes {node_name}, label {label}{guessed}, features {_some(source.encoder.describe())}"]
    pairs = [np.zeros((0, 2), np.int64)]

    def join() -> list:
        marks = {name: found.marks[name] for name in keys}
        joined = edges and _join_edges(edges, marks, f"{node_name} + {edges[0]}", not _may_do_without(args))
        if not joined:
            return [keys[0] if keys else "", [], False]
        key, pairs[0], notes = joined
        return [key, notes, True]

    key, notes, connected = on_root(stage.world, join)
    source.name = f"{node_name} + {edges[0]}" if connected else node_name
    if uses_graph(args.model) and not connected:
        args.model = "mlp"
        stage.say(f"model   mlp, as no other table joins rows of {node_name}")
    notations = {name: said for name, said in nodes.notations.items() if name in (label, *source.encoder.kinds)}
    source.schema, source.notes = {"label": label, "key": key, "notations": notations}, source.notes + notes
    sides = [label, *([split_column] if split_column else [])]
    seen = _read_seen(nodes, sides, key)

    def assemble() -> None:
        labels, *roles = ([(part[f"cells {name}"].tolist(), part[f"places {name}"]) for part in seen] for name in sides)
        blanks = nodes.filled().get(label, np.zeros(0, np.int64))
        labels = _without(labels, blanks)
        if len(blanks):
            source.notes.append(f"{len(blanks):,} labels were blank until clean filled them in: predicted, not learnt")
        ids = [part["ids"] for part in seen] if key else [np.array(list(map(str, range(found.rows))), dtype=object)]
        source.graph = tables.assemble(np.concatenate(ids), None, labels, pairs[0], *roles, split_name=args.split or "")

    on_root(stage.world, assemble)
    if args.tune or (args.select and args.select[1] == "hard"):  # rank 0 needs all features for these
        features, source.encoding = source.encoding.run(stage.world).gather_root(), None
        if source.graph is not None:
            source.graph.features = features
    resources.return_freed()
    return source


def _single_dependencies(stage, nodes) -> list[dict]:
    """Collective: on rank 0 the exact dependencies between single columns of the node table that profile found."""
    path = stage.run / "profile" / "fds.jsonl"
    if isinstance(nodes, CsvRows) or not on_root(stage.world, path.exists):
        raise _everywhere(UsageError("--drop-determined", f"there are no dependencies of {nodes.name} in {stage.run}",
                                     "Run mpiedge-profile on the clean tables first"))
    stage.manifest("profile")
    return on_root(stage.world, lambda: [
        entry for entry in _entries(stage, path, {"table": str, "lhs": list, "rhs": str, "g3": (int, float)})
        if entry["table"] == nodes.name and len(entry["lhs"]) == 1 and entry["g3"] == 0])


def _entries(stage, path, fields: dict):
    """Local: yields the entries of a file that profile wrote and people may edit; fields: their types by name, lists
    are of names. Raises StoreError."""
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                entry = json.loads(line)
                if not isinstance(entry, dict) or not all(
                        isinstance(entry[name], kind) and (kind is not list or set(map(type, entry[name])) <= {str})
                        for name, kind in fields.items()):
                    raise ValueError(f"of an entry {', '.join(fields)} are not what they should be")
                yield entry
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(path, f"cannot be read ({one_line(error)})", rerun("profile", stage.run)) from None


def _known_tables(stage, args, source: Source) -> dict:
    """Collective: the tables by name: the run's clean ones, and CSV files named by --nodes and --edges."""
    paths = {flag: getattr(args, flag) for flag in ("nodes", "edges") if is_file(getattr(args, flag))}
    files = {flag: stage.access.input(path) for flag, path in paths.items()}
    known, reading = {}, TABLE_COPIES * sum(file.size for file in files.values()) * stage.world.is_root
    if "nodes" not in paths or (args.edges and "edges" not in paths):
        known = {name: StoredRows(stage, table) for name, table in stage.open_tables("clean").items()}
        parts = [part for table in stage.manifest("clean")["tables"].values() for part in table["parts"]]
        source.inputs["clean"] = hashlib.sha256("".join(part["sha256"] for part in parts).encode()).hexdigest()
        rows = sum(part["rows"] for part in parts) * stage.world.is_root
        size = sum(part["bytes"] for part in parts)
        reading += CHUNK_BYTES + SPREAD_COPIES * size / stage.world.size + ROW_BYTES * rows
    stage.foresee(reading=reading)
    for flag, path in paths.items():
        rows = CsvRows(stage, path, files[flag])
        known[path] = rows
        source.inputs[flag] = rows.digest
    for flag in ("nodes", "edges"):
        name = getattr(args, flag)
        if name and name not in known:
            remedy = f"The run has {', '.join(known)}"
            raise _everywhere(UsageError(f"--{flag} {name}", "there is no such table", remedy))
    return known


def _choose_label(stage, args, known: dict) -> tuple[str, str, Survey | None]:
    """Collective: node table, label column, and on rank 0 the node table's survey."""
    possible = [args.nodes] if args.nodes else [name for name in known if name != args.edges]
    candidates = {name: known[name] for name in possible if args.label in (None, *known[name].kinds)}
    if not possible:
        raise _everywhere(UsageError(f"--edges {args.edges}", "no table is left for the nodes", "Clean both together"))
    if not candidates:
        columns = _some([column for name in possible for column in known[name].kinds])
        raise _everywhere(UsageError(f"--label {args.label}", "no table has this column", f"Columns are {columns}"))
    if args.label and len(candidates) > 1:
        raise _everywhere(UsageError(f"--label {args.label}", f"several tables have it: {', '.join(candidates)}",
                                     "Choose one with --nodes"))
    found = {}
    for name, rows in candidates.items():
        found[name] = Survey()
        rows.each(list(rows.kinds), lambda chunk, rows=rows: survey(rows.kinds, chunk).to_message(),
                  lambda message, name=name: found[name].merge(Survey.from_message(message)))

    def choose() -> list[str]:
        for name in candidates:
            if not found[name].rows:
                raise InputError(name, "the table has no rows", "Give a table with rows")
            if args.label:
                return [name, args.label]
        return list(tables.guess_label({name: (rows.kinds, found[name], rows.filled())
                                        for name, rows in candidates.items()}))

    node_name, label = on_root(stage.world, choose)
    return node_name, label, found[node_name] if stage.world.is_root else None


def _without(labels: list[tuple], rows: np.ndarray) -> list[tuple]:
    """Local: the cells of a column and their places, chunk by chunk (see `assemble`), with the given rows blank."""
    starts, found = np.cumsum([0, *(len(places) for _, places in labels)]), []
    for start, (cells_of, places) in zip(starts, labels):
        own = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + len(places))] - start
        places = places.copy()
        places[own] = len(cells_of)
        kept = np.bincount(places, minlength=len(cells_of) + 1) > 0
        found.append(([cell if used else "" for cell, used in zip([*cells_of, ""], kept)], places))
    return found


def _read_seen(nodes, sides: list[str], key: str) -> list[dict]:
    """Collective: of every chunk, on rank 0, the different cells of the columns `sides` with their places in its rows,
    and the cells of the key."""

    def read(chunk: dict) -> dict:
        found = {"ids": np.array(as_text(chunk[key]), dtype=object)} if key else {}
        for name in sides:
            cells_of, places = np.unique(np.array(as_text(chunk[name]), dtype=object), return_inverse=True)
            found |= {f"cells {name}": cells_of, f"places {name}": places}
        return found

    seen: list[dict] = []
    nodes.each(list(dict.fromkeys([*sides, *([key] if key else [])])), read, seen.append)
    return seen


def _read_edges(stage, args, known: dict, nodes: str, keys: list[str]) -> tuple | None:
    """Collective: (table, key or None, names of the columns, digests of the cells of both); the digests on rank 0.

    None where no table can hold edges, as far as is known, and any model will do."""
    columns = {name: list(rows.kinds) for name, rows in known.items()}
    folder = stage.run / "profile"
    searched = on_root(stage.world, lambda: _has_inclusions(stage.run))
    if searched:
        stage.manifest("profile")

    def choose() -> list | None:
        inclusions = list(_entries(stage, folder / "inds.jsonl", {"lhs": list, "rhs": list})) if searched else []
        others = {args.edges: columns[args.edges]} if args.edges else columns
        return tables.edge_table(inclusions, others, nodes, keys)

    chosen = on_root(stage.world, choose)
    if chosen is None:
        possible = [args.edges] if args.edges else [name for name in columns if name != nodes]
        possible = [name for name in possible if len(columns[name]) >= 2]
        if len(possible) != 1 and (searched or not possible) and _may_do_without(args):
            return None
        if len(possible) != 1:
            remedy = "Run mpiedge-profile first, name a table with --edges, or train --model mlp"
            cause = f"no table has two columns that are included in a key of {nodes}"
            raise _everywhere(InputError(str(stage.run), cause, remedy))
        chosen = [possible[0], *columns[possible[0]][:2], None]
    table, first, second, key = chosen
    rows = known[table]
    parts = rows.gather(rows.spread([first, second], lambda chunk: {
        "first": digests(as_text(chunk[first])), "second": digests(as_text(chunk[second]))}))
    ends = tuple(np.concatenate([np.zeros(0, np.uint64), *(part[end] for part in parts)])
                 for end in ("first", "second"))
    return table, key, (first, second), ends


def _has_inclusions(run) -> bool:
    """Local: whether profile has looked for inclusions, also where their file is gone."""
    with contextlib.suppress(StoreError):
        return "profile/inds.jsonl" in read_manifest(run, "profile")["files"]
    return (run / "profile" / "inds.jsonl").exists()


def _may_do_without(args) -> bool:
    """Whether nobody has asked for edges: neither for a table of them, nor for a model that needs some."""
    return args.any_model and not args.edges


def _join_edges(edges: tuple, keys: dict[str, np.ndarray], subject: str, needed: bool
                ) -> tuple[str, np.ndarray, list[str]] | None:
    """Local: the key that edges name, edges as row numbers, and what there is to say. Raises InputError.

    None where edges are not needed and those of a table that was only guessed name no rows.
    """
    table, key, names, ends = edges
    chosen, pairs = tables.match_edges(ends, {key: keys[key]} if key else keys) if keys else ("", [])
    if not (needed or key or len(pairs)):
        return None
    if not keys:
        raise InputError(subject, "no column of the node table names its rows", "Clean it, or train --model mlp")
    if len(ends[0]) and not len(pairs):
        raise InputError(table, f"its columns {names[0]} and {names[1]} name no rows of the node table",
                         "Name the right table with --edges, or train --model mlp")
    lost = len(ends[0]) - len(pairs)
    note = f"edges {table} ({names[0]}, {names[1]} -> {chosen})"
    if lost:
        note += f", {lost:,} of {len(ends[0]):,} name unknown nodes and are left out"
    return chosen, pairs, [note]


def _some(phrases: list[str]) -> str:
    """Local: the phrases in one line for people, of a wide table the first ones."""
    more = f" and {len(phrases) - SHOWN:,} more" if len(phrases) > SHOWN else ""
    return ", ".join(phrases[:SHOWN]) + more


def _everywhere(error):
    """The error, marked as raised on every rank alike."""
    error.everywhere = True
    return error
