"""Which row of the demo table holds which record: a row number maps to an entity and a copy of it, and back."""

from math import gcd

import numpy as np

from .draw import Draw

GROUP_ROWS = 50  # every 50 slots hold 45 entities and 5 duplicates: three entities twice, one entity three times
GROUP_ENTITIES = 45
DUPLICATE_OFFSETS = (0, 7, 14, 21, 21)  # where in its group the entity of each duplicate sits, from a drawn start


class Layout:
    """Local: the places of all records of a demo table of `rows` rows; every method takes and gives int64 arrays.

    Records stand in slots, group by group; the row of a slot is an affine permutation, so duplicates lie far apart.
    """

    def __init__(self, rows: int, draw: Draw):
        self.rows, self.draw = rows, draw
        self.entities = rows // GROUP_ROWS * GROUP_ENTITIES + min(rows % GROUP_ROWS, GROUP_ENTITIES)
        self.factor = max(1, int(rows * 0.6180339887))
        while gcd(self.factor, rows) != 1:
            self.factor += 1
        self.inverse = pow(self.factor, -1, rows) if rows > 1 else 0
        self.shift = int(draw.below("shift", 0, rows)[0])

    def row_of_slot(self, slot: np.ndarray) -> np.ndarray:
        """Row number of each slot."""
        return (slot * self.factor + self.shift) % self.rows

    def slot_of_row(self, row: np.ndarray) -> np.ndarray:
        """Slot of each row number: the inverse of `row_of_slot`."""
        return (row - self.shift) % self.rows * self.inverse % self.rows

    def records(self, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(entity, copy) of each row; copy 0 is the first record of an entity, copies 1 and 2 are its duplicates."""
        group, place = np.divmod(self.slot_of_row(row), GROUP_ROWS)
        duplicate = np.maximum(place - GROUP_ENTITIES, 0)
        member = (self._start(group) + np.array(DUPLICATE_OFFSETS)[duplicate]) % GROUP_ENTITIES
        is_duplicate = place >= GROUP_ENTITIES
        entity = group * GROUP_ENTITIES + np.where(is_duplicate, member, place)
        return entity, np.where(is_duplicate, 1 + (duplicate == 4), 0)

    def row_of_record(self, entity: np.ndarray, copy: np.ndarray) -> np.ndarray:
        """Row of a copy of an entity; where the table has no such copy, the row of the first record."""
        group, member = np.divmod(entity, GROUP_ENTITIES)
        distance = (member - self._start(group)) % GROUP_ENTITIES
        slot = group * GROUP_ROWS + member
        for duplicate, offset in enumerate(DUPLICATE_OFFSETS):
            candidate = group * GROUP_ROWS + GROUP_ENTITIES + duplicate
            wanted = (distance == offset) & (copy == 1 + (duplicate == 4)) & (candidate < self.rows)
            slot = np.where(wanted, candidate, slot)
        return self.row_of_slot(slot)

    def _start(self, group):
        return self.draw.below("group", group, GROUP_ENTITIES)
