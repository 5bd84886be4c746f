"""The last pass: merged rows leave, references follow, blanks are filled; the clean table goes to CSV and store."""

from itertools import repeat

import numpy as np

from mpiedge.cleaning import impute
from mpiedge.cleaning.changes import CHANGES, CLUSTERS, PAIRS, REJECTS, csv_lines
from mpiedge.cleaning.formats import typed_array
from mpiedge.cleaning.impute import Fill
from mpiedge.cleaning.reading import Source
from mpiedge.cleaning.rereading import notation
from mpiedge.cleaning.resolve import Resolution
from mpiedge.cleaning.survey import COLUMNS_PER_SLICE, Survey
from mpiedge.cleaning.tally import Tally
from mpiedge.cleaning.types import ColumnPlan
from mpiedge.cleaning.working import UnwrittenTable, changes_file, rejects_file
from mpiedge.kernels.columns import Columns, number_lines
from mpiedge.store.tables import Column

PAIRS_PER_PIECE = 10_000
LEAST_TOLD = 0.05  # of weight
EQUAL = "equal rows"
REFERENCE_RULE, MERGE_RULE = "reference follows survivor", "merged from duplicates"


def store_columns(plans: list[ColumnPlan], fills: list[Fill]) -> list[Column]:
    """The columns as the store describes them."""
    filled = {fill.column for fill in fills if not fill.least and (fill.value or fill.model)}
    columns = []
    for index, plan in enumerate(plans):
        extra = {"notation": notation(plan)} | ({"key": True} if plan.key else {})
        if plan.unreadable or (plan.missing and index not in filled):
            extra["missing"] = True
        columns.append(Column(plan.name, plan.kind, extra))
    return columns


def write_clean(stage, sources: list[Source], surveys: list[Survey], plans: list[list[ColumnPlan]],
                resolutions: list[Resolution], fills: list[list[Fill]], keep_duplicates: bool,
                as_written: bool = False):
    """Collective: writes the parts and the CSV files of every table. as_written: the header line stays as it was.

    Returns (tables for the manifest, files written, tallies of the changes made here).
    """
    tallies = [Tally() for _ in sources]
    stored = [store_columns(*pair) for pair in zip(plans, fills)]
    firsts = [np.concatenate([[0], np.cumsum(found.table.chunk_rows)]) for found in resolutions]

    def work(task):
        table, chunk = task
        name, found, names = sources[table].name, resolutions[table], sources[table].structure.names
        first = int(firsts[table][chunk])
        if isinstance(found.table, UnwrittenTable):
            columns, tally = found.table.put_right(chunk)
        else:
            columns, tally = found.table.columns_of(chunk), Tally()
        numbers = surveys[table].number_of(first + np.arange(columns.rows))
        yield
        kept = np.arange(len(numbers))
        cluster = found.cluster[first:first + len(numbers)]
        if not keep_duplicates:
            kept = np.flatnonzero(cluster == first + kept)
        changes = []
        if len(kept) < columns.rows or found.renamed or found.merged or fills[table]:
            rows = [columns.cells(place) for place in range(columns.width)]
            changes = _reference_changes(found, chunk, dict(zip(names, rows)), kept) if found.renamed else []
            if len(kept) < columns.rows:
                rows = [[cells[row] for row in kept.tolist()] for cells in rows]
            if not keep_duplicates:
                changes += _take_over(found.merged.between(first, first + len(numbers)), rows, names, first + kept)
            changes += [(row, names[column], rule, "", value, confidence)
                        for row, column, rule, value, confidence in impute.apply(fills[table], rows, names)]
            places = {name: place for place, name in enumerate(names)}
            touched = {places[name] for _, name, *_ in changes}
            columns = Columns.of(rows) if len(kept) < columns.rows else columns.replaced(
                {place: rows[place] for place in sorted(touched)})
        yield
        listed = sorted(((int(numbers[kept[place]]), *rest) for place, *rest in changes), key=lambda change: change[0])
        for row, key, rule, before, after, _ in listed:
            tally.add(row, key, rule, before, after)
        stage.access.write_piece(changes_file(name), 3 * chunk + 2, csv_lines(listed))
        stage.access.write_piece(f"clean/{name}.clusters.csv", chunk,
                                 number_lines(numbers, surveys[table].number_of(cluster)))
        stage.access.write_piece(f"clean/{name}.csv", chunk, columns.to_csv())
        yield
        arrays = {}
        for place, (plan, column) in enumerate(zip(plans[table], stored[table])):
            arrays[plan.name] = typed_array(plan, column, columns, place)
            if place % COLUMNS_PER_SLICE == COLUMNS_PER_SLICE - 1:
                yield
        del columns   # a cell of 100 MB is in the arrays now
        part = stage.access.write_part(stage.name, name, chunk, arrays)
        return {"part": part, "tally": tally.to_message()}

    def cells(task) -> float:
        table, chunk = task
        return resolutions[table].table.chunk_rows[chunk] * len(plans[table])

    def take(task, message):
        tallies[task[0]].absorb(message["tally"])
        return message["part"]

    tasks = [(table, chunk) for table, found in enumerate(resolutions) for chunk in range(len(found.table.chunk_rows))]
    parts = stage.queue.gather(stage.queue.run(tasks, work, cost=cells, name="clean rows", kept="rows", take=take))
    _write_pairs(stage, sources, surveys, resolutions)
    for tally in tallies:
        tally.merge(stage.world)
    manifest, files = {}, []
    for table, source in enumerate(sources):
        names = source.structure.names_as_written if as_written else source.structure.names
        files += _join(stage, source, names, len(resolutions[table].table.chunk_rows), len(resolutions[table].row_a))
        manifest[source.name] = {"columns": stored[table], "parts": [part for task, part in parts if task[0] == table]}
    return manifest, files, tallies


