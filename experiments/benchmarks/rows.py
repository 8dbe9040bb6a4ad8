"""The table at the head of benchmarks.md: ours, a straightforward twin, and the floor.

A benchmark prints its rows of that table after its own. `run` finds them there.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal, NamedTuple

Unit = Literal["s", "ms", "records/s"]

_HEADER = "| what | ours | twin | ours / twin | floor | ours / floor | |"
_LINE = "|---|---|---|---|---|---|---|"


class Beside(NamedTuple):
    """A reference value: its name and value, in the row's unit."""

    name: str
    value: float


@dataclasses.dataclass(frozen=True)
class Row:
    """A figure of ours beside the twin's and the floor of the same run.

    Attributes:
      what: what was measured.
      ours: the figure.
      unit: its unit: a time, for which less is better, or a rate.
      twin: the straightforward way to the same result.
      floor: what the hardware could do at best.
      note: anything else that was measured, such as memory.
    """

    what: str
    ours: float
    unit: Unit
    twin: Beside | None = None
    floor: Beside | None = None
    note: str = ""

    def to_markdown(self) -> str:
        """Returns its line of the table."""
        cells = [self.what, self._figure(self.ours)]
        for beside in (self.twin, self.floor):
            if beside:
                figure = f"{self._figure(beside.value)} ({beside.name})"
                cells += [figure, f"{self.ours / beside.value:.2f}"]
            else:
                cells += ["", ""]
        return "| " + " | ".join([*cells, self.note]) + " |"

    def _figure(self, value: float) -> str:
        if self.unit == "ms":
            return f"{1e3 * value:,.1f} ms"
        # Rates are in the hundreds, where decimals are noise.
        digits = 2 if self.unit == "s" else 0
        return f"{value:,.{digits}f} {self.unit}"


def to_markdown(rows: Sequence[Row]) -> str:
    """Returns the table."""
    return "\n".join([_HEADER, _LINE, *(row.to_markdown() for row in rows), ""])


def of_lines(lines: Sequence[str]) -> str:
    """Returns the table of rows that benchmarks have printed."""
    return "\n".join([_HEADER, _LINE, *lines, ""])


def found_in(printed: str) -> tuple[str, list[str]]:
    """Divides what a benchmark printed into the rest and its lines of the table."""
    rest, lines, is_in_table = [], [], False
    for line in printed.splitlines():
        # The table goes on while lines begin with a bar.
        is_in_table = line == _HEADER or (is_in_table and line.startswith("|"))
        if not is_in_table:
            rest.append(line)
        elif line not in (_HEADER, _LINE):
            lines.append(line)
    return "\n".join(rest).rstrip() + "\n", lines


def show(rows: Sequence[Row]) -> None:
    """Prints rows as a table."""
    print(f"\n{to_markdown(rows)}")
