"""Wrong cells of the working tables: learnt from a fair sample of the rows, put right chunk by chunk.

A cell whose right value is not sure enough stays as it is and is listed as a flag.
"""

from mpiedge.cleaning.changes import csv_lines
from mpiedge.cleaning.known import Known, judge_chunk
from mpiedge.cleaning.learn import learn
from mpiedge.cleaning.tally import Tally
from mpiedge.cleaning.types import ColumnPlan
from mpiedge.cleaning.working import WorkingTable, changes_file, mended_name


def mend(stage, tables, plans: list[list[ColumnPlan]], steps, given: list[dict], min_confidence: float,
         said: list[dict | None]) -> tuple[list[Tally], list[Known]]:
    """Collective: finds wrong cells and rewrites the working tables; the changes of chunk i are piece 3 i + 1.

    given: rules {"table", "lhs": [names], "rhs"}. said: per table what a plan says, None without one. Returns the
    changes and what was learnt. Messages: the sampled rows and what was learnt, to every rank.
    """
    mine = [[rule for rule in given if rule.get("table", table.title) == table.title] for table in tables]
    known = [learn(stage, *rest, steps) for rest in zip(tables, plans, mine, said)]
    tallies = [Tally() for _ in tables]

    def work(task):
        table, chunk = task
        found, source = known[table], tables[table]
        if found.says_nothing:
            stage.access.write_piece(changes_file(source.title), 3 * chunk + 1, b"")
            return {"tally": [], "mended": None}
        cells = source.read(chunk)
        columns = [cells[column.name].tolist() for column in source.columns]
        yield
        numbers = source.numbers(chunk)
        changes = judge_chunk(found, columns, numbers, min_confidence)
        listed = [(int(numbers[row]), found.names[column], rule, before, after, confidence)
                  for row, column, rule, before, after, confidence in changes]
        tally = Tally()
        for row, column, rule, before, after, _ in listed:
            tally.add(row, column, rule, before, after)
        stage.access.write_piece(changes_file(source.title), 3 * chunk + 1, csv_lines(listed))
        yield
        part = stage.access.write_part(stage.access.unfinished, mended_name(source.name), chunk,
                                       WorkingTable.arrays(columns)) if listed else {"sha256": None}
        return {"tally": tally.to_message(), "mended": part["sha256"]}

    def take(task, message):
        tallies[task[0]].absorb(message["tally"])
        return message["mended"]

    tasks = [(table, chunk) for table, source in enumerate(tables) for chunk in range(len(source.chunk_rows))]
    done = stage.queue.run(tasks, work, name="cells judged", kept="cells", take=take)
    for (table, chunk), checksum in stage.queue.gather(done):
        if checksum:
            tables[table].mended.add(chunk)
            tables[table].checksums[chunk] = checksum
    for tally in tallies:
        tally.merge(stage.world)
    for found in known:  # the dictionaries have served; duplicates need the room
        found.forget_values()
    return tallies, known
