"""Results in the text form of Metanome (Papenbrock et al. 2015): numbered tables and columns, then a line for each."""

import numpy as np

from mpiedge.profiling.output import columns_of

FD, IND = "->", "[="


class Numbering:
    """The numbers of tables and columns, counted from 1 in the order given; columns count on over the tables."""

    def __init__(self, tables: list[tuple[str, list[str]]]):
        self.tables = tables
        self._before = np.cumsum([0, *[len(names) for _, names in tables]]).tolist()

    def head(self) -> str:
        """Local: what stands above the results. Tabs and line ends in names become spaces: the form has no quoting."""
        lines = ["# TABLES"]
        lines += [f"{_plain(table)}\t{number}" for number, (table, _) in enumerate(self.tables, start=1)]
        lines.append("# COLUMN")
        lines += [f"{table}.{_plain(name)}\t{self.column(table - 1, place)}"
                  for table, (_, names) in enumerate(self.tables, start=1) for place, name in enumerate(names)]
        return "\n".join([*lines, "# RESULTS\n"])

    def column(self, table: int, place: int) -> int:
        """Local: the number of a column of a table, both counted from 0."""
        return self._before[table] + place + 1

    def sets(self, table: int, lhs: np.ndarray) -> list[str]:
        """Local: column sets (k, words) as lists of numbers."""
        shift = self._before[table] + 1
        return [",".join([str(column + shift) for column in columns]) for columns in columns_of(lhs)]

    def fd_lines(self, table: int, lhs: np.ndarray, rhs: np.ndarray) -> str:
        """Local: functional dependencies, in the order given."""
        shift = self._before[table] + 1
        return "".join([f"{left}{FD}{right + shift}\n" for left, right in zip(self.sets(table, lhs), rhs.tolist())])

    def ucc_lines(self, table: int, sets: np.ndarray) -> str:
        """Local: unique column combinations, in the order given."""
        return "".join([f"{one}\n" for one in self.sets(table, sets)])

    def ind_lines(self, inclusions) -> str:
        """Local: inclusion dependencies, given as pairs of lists of (table, place)."""
        return "".join([IND.join(",".join(str(self.column(*place)) for place in side) for side in pair) + "\n"
                        for pair in inclusions])


def _plain(name: str) -> str:
    return " ".join(name.split()) if any(sign in name for sign in "\t\r\n") else name
