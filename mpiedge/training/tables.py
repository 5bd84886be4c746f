"""Builds the graph out of the run's clean tables or CSV files: encoded by all ranks, joined on rank 0."""

import hashlib
import json
import os
from collections.abc import Callable

import numpy as np

from mpiedge.errors import InputError, UsageError
from mpiedge.graph import cells, tables
from mpiedge.graph.features import Encoder, Survey, as_text, plan_encoder, survey
from mpiedge.graph.sparse import SparseRows
from mpiedge.models.build import uses_graph
from mpiedge.runtime.root import on_root
from mpiedge.training.sources import Source

TABLE_COPIES = 25
"""Memory that rank 0 takes to read tables (22 to 25 times the bytes of their files were measured)."""


def is_file(name: str | None) -> bool:
    """Whether --nodes or --edges names a CSV file, not a table of the run."""
    return bool(name) and (os.path.sep in name or name.lower().endswith((".csv", ".csv.gz", ".tsv")))


class StoredRows:
    """A clean table of the run, read by whichever rank is free."""

    def __init__(self, stage, table):
        self.stage, self.name = stage, table.name
        self.kinds = {column.name: column.kind for column in table.columns}
        self.table = table

    def map(self, columns: list[str], work: Callable) -> list | None:
        """Collective: work(chunk) of every chunk, in chunk order, on rank 0; None elsewhere."""
        queue = self.stage.queue
        done = queue.run([(chunk,) for chunk in range(len(self.table.chunk_rows))],
                         lambda task: work(self.table.read(task[0], columns)), name=f"read {self.name}")
        gathered = queue.gather_root(done)
        return [result for _, result in gathered] if self.stage.world.is_root else None


class CsvRows:
    """A CSV file, read by rank 0 alone."""

    def __init__(self, stage, path: str, file):
        """Collective: reads the file and finds the columns' kinds. Raises InputError on every rank."""
        self.stage, self.name = stage, os.path.basename(path)
        self.chunks, self.digest = [], {}

        def read() -> dict:
            data = stage.access.read_bytes(file, 0, file.size)
            _, columns = cells.read_csv(path, data)
            self.chunks = cells.in_chunks(columns)
            kinds = {name: cells.infer_kind(column) for name, column in columns.items()}
            return {"kinds": kinds, "digest": hashlib.sha256(data).hexdigest()}

        found = on_root(stage.world, read)
        self.kinds, self.digest = found["kinds"], found["digest"]

    def map(self, columns: list[str], work: Callable) -> list | None:
        """Local: work(chunk) of every chunk, in chunk order, on rank 0; None elsewhere."""
        if not self.stage.world.is_root:
            return None
        return [work({name: chunk[name] for name in columns}) for chunk in self.chunks]


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
        encoder = plan_encoder(candidates, found)
        gone = tables.determined(told, list(encoder.kinds))
        if gone:
            stage.say(f"dropped {', '.join(f'{name} (told by {by})' for name, by in gone.items())}")
            encoder = plan_encoder({name: kind for name, kind in candidates.items() if name not in gone}, found)
        if not encoder.columns:
            raise InputError(node_name, "no column can serve as a feature", "Give a table with text, numbers or dates")
        return encoder.to_message()

    source.encoder = Encoder.from_message(on_root(stage.world, decide))
    encoded = _encode(nodes, source.encoder, [label, *([split_column] if split_column else []), *keys])
    edges = _read_edges(stage, args, known, node_name, keys) if uses_graph(args.model) else None
    guessed = "" if args.label else " (guessed; --label names another)"
    source.name = f"{node_name}" if edges is None else f"{node_name} + {edges[0]}"
    source.notes = [f"nodes {node_name}, label {label}{guessed}, features {', '.join(source.encoder.describe())}"]

    def join() -> list[str]:
        features = tables.stack([rows for rows, _ in encoded])
        texts = {name: [cell for _, part in encoded for cell in part[name]] for name in encoded[0][1]}
        if edges is None:
            key, pairs, notes = keys[0] if keys else "", np.zeros((0, 2), np.int64), []
        else:
            key, pairs, notes = _join_edges(edges, {name: texts[name] for name in keys}, source.name)
        source.schema = {"label": label, "key": key}
        ids = texts.get(key) or [str(row) for row in range(features.rows)]
        roles = texts[split_column] if split_column else None
        source.graph = tables.assemble(ids, features, texts[label], pairs, roles, args.split or "")
        return notes

    source.notes += on_root(stage.world, join)
    return source


def _single_dependencies(stage, nodes) -> list[dict]:
    """Collective: on rank 0 the exact dependencies between single columns of the node table that profile found."""
    path = stage.run / "profile" / "fds.jsonl"
    if isinstance(nodes, CsvRows) or not on_root(stage.world, path.exists):
        raise _everywhere(UsageError("--drop-determined", f"there are no dependencies of {nodes.name} in {stage.run}",
                                     "Run mpiedge-profile on the clean tables first"))
    stage.manifest("profile")
    if not stage.world.is_root:
        return []
    with open(path, encoding="utf-8") as file:
        entries = (json.loads(line) for line in file)
        return [entry for entry in entries
                if entry["table"] == nodes.name and len(entry["lhs"]) == 1 and entry["g3"] == 0]


