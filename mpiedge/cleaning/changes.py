"""Lines of the CSV files that people open: every change, reject, cluster and pair, and the clean table itself."""

from mpiedge.kernels.columns import csv_text

CHANGES = ("row", "column", "rule", "before", "after", "confidence")
REJECTS = ("line", "reason", "text")
CLUSTERS = ("row", "cluster_id")
PAIRS = ("row_a", "row_b", "probability", "why")


def csv_lines(rows) -> bytes:
    """Rows as UTF-8 CSV by RFC 4180, lines ending in \\n."""
    return csv_text(rows)
