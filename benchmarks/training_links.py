"""Training over slow links: four emulated hosts, every gradient as it is, by what --compress auto takes, and by DDP."""

import contextlib
import tempfile
from pathlib import Path

from benchmarks import training_runs as runs

HOSTS, SPEED = 4, 0.45
HIDDEN, EPOCHS = 128, 60
LINKS = ("100Mbit", "1Gbit")
POINTS = 0.005  # of validation accuracy below the best of the uncompressed run count as reached
PROFILE = """\
[default]
cores = 1
speed = {speed}
memory = "3GB"
link = "{link}"
"""


@contextlib.contextmanager
def cluster(link: str):
    """The words that run mpirun on four emulated hosts behind links of that rate, and those that follow it."""
    with tempfile.TemporaryDirectory() as folder:
        hostfile, profile = Path(folder, "links.txt"), Path(folder, "links.toml")
        hostfile.write_text("".join(f"link-{number} slots=1\n" for number in range(1, HOSTS + 1)))
        profile.write_text(PROFILE.format(speed=SPEED, link=link))
        yield (("mpiedge-emulate", hostfile, "--profile", profile, "--"),
               ("-hostfile", hostfile, "-x", "PYTHONPATH", "-x", "OMP_NUM_THREADS"))


def compare(graph: Path, split: str, arrays: Path, peers: str, limit_s: float, links=LINKS) -> list[dict]:
    """A line for every link and program: seconds of an epoch and until the accuracy is reached, bytes, accuracy.
    Shares are equal, as the hosts are: else bytes of different parts would be compared.

    The time until an accuracy is reached is the median epoch times the epochs it takes.
    """
    lines = []
    for link in links:
        reached = None
        for program in ("mpiedge", "mpiedge auto", "ddp"):
            with cluster(link) as (launch, after):
                if program == "ddp":
                    words = (*launch, "mpirun", "-n", HOSTS, *after)
                    found = runs.peer("ddp", arrays, HIDDEN, EPOCHS, peers, launch=words, limit_s=limit_s)
                else:
                    flags = ("--compress", "auto", "--halo", "auto") if program.endswith("auto") else ()
                    found = runs.mpiedge(graph, HOSTS, "--hidden", HIDDEN, "--epochs", EPOCHS, "--patience", EPOCHS,
                                         "--split", split, "--shares", "equal", *flags, launch=launch, before=after,
                                         limit_s=limit_s)
            if found is None:
                continue
            reached = reached or found["val_accuracy"] - POINTS
            lines.append(_line(link, program, found, reached))
    return lines


def _line(link: str, program: str, found: dict, reached: float) -> dict:
    """Figures of one run; prints them."""
    needed = next((epoch for epoch, (_, value) in enumerate(found["curve"], start=1) if value >= reached), None)
    gradient = found.get("gradient_bytes_sent")
    line = {"link": link, "program": program, "epoch_wall_s": found["epoch_wall_s"], "epochs_needed": needed,
            "reached_s": needed and needed * found["epoch_wall_s"], "test_accuracy": found["test_accuracy"],
            "gradient_bytes": gradient, "halo_bytes": found.get("halo_bytes"),
            "compress": found.get("compress"), "halo": found.get("halo"),
            "peak_rss_mb": found["peak_rss_mb"]}  # fmt: skip
    bytes_sent = "" if gradient is None else (f", {gradient / 1e6:.1f} MB of gradients by {line['compress']}, "
                                              f"{line['halo_bytes'] / 1e6:.1f} MB of halo rows by {line['halo']}")
    accurate = f"{line['reached_s']:.1f} s" if needed else "not"
    print(f"{link:8} {program:13} {1e3 * line['epoch_wall_s']:7.1f} ms an epoch, accuracy reached in {accurate} "
          f"({needed} epochs), test {100 * line['test_accuracy']:.1f} %{bytes_sent}", flush=True)
    return line