def _known_tables(stage, args, source: Source) -> dict:
    """Collective: the tables by name: the run's clean ones, and CSV files named by --nodes and --edges."""
    paths = {flag: getattr(args, flag) for flag in ("nodes", "edges") if is_file(getattr(args, flag))}
    files = {flag: stage.access.input(path) for flag, path in paths.items()}
    known, size = {}, sum(file.size for file in files.values())
    if "nodes" not in paths or (args.edges and "edges" not in paths):
        known = {name: StoredRows(stage, table) for name, table in stage.open_tables("clean").items()}
        parts = [part for table in stage.manifest("clean")["tables"].values() for part in table["parts"]]
        source.inputs["clean"] = hashlib.sha256("".join(part["sha256"] for part in parts).encode()).hexdigest()
        size += sum(part["bytes"] for part in parts)
    stage.foresee(reading=TABLE_COPIES * size)
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
    if not candidates:
        columns = ", ".join(column for rows in known.values() for column in rows.kinds)
        raise _everywhere(UsageError(f"--label {args.label}", "no table has this column", f"Columns are {columns}"))
    if args.label and len(candidates) > 1:
        raise _everywhere(UsageError(f"--label {args.label}", f"several tables have it: {', '.join(candidates)}",
                                     "Choose one with --nodes"))
    found = {}
    for name, rows in candidates.items():
        surveys = rows.map(list(rows.kinds), lambda chunk, rows=rows: survey(rows.kinds, chunk).to_message())
        if surveys is not None:
            found[name] = Survey()
            for message in surveys:
                found[name].merge(Survey.from_message(message))

    def choose() -> list[str]:
        for name in candidates:
            if not found[name].rows:
                raise InputError(name, "the table has no rows", "Give a table with rows")
            if args.label:
                return [name, args.label]
        return list(tables.guess_label({name: (rows.kinds, found[name]) for name, rows in candidates.items()}))

    node_name, label = on_root(stage.world, choose)
    return node_name, label, found.get(node_name)


def _encode(nodes, encoder: Encoder, texts: list[str]) -> list | None:
    """Collective: on rank 0 (features, {column: cells as text}) of every chunk of the node table."""

    def encode(chunk: dict) -> dict:
        rows = encoder.encode(chunk)
        columns = {f"text {name}": np.array(as_text(chunk[name]), dtype=object) for name in texts}
        return {"indptr": rows.indptr, "indices": rows.indices, "data": rows.data, **columns}

    wanted = [name for name in nodes.kinds if name in encoder.kinds or name in texts]
    results = nodes.map(wanted, encode)
    if results is None:
        return None
    return [(SparseRows(part["indptr"], part["indices"], part["data"], encoder.columns),
             {name: part[f"text {name}"].tolist() for name in texts}) for part in results]


def _read_edges(stage, args, known: dict, nodes: str, keys: list[str]) -> tuple:
    """Collective: (table, key or None, cells of the first end, cells of the second); the cells on rank 0 only."""
    columns = {name: list(rows.kinds) for name, rows in known.items()}
    path = stage.run / "profile" / "inds.jsonl"
    if on_root(stage.world, path.exists):
        stage.manifest("profile")

    def choose() -> list | None:
        inclusions = []
        if path.exists():
            inclusions = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        others = {args.edges: columns[args.edges]} if args.edges else columns
        return tables.edge_table(inclusions, others, nodes, keys)

    chosen = on_root(stage.world, choose)
    if chosen is None:
        possible = [args.edges] if args.edges else [name for name in columns if name != nodes]
        possible = [name for name in possible if len(columns[name]) >= 2]
        if len(possible) != 1:
            remedy = "Run mpiedge-profile first, name a table with --edges, or train --model mlp"
            cause = f"no table has two columns that are included in a key of {nodes}"
            raise _everywhere(InputError(str(stage.run), cause, remedy))
        chosen = [possible[0], *columns[possible[0]][:2], None]
    table, first, second, key = chosen
    parts = known[table].map([first, second], lambda chunk: {
        end: np.array(as_text(chunk[column]), dtype=object) for end, column in (("first", first), ("second", second))})
    ends = tuple([cell for part in parts or [] for cell in part[end].tolist()] for end in ("first", "second"))
    return table, key, (first, second), ends


def _join_edges(edges: tuple, keys: dict[str, list[str]], subject: str) -> tuple[str, np.ndarray, list[str]]:
    """Local: the key that edges name, edges as row numbers, and what there is to say. Raises InputError."""
    table, key, names, ends = edges
    if not keys:
        raise InputError(subject, "no column of the node table names its rows", "Clean it, or train --model mlp")
    chosen, pairs = tables.match_edges(ends, {key: keys[key]} if key else keys)
    if ends[0] and not len(pairs):
        raise InputError(table, f"its columns {names[0]} and {names[1]} name no rows of the node table",
                         "Name the right table with --edges")
    lost = len(ends[0]) - len(pairs)
    note = f"edges {table} ({names[0]}, {names[1]} -> {chosen})"
    if lost:
        note += f", {lost:,} of {len(ends[0]):,} name unknown nodes and are left out"
    return chosen, pairs, [note]


def _everywhere(error):
    """The error, marked as raised on every rank alike."""
    error.everywhere = True
    return error
