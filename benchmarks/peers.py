"""Desbordante's exact algorithms, one run of one algorithm a process.

    python benchmarks/peers.py ALGORITHM TABLE.csv DELIMITER

The table has no header. Prints one line of JSON: seconds and memory of each step, the count and the hash of what was
found. Desbordante is a yardstick beside mpiedge, never a part of it.
"""

import json
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # here is a queue.py, which would hide the library's

from benchmarks.measure import digest, peak_rss_mb  # noqa: E402

# name: (module of desbordante, class, options of execute)
ALGORITHMS = {
    "HyFD-1": ("fd", "HyFD", {"threads": 1}),
    "HyFD-2": ("fd", "HyFD", {"threads": 2}),
    "Pyro": ("fd", "Pyro", {"error": 0.0, "threads": 1}),
    "HyUCC": ("ucc", "HyUCC", {"threads": 1}),
    "HPIValid": ("ucc", "HPIValid", {}),
}


def main():
    """Run the algorithm and print its figures."""
    name, table, delimiter = sys.argv[1:]
    import desbordante

    kind, algorithm, options = ALGORITHMS[name]
    bare_cpu_s, bare_mb = time.process_time(), peak_rss_mb()
    runner = getattr(getattr(desbordante, kind).algorithms, algorithm)()
    runner.load_data(table=(table, delimiter, False))
    loaded_cpu_s, began_s = time.process_time(), time.perf_counter()
    runner.execute(**options)
    discovery_wall_s, done_cpu_s = time.perf_counter() - began_s, time.process_time()
    peak_mb = peak_rss_mb()
    if kind == "fd":
        found = [(tuple(fd.lhs_indices), fd.rhs_index) for fd in runner.get_fds()]
    else:
        found = [(tuple(ucc.indices), -1) for ucc in runner.get_uccs()]
    print(json.dumps({
        "start_cpu_s": bare_cpu_s, "read_cpu_s": loaded_cpu_s - bare_cpu_s,
        "discovery_cpu_s": done_cpu_s - loaded_cpu_s, "discovery_wall_s": discovery_wall_s, "whole_cpu_s": done_cpu_s,
        "start_mb": bare_mb, "max_mb": peak_mb - bare_mb, "sum_mb": peak_mb - bare_mb,
        "count": len(found), "hash": digest(found)}))  # fmt: skip


if __name__ == "__main__":
    main()
