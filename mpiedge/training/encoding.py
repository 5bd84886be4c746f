"""Features of tables that are still to be encoded: that waits until the graph is cut, which takes rank 0 a while."""

from dataclasses import dataclass

import numpy as np

from mpiedge.graph.features import Encoder, Survey
from mpiedge.graph.spread import SpreadRows


@dataclass
class Encoding:
    """How the rows of a node table become features, on whichever rank is free.

    nodes: the table (see tables.py); entries: of the features, about, before they are encoded.
    """

    nodes: object
    encoder: Encoder
    entries: int

    @property
    def columns(self) -> int:
        """Number of features."""
        return self.encoder.columns

    def run(self, world) -> SpreadRows:
        """Collective: all rows encoded; a rank that comes late finds less to do. Messages: see spread.py."""
        wanted = [name for name in self.nodes.kinds if name in self.encoder.kinds]
        return SpreadRows(world, self.nodes.spread(wanted, self.encoder.encode), self.nodes.chunks, self.columns)


def expected_entries(encoder: Encoder, found: Survey) -> int:
    """Local: about as many entries as the features will have, more where columns of a block say the same."""
    entries = 0.0
    for block in encoder.blocks:
        if block.kind == "number":
            numbers, standing_for = found.spread[block.columns[0]].T
            entries += standing_for @ np.searchsorted(block.edges[:-1], numbers)  # the intervals that begin below it
            entries += (found.rows - standing_for.sum()) * (block.width // 2)  # missing ones, as the middle
        else:
            counts = found.word_counts if block.kind == "words" else found.value_counts
            entries += sum(counts[name][token] for name in block.columns for token in block.vocabulary)
    return round(entries)
