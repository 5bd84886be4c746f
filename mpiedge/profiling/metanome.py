"""Results in the text form of Metanome (Papenbrock et al. 2015): numbered tables and columns, then a line for each."""

import numpy as np

from mpiedge.kernels.lines import lines

FD, IND = "->", "[="


class Numbering:
    """The numbers of tables and columns, counted from 1 in the order given; columns count on over the tables."""

    def __init__(self, tables: list[tuple[str, list[str]]]):
        self.tables = tables
        self._before = np.cumsum([0, *[len(names) for _, names in tables]]).tolist()

    def head(self) -> str:
        """Local: what stands above the results. Tabs and line ends in names become spaces: the form has no quoting."""
        text = ["# TABLES"]
        text += [f"{_plain(table)}\t{number}" for number, (table, _) in enumerate(self.tables, start=1)]
        text.append("# COLUMN")
        text += [f"{table}.{_plain(name)}\t{self.column(table - 1, place)}"
                 for table, (_, names) in enumerate(self.tables, start=1) for place, name in enumerate(names)]
        return "\n".join([*text, "# RESULTS\n"])

    def column(self, table: int, place: int) -> int:
        """Local: the number of a column of a table, both counted from 0."""
        return self._before[table] + place + 1

    def fd_lines(self, table: int, lhs: np.ndarray, rhs: np.ndarray) -> bytes:
        """Local: functional dependencies, in the order given."""
        numbers = self._numbers(table)
        return lines(lhs, numbers, b"", b",", [b"%b%b\n" % (FD.encode(), number) for number in numbers], [b""], rhs)

    def ucc_lines(self, table: int, sets: np.ndarray) -> bytes:
        """Local: unique column combinations, in the order given."""
        return lines(sets, self._numbers(table), b"", b",", [b"\n"], [b""])

    def _numbers(self, table: int) -> list[bytes]:
        return [b"%d" % self.column(table, place) for place in range(len(self.tables[table][1]))]

    def ind_lines(self, inclusions) -> str:
        """Local: inclusion dependencies, given as pairs of lists of (table, place)."""
        return "".join([IND.join(",".join(str(self.column(*place)) for place in side) for side in pair) + "\n"
                        for pair in inclusions])


def _plain(name: str) -> str:
    return " ".join(name.split()) if any(sign in name for sign in "\t\r\n") else name
