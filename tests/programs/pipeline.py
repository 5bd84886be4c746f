"""Cleans, profiles and trains a demo once for each access in one job: `pipeline.py DEMO RUNS EPOCHS ACCESS...`."""

import os
import sys

from mpiedge.commands import clean, profile, train
from mpiedge.runtime.world import World

if __name__ == "__main__":
    demo, runs, epochs, *accesses = sys.argv[1:]
    world = World(threads=1)
    for access in accesses:
        os.environ["MPIEDGE_ACCESS"] = access
        for stage, words in (
            (clean, [f"{demo}/papers.csv", f"{demo}/cites.csv"]),
            (profile, ["--trace"]),
            (train, ["--label", "area", "--epochs", epochs, "--dropout", "0"]),
        ):
            stage.run(stage.build_parser().parse_args([*words, "--run", f"{runs}/{access}"]), world)
