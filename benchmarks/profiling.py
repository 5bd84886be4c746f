"""Discovery of dependencies and keys: mpiedge beside Desbordante's exact algorithms, and how the time grows.

    python benchmarks/profiling.py compare --data DIR       every table of DIR with every program, in one run
    python benchmarks/profiling.py rows                     twice the rows again and again, two kinds of tables
    python benchmarks/profiling.py columns --table T.csv    the first 8, 16, 24 ... columns of a table
    python benchmarks/profiling.py ranks                    one table at 1, 2 and 4 ranks
    python benchmarks/profiling.py quotas                   four ranks with 4 : 2 : 1 : 1 of the processor time
    python benchmarks/profiling.py small --data DIR         whole commands on the small tables of DIR
    python benchmarks/profiling.py limits --most ROWS       two ranks below real memory limits (Linux, as root)
    python benchmarks/profiling.py hosts                    four emulated slow hosts without common memory

DIR holds CSV files and an expected.json: {file: {"delimiter", "header", "fds", "uccs"}}. Every program gets the same
plain files without a header. Discovery is the step from the encoded table to the list in memory (Desbordante: execute
after load_data), whole the process from start to exit; CPU seconds count all threads and ranks. Figures are medians of
--repeats runs, of one where a run takes more than ten seconds. Memory is the peak above that of the program with a
table of one row. CSV files and plots (where matplotlib is installed) go to --out.
"""

import argparse
import csv
import importlib.util
import json
import math
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # here is a queue.py, which would hide the library's

from benchmarks import hosts, limits, measure, plots, quotas, small  # noqa: E402
from benchmarks.peers import ALGORITHMS  # noqa: E402

FIELDS = ("table", "rows", "columns", "kind", "program", "runs", "discovery_cpu_s", "discovery_wall_s", "whole_cpu_s",
          "whole_wall_s", "start_cpu_s", "read_cpu_s", "write_cpu_s", "max_mb", "sum_mb", "start_mb", "idle_share",
          "stolen", "sent_bytes", "count", "hash", "differs")  # fmt: skip
LONG_RUN_S = 10.0
ENOUGH_S = 0.5


