"""Files cleaned by one program in a process of its own: structure by sniffers, blanks by imputers, or mpiedge.

    python benchmarks/cleaning_peers.py PROGRAM structure|impute FILES.json OUT

FILES.json lists paths; what becomes of number i is written to OUT/i.csv, nothing where the program fails. Prints a line
of JSON: seconds and memory of the whole process, and those of its start. The programs are yardsticks beside mpiedge,
used as their pages show first; none is a part of it.
"""

import csv
import json
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # here is a queue.py, which would hide the library's

from benchmarks.measure import peak_rss_mb  # noqa: E402

NEIGHBOURS = 5
csv.field_size_limit(2**31 - 1)


def main():
    """Clean all files and print figures."""
    began_s = time.perf_counter()
    program, kind, listed, out = sys.argv[1:]
    work = PROGRAMS[kind][program]()
    start_cpu_s = time.process_time()
    failed = 0
    for number, path in enumerate(json.loads(Path(listed).read_text())):
        try:
            rows = work(path, Path(out) / f"run-{number}")
        except BaseException as error:  # peers raise whatever they like, mpiedge ends with a code
            if isinstance(error, KeyboardInterrupt):
                raise
            failed += 1
            continue
        with open(Path(out) / f"{number}.csv", "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            csv.writer(file).writerows(rows)
    print(json.dumps({"cpu_s": time.process_time(), "wall_s": time.perf_counter() - began_s, "rss_mb": peak_rss_mb(),
                      "start_cpu_s": start_cpu_s, "failed": failed}))  # fmt: skip


def mpiedge(*steps: str):
    """The steps of mpiedge-clean at one rank."""
    from mpiedge.commands import clean
    from mpiedge.store.layout import table_name

    def work(path, run):
        clean.main([path, "--run", str(run), "-q", "--keep-duplicates", "--steps", ",".join(steps)])
        with open(run / f"clean/{table_name(path)}.csv", encoding="utf-8", newline="") as file:
            return list(csv.reader(file))

    return work


# -- structure -------------------------------------------------------------------------------------------------------

def clevercsv():
    """CleverCSV's own reading of a file."""
    import clevercsv as peer

    return lambda path, _: peer.read_table(path)


def sniffer():
    """csv.Sniffer and csv.reader of Python."""
    def work(path, _):
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            dialect = csv.Sniffer().sniff(file.read(1 << 16))
            file.seek(0)
            return list(csv.reader(file, dialect))

    return work


def duckdb():
    """DuckDB's sniffer, every column as text."""
    import duckdb as peer

    def work(path, _):
        with peer.connect() as connection:
            found = connection.execute("SELECT * FROM read_csv(?, all_varchar = true)", [path])
            names = [column[0] for column in found.description]
            return [names, *(["" if cell is None else cell for cell in row] for row in found.fetchall())]

    return work


def pandas():
    """pandas that finds the delimiter, every column as text."""
    import pandas as peer

    def work(path, _):
        frame = peer.read_csv(path, sep=None, engine="python", dtype=str, keep_default_na=False)
        return [list(frame.columns), *frame.values.tolist()]

    return work


# -- missing cells ---------------------------------------------------------------------------------------------------

def imputer(fill):
    """Numbers by `fill` (a function of a frame of numbers and one of words), words by their commonest value."""
    def prepare():
        import pandas as peer
        from sklearn.impute import SimpleImputer

        def work(path, _):
            frame = peer.read_csv(path, dtype=str, keep_default_na=False).replace("", None)
            numbers = frame.apply(peer.to_numeric, errors="coerce")
            able = [name for name in frame if numbers[name].notna().sum() == frame[name].notna().sum()]
            words = frame.drop(columns=able)
            if len(words.columns):
                common = SimpleImputer(missing_values=None, strategy="most_frequent")
                words = words.astype(object).where(words.notna(), None)
                words = peer.DataFrame(common.fit_transform(words), columns=words.columns)
            found = fill(numbers[able])
            found = {**{name: found[:, place] for place, name in enumerate(able)}, **words}
            return [list(frame), *zip(*(found[name] for name in frame))]

        return work

    return prepare


def mean(numbers):
    """SimpleImputer."""
    from sklearn.impute import SimpleImputer

    return SimpleImputer().fit_transform(numbers)


def nearest(numbers):
    """KNNImputer on scaled numbers."""
    from sklearn.impute import KNNImputer
    from sklearn.preprocessing import StandardScaler

    scale = StandardScaler().fit(numbers)
    return scale.inverse_transform(KNNImputer(n_neighbors=NEIGHBOURS).fit_transform(scale.transform(numbers)))


def iterative(numbers):
    """IterativeImputer: rounds of Bayesian ridge regressions."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    return IterativeImputer(random_state=0).fit_transform(numbers)


def boosting():
    """One pass of histogram gradient boosting for each column from all others, words as codes."""
    import pandas as peer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    def work(path, _):
        frame = peer.read_csv(path, dtype=str, keep_default_na=False).replace("", None)
        numbers = frame.apply(peer.to_numeric, errors="coerce")
        able = {name for name in frame if numbers[name].notna().sum() == frame[name].notna().sum()}
        coded = peer.DataFrame({name: numbers[name] if name in able else
                                frame[name].astype("category").cat.codes.replace(-1, None).astype(float)
                                for name in frame})
        for name in frame:
            known = frame[name].notna()
            if known.all() or frame.loc[known, name].nunique() < 2:
                continue
            model = (HistGradientBoostingRegressor if name in able else HistGradientBoostingClassifier)(random_state=0)
            model.fit(coded.drop(columns=name)[known], (numbers if name in able else frame).loc[known, name])
            frame.loc[~known, name] = model.predict(coded.drop(columns=name)[~known]).astype(str)
        return [list(frame), *frame.fillna("").values.tolist()]

    return work


PROGRAMS = {
    "structure": {"mpiedge": lambda: mpiedge("structure"), "clevercsv": clevercsv, "csv.Sniffer": sniffer,
                  "duckdb": duckdb, "pandas": pandas},
    "impute": {"mpiedge": lambda: mpiedge("structure", "types", "formats", "rules", "typos", "impute"),
               "mean, mode": imputer(mean), "nearest": imputer(nearest), "iterative": imputer(iterative),
               "boosting": boosting},
}
"""What is measured, the imputers those of scikit-learn."""

if __name__ == "__main__":
    main()
