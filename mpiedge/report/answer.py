"""What a stage found, beside how fast it was: figures of quality and a fingerprint by which answers are compared."""

import hashlib
import math
from dataclasses import dataclass, field

from mpiedge.report.read import Run

CLOSE = 0.01
"""Trainings on other numbers of ranks agree up to rounding; accuracies this close count as the same answer."""


@dataclass(frozen=True)
class Answer:
    """The answer of one stage: text for people, a hash where the bytes must agree, figures that must be close."""

    text: str
    hash: str | None = None
    close: dict[str, float] = field(default_factory=dict)

    def same_as(self, other: "Answer") -> bool:
        """Whether both are the same answer; a figure that only one of them has counts as a difference."""
        if self.hash != other.hash or self.close.keys() != other.close.keys():
            return False
        return all(math.isclose(value, other.close[name], abs_tol=CLOSE) for name, value in self.close.items())


def answer(run: Run, stage: str) -> Answer | None:
    """Local: the answer of a complete stage; None when it is incomplete or the run is a timings CSV alone."""
    manifest = run.manifests.get(stage)
    if manifest is None:
        return None
    summary = run.summaries.get(stage) or {}
    try:
        return TELLERS[stage](manifest, summary)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _clean(manifest: dict, summary: dict) -> Answer:
    tables = summary["tables"].values()
    kept = sum(table["rows_out"] for table in tables)
    changes = sum(sum(table["changes"].values()) for table in tables)
    wanted = [name for name in manifest["files"] if name.endswith(".csv") and not name.endswith(".pairs.csv")]
    return Answer(f"{kept:,} rows kept, {changes:,} changes", _hash(manifest, wanted))


def _profile(manifest: dict, summary: dict) -> Answer:
    fds = sum(table.get("fds") or 0 for table in summary["tables"].values())
    keys = sum(table.get("uccs") or 0 for table in summary["tables"].values())
    wanted = [name for name in manifest["files"] if name.rsplit("/", 1)[-1].split(".")[0] in ("fds", "uccs", "inds")]
    return Answer(f"{fds:,} FDs, {keys:,} keys, {summary.get('inds') or 0:,} INDs", _hash(manifest, wanted))


def _train(manifest: dict, summary: dict) -> Answer:
    close = {name: float(summary[name]) for name in ("test_accuracy", "macro_f1") if summary.get(name) is not None}
    text = ", ".join(f"{name.replace('_', ' ').replace('test ', '')} {value:.3f}" for name, value in close.items())
    return Answer(f"{text or 'no test rows'}, {summary.get('epochs', 0)} epochs", None, close)


def _predict(manifest: dict, summary: dict) -> Answer:
    close = {} if summary.get("accuracy") is None else {"accuracy": float(summary["accuracy"])}
    quality = f", accuracy {close['accuracy']:.3f}" if close else ""
    return Answer(f"{summary['rows']:,} rows{quality}", f"{summary['rows']} rows", close)


TELLERS = {"clean": _clean, "profile": _profile, "train": _train, "predict": _predict}


def _hash(manifest: dict, names: list[str]) -> str | None:
    """One hash over the checksums of the named files that the manifest lists."""
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(f"{name.rsplit('/', 1)[-1]} {manifest['files'][name]['sha256']}\n".encode())
    return digest.hexdigest()[:12] if names else None