def main():
    """Measure what was asked for."""
    page = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    page.add_argument("what", choices=list(WHAT))
    page.add_argument("--data", type=Path, default=Path("data"), help="folder with expected.json and its tables")
    page.add_argument("--table", help="compare: only tables with this in their name; quotas: planted "
                      "or lineitem; else a CSV file")
    page.add_argument("--generated", type=int, default=300_000, help="compare: rows of the generated table, 0 for none")
    page.add_argument("--most", type=int, default=1_000_000, help="rows, limits: largest table; else its rows")
    page.add_argument("--limit", type=float, default=120, help="seconds after which a run is given up")
    page.add_argument("--repeats", type=int, default=5)
    page.add_argument("--quick", action="store_true", help="one run each, small tables")
    page.add_argument("--out", type=Path, default=Path("results/benchmarks"))
    options = page.parse_args()
    if options.quick:
        options.repeats, options.generated = 1, min(options.generated, 20_000)
        options.most = min(options.most, 60_000)
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        found = WHAT[options.what](options, Path(scratch))
    with open(options.out / f"profiling-{options.what}.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(found)
    if importlib.util.find_spec("matplotlib") and options.what in plots.DRAWN:
        plots.draw(options.what, found, options.out / f"profiling-{options.what}.png")


# ---- one table ------------------------------------------------------------------------------------------------------


def runs_of(program, repeats: int) -> dict | None:
    """Medians of several runs of program(); None when the first fails or takes too long."""
    runs = [program()]
    if runs[0] is None:
        return None
    while len(runs) < repeats and runs[0]["whole_cpu_s"] < LONG_RUN_S:
        runs.append(program())
    same = {run["hash"] for run in runs}
    middle = {name: statistics.median(run[name] for run in runs) for name, value in runs[0].items()
              if isinstance(value, int | float)}  # fmt: skip
    peaks = [statistics.median(values) for values in zip(*(run.get("peaks_mb", []) for run in runs))]
    return {**middle, "peaks_mb": peaks, "runs": len(runs), "hash": "unstable" if len(same) > 1 else same.pop()}


def starts(scratch: Path, repeats: int, ranks: tuple) -> dict[int, dict]:
    """What mpiedge takes for a table of one row, by the number of ranks."""
    one = scratch / "one.csv"
    one.write_text("1,2\n")
    return {count: runs_of(partial(measure.mpiedge, "fd", one, ",", count), repeats) for count in ranks}


def ours(kind: str, table: Path, delimiter: str, ranks: int, bare: dict[int, dict], repeats: int, limit_s: float):
    """Medians of mpiedge-profile, with start and memory named apart."""
    figures = runs_of(partial(measure.mpiedge, kind, table, delimiter, ranks, limit_s=limit_s), repeats)
    if figures is None:
        return None
    start = bare[ranks]
    grown = [max(0.0, peak - low) for peak, low in zip(figures["peaks_mb"], start["peaks_mb"])]
    return {**figures, "start_cpu_s": start["whole_cpu_s"], "start_mb": max(start["peaks_mb"]), "max_mb": max(grown),
            "sum_mb": sum(grown)}  # fmt: skip


def say(line: dict) -> dict:
    """Prints a line of results as it comes."""
    if line["runs"]:
        print(f"{line['table'][:22]:22} {line['kind']:3} {line['program']:9} {line['discovery_cpu_s']:9.4f} s found "
              f"{line['whole_cpu_s']:8.3f} s whole CPU {line['whole_wall_s']:8.3f} s wall {line['sum_mb']:7.1f} MB "
              f"{line['count']:7.0f}  {line['differs'] or ''}", flush=True)  # fmt: skip
    else:
        print(f"{line['table'][:22]:22} {line['kind']:3} {line['program']:10}  not within the limit", flush=True)
    return line


def shape(table: Path, delimiter: str) -> dict:
    """Rows and columns of a table without a header."""
    with open(table, newline="", encoding="utf-8") as file:
        reader = csv.reader(file, delimiter=delimiter)
        width = len(next(reader))
        return {"rows": 1 + sum(1 for row in reader if row), "columns": width}


# ---- all programs on the same tables --------------------------------------------------------------------------------


def compare(options, scratch: Path) -> list[dict]:
    """Every table with every program; a line each, and the ratios at the end."""
    expected = options.data / "expected.json"
    if not expected.is_file():
        sys.exit(f"{expected}: there is no such file. Give a folder of tables with --data")
    tables = {name: info for name, info in json.loads(expected.read_text()).items() if (options.table or "") in name}
    peers = list(ALGORITHMS) if importlib.util.find_spec("desbordante") else []
    if not peers:
        print("desbordante is not installed: no comparison (pip install desbordante)")
    bare = starts(scratch, options.repeats, (1, 2))
    found = []
    for name, info in tables.items():
        table = scratch / "table.csv"
        measure.plain(options.data / name, table, info["header"])
        found += one_table(name.split(".csv")[0], table, info["delimiter"], peers, bare, options)
    if options.generated and (options.table or "") in "planted":
        table = generate("planted", options.generated, scratch)
        found += one_table(f"planted {options.generated:,}", table, ",", peers, bare, options)
    tell_ratios(found)
    return found


def one_table(name: str, table: Path, delimiter: str, peers: list, bare: dict, options) -> list[dict]:
    """All programs on one table; a program whose list is not that of mpiedge at one rank is marked as differing."""
    about, lines = {"table": name, **shape(table, delimiter)}, []
    repeats, limit_s = options.repeats, options.limit
    for kind in ("fd", "ucc"):
        programs = {f"mpiedge-{count}": partial(ours, kind, table, delimiter, count, bare, repeats, limit_s)
                    for count in (1, 2)}  # fmt: skip
        programs |= {peer: partial(runs_of, partial(measure.peer, peer, table, delimiter, limit_s), repeats)
                     for peer in peers if ALGORITHMS[peer][0] == kind}  # fmt: skip
        expected = None
        for program, measured in programs.items():
            figures = measured() or {"runs": 0, "hash": None}
            expected = expected or figures["hash"]
            differs = "differs" if figures["runs"] and figures["hash"] != expected else ""
            lines.append(say({**dict.fromkeys(FIELDS), **about, "kind": kind, "program": program, **figures,
                              "differs": differs}))  # fmt: skip
    return lines


def tell_ratios(found: list[dict]) -> None:
    """The best exact peer of each table over mpiedge at one rank."""
    print(f"\n{'best exact peer / mpiedge at 1 rank':46} {'discovery CPU':>14} {'whole CPU':>10} {'MB, 2 ranks':>12}")
    ratios = []
    for table, kind in dict.fromkeys((line["table"], line["kind"]) for line in found):
        lines = {line["program"]: line for line in found
                 if (line["table"], line["kind"]) == (table, kind) and line["runs"]}  # fmt: skip
        exact = [line for name, line in lines.items() if name in ALGORITHMS and not line["differs"]]
        if not exact or "mpiedge-1" not in lines or "mpiedge-2" not in lines:
            continue
        mine = lines["mpiedge-1"]
        best = min(exact, key=lambda line: line["discovery_cpu_s"])
        quickest = min(exact, key=lambda line: line["whole_cpu_s"])
        ratio = best["discovery_cpu_s"] / max(mine["discovery_cpu_s"], 1e-6)
        if kind == "fd" and best["discovery_cpu_s"] > ENOUGH_S:
            ratios.append(ratio)
        print(f"{table[:24]:24} {kind:4} {best['program']:9}{best['discovery_cpu_s']:7.2f} {ratio:13.1f}x "
              f"{quickest['whole_cpu_s'] / mine['whole_cpu_s']:9.1f}x {lines['mpiedge-2']['sum_mb']:5.0f} of "
              f"{min(line['sum_mb'] for line in exact):.0f}")
    if ratios:
        mean = math.exp(statistics.fmean(map(math.log, ratios)))
        print(f"geometric mean over {len(ratios)} tables above {ENOUGH_S} s: {mean:.1f}x, lowest {min(ratios):.1f}x")


# ---- how it grows ---------------------------------------------------------------------------------------------------


def generate(kind: str, count: int, scratch: Path) -> Path:
    """A generated table without its header."""
    table, made = scratch / f"{kind}-{count}.csv", scratch / "made.csv"
    tool = Path(__file__).parent / "tables.py"
    if not table.exists() and measure.run([sys.executable, tool, kind, "--rows", count, made]) is None:
        sys.exit("the table could not be generated")
    measure.plain(made, table, True)
    made.unlink()
    return table


def grown(name: str, table: Path, counts: tuple, bare: dict, options, about: dict | None = None) -> list[dict]:
    """mpiedge at several numbers of ranks on one table."""
    lines, about = [], about or shape(table, ",")
    for count in counts:
        figures = ours("fd", table, ",", count, bare, options.repeats, max(options.limit, measure.LIMIT_S))
        lines.append(say({**dict.fromkeys(FIELDS), "table": name, **about, "kind": "fd", "program": f"mpiedge-{count}",
                          "runs": 0, **(figures or {})}))
    return lines


def rows(options, scratch: Path) -> list[dict]:
    """Doubled rows up to --most, of lineitem and of the planted table."""
    bare, found = starts(scratch, options.repeats, (1,)), []
    for kind in ("lineitem", "planted"):
        count = max(1, options.most >> (3 if options.quick else 6))
        while count <= options.most:
            table = generate(kind, count, scratch)
            found += grown(kind, table, (1,), bare, options, {"rows": count, "columns": 16})
            table.unlink()
            count *= 2
    return found


def columns(options, scratch: Path) -> list[dict]:
    """Prefixes of a table, eight columns more each time."""
    source = Path(options.table or options.data / "plista_1k.csv")
    with open(source, newline="", encoding="utf-8") as file:
        records = list(csv.reader(file))[1:]
    bare, found, table = starts(scratch, options.repeats, (1,)), [], scratch / "prefix.csv"
    width = len(records[0])
    for count in sorted({*range(8, width, 8), width}):
        with open(table, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(record[:count] for record in records)
        found += grown(source.stem, table, (1,), bare, options)
    return found


def ranks(options, scratch: Path) -> list[dict]:
    """Tables at 1, 2 and 4 ranks: a generated one, and --table."""
    counts = (1, 2, 4)
    bare = starts(scratch, options.repeats, counts)
    found = grown("lineitem", generate("lineitem", options.most, scratch), counts, bare, options)
    if options.table:
        measure.plain(Path(options.table), scratch / "given.csv", True)
        found += grown(Path(options.table).stem, scratch / "given.csv", counts, bare, options)
    for line in found:
        first = next(other for other in found if other["table"] == line["table"])
        if line["runs"] and first["runs"]:
            print(f"{line['table']:12} {line['program']:10} discovery {line['discovery_wall_s']:.3f} s wall, "
                  f"{first['discovery_wall_s'] / line['discovery_wall_s']:.2f}x of one rank, idle "
                  f"{100 * line['idle_share']:.0f} %, {line['stolen']:.0f} stolen, {line['sent_bytes']:.0f} bytes")
    return found


def unequal(options, scratch: Path) -> list[dict]:
    """Four ranks under processor quotas against the sum of their speeds."""
    return quotas.compare(generate(options.table or "lineitem", options.most, scratch), options.repeats)


def brief(options, scratch: Path) -> list[dict]:
    """Whole commands on small tables."""
    return small.compare(options.data, options.repeats)


def limited(options, scratch: Path) -> list[dict]:
    """Long tables below real memory limits; --limit is for a run of a million rows."""
    return limits.compare(lambda kind, count: generate(kind, count, scratch), options.most,
                          options.limit * max(1.0, options.most / 1_000_000))


def slow(options, scratch: Path) -> list[dict]:
    """One, two and four emulated slow hosts; each prepares all rows, so the table is one with much work for them."""
    return hosts.compare(generate("planted", options.most, scratch), options.repeats)


WHAT = {"compare": compare, "rows": rows, "columns": columns, "ranks": ranks, "quotas": unequal, "small": brief,
        "limits": limited, "hosts": slow}

if __name__ == "__main__":
    main()