def _reference_changes(found: Resolution, chunk: int, cells: dict[str, list[str]], kept: np.ndarray) -> list[tuple]:
    before = found.table.before.read(chunk, list(found.renamed))
    changes = []
    for name in found.renamed:
        old, new = before[name].tolist(), cells[name]
        changes += [(place, name, REFERENCE_RULE, old[row], new[row], 1.0)
                    for place, row in enumerate(kept.tolist()) if old[row] != new[row]]
    return changes


def _take_over(merged: dict, rows: list[list[str]], names: list[str], numbers: np.ndarray) -> list[tuple]:
    changes = []
    for number in sorted(merged):
        place = int(np.searchsorted(numbers, number))
        for name, (value, confidence) in merged[number].items():
            column = rows[names.index(name)]
            if column[place] != value:
                changes.append((place, name, MERGE_RULE, column[place], value, confidence))
                column[place] = value
    return changes


def _write_pairs(stage, sources, surveys, resolutions) -> None:
    def work(task):
        table, piece = task
        found, survey = resolutions[table], surveys[table]
        chosen = slice(piece * PAIRS_PER_PIECE, (piece + 1) * PAIRS_PER_PIECE)
        rows = zip(survey.number_of(found.row_a[chosen]).tolist(), survey.number_of(found.row_b[chosen]).tolist(),
                   (f"{probability:.6f}" for probability in found.probability[chosen].tolist()),
                   _reasons(found, chosen))
        stage.access.write_piece(f"clean/{sources[table].name}.pairs.csv", piece, csv_lines(rows))

    stage.queue.run([(table, piece) for table, found in enumerate(resolutions)
                     for piece in range(-(-len(found.row_a) // PAIRS_PER_PIECE))], work, name="pairs")


def _reasons(found: Resolution, chosen: slice):
    """What each column adds to the match weight of each pair, the most telling first: "title +8.2; zip -1.3"."""
    return repeat("") if found.reasons is None else _told(found.reason_names, found.reasons[chosen])


def _told(names: list[str], added: np.ndarray) -> list[str]:
    """A text for each row of `added`, float32 (pairs, len(names)); every weight of a column is written once."""
    size = np.abs(added)
    tenths = np.rint(10 * np.nan_to_num(added).astype(np.float64)).astype(np.int64)
    texts = np.empty(added.shape, object)
    for column, name in enumerate(names):
        values, place = np.unique(tenths[:, column], return_inverse=True)
        texts[:, column] = np.array([f"{name} {value / 10:+.1f}" for value in values.tolist()], object)[place]
    ordered = np.take_along_axis(texts, np.argsort(-size, axis=1, kind="stable"), axis=1).tolist()
    told = (size >= LEAST_TOLD).sum(axis=1).tolist()
    return [EQUAL if equal else "; ".join(row[:count])
            for row, count, equal in zip(ordered, told, np.isnan(added[:, 0]).tolist())]


def _join(stage, source: Source, names: list[str], chunks: int, pairs: int) -> list[str]:
    """Collective: the pieces of one table's files, joined below their header lines."""
    files = [(f"clean/{source.name}.csv", names, chunks),
             (f"clean/{source.name}.clusters.csv", CLUSTERS, chunks),
             (f"clean/{source.name}.pairs.csv", PAIRS, -(-pairs // PAIRS_PER_PIECE)),
             (changes_file(source.name), CHANGES, 3 * chunks),
             (rejects_file(source.name), REJECTS, chunks)]
    for path, head, pieces in files:
        lines = [*((line, "before the header", text) for line, text in source.structure.preamble),
                 *((line, "below the table", text) for line, text in source.structure.footnotes)]
        lines = lines if head is REJECTS else []
        stage.access.join_pieces(path, pieces, csv_lines([head, *lines]))
    return [path for path, _, _ in files]
