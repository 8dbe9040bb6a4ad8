"""What every experiment ends in: rows beside the paper's, and how they are written.

This module owns `results/<experiment>.md`, `.csv` and `.png`. A row is one number of
ours; the columns that its experiment uses stand beside it: the paper's number, the
number of examples, a bootstrap interval, chance, and the ceiling (F2F).
"""

import csv
import dataclasses
import io
import os
import pathlib
from typing import Callable, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from speech2face import files, metrics

Number = Union[float, int, None]

N_RESAMPLES = 2000
_COLUMNS = ("ours", "sd", "ci95", "p", "n", "paper", "paper_sd", "chance", "ceiling")
_TITLES = {"ci95": "95 % interval", "paper_sd": "paper's sd", "ceiling": "F2F"}


class NotApplicable(ValueError):
    """This model or data set lacks what the experiment is about; says what."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One measured number.

    Attributes:
      keys: what is measured, by column title, in order.
      ours: the number; None if it is not defined (a constant series).
      sd: standard deviation over the examples.
      ci95: the ends of the 95 % bootstrap interval.
      p: two-sided p value.
      n: over how many examples.
      paper: the published number, or None.
      paper_sd: its published standard deviation.
      chance: what a model that knows nothing would get.
      ceiling: what the face decoder gets from the true face (F2F).
    """

    keys: Dict[str, str]
    ours: Number
    sd: Number = None
    ci95: Optional[Tuple[float, float]] = None
    p: Number = None
    n: Optional[int] = None
    paper: Number = None
    paper_sd: Number = None
    chance: Number = None
    ceiling: Number = None


@dataclasses.dataclass(frozen=True)
class Result:
    """An experiment's outcome.

    Attributes:
      name: of the experiment, and of its files.
      title: heading, with the paper's number of the item.
      shows: what the paper shows and what this is, a sentence or two.
      rows: the table; may be empty for a picture alone. All have the same keys.
      picture: a PNG, or None.
      notes: what a reader must know to read the numbers.
      provenance: model, data and sample, by name.
    """

    name: str
    title: str
    shows: str
    rows: Sequence[Row] = ()
    picture: Optional[bytes] = None
    notes: Sequence[str] = ()
    provenance: Dict[str, str] = dataclasses.field(default_factory=dict)

    def columns(self) -> List[str]:
        """Ours, and the other measurement columns that some row uses, in order."""
        return [
            name
            for name in _COLUMNS
            if name == "ours"
            or any(getattr(row, name) is not None for row in self.rows)
        ]


def write(result: Result, output_dir: "os.PathLike[str]") -> List[pathlib.Path]:
    """Writes the files of a result; returns their paths."""
    contents = {"md": to_markdown(result).encode()}
    if result.rows:
        contents["csv"] = to_csv(result).encode()
    if result.picture:
        contents["png"] = result.picture
    paths = []
    for suffix, content in contents.items():
        paths.append(pathlib.Path(output_dir) / f"{result.name}.{suffix}")
        files.write_atomically(paths[-1], content)
    return paths


def finish(result: Result, output_dir: "os.PathLike[str]") -> None:
    """Prints a result and writes its files: the end of every experiment's `main`."""
    print(to_markdown(result))
    for path in write(result, output_dir):
        print(f"wrote {path}")


def table(result: Result) -> List[List[str]]:
    """The header and the rows as text; empty without rows."""
    if not result.rows:
        return []
    columns = result.columns()
    titles = [_TITLES.get(name, name) for name in columns]
    lines = [[*result.rows[0].keys, *titles]]
    for row in result.rows:
        cells = [text(getattr(row, name)) for name in columns]
        lines.append([*row.keys.values(), *cells])
    return lines


def to_markdown(result: Result) -> str:
    """Returns a section: heading, what it shows, table, picture, notes."""
    parts = [f"## {result.title}", result.shows]
    lines = table(result)
    if lines:
        rows = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
        parts.append("\n".join("| " + " | ".join(row) + " |" for row in rows))
    if result.picture:
        parts.append(f"![{result.title}]({result.name}.png)")
    notes = [*result.notes, *(f"{k}: {v}" for k, v in result.provenance.items())]
    if notes:
        parts.append("\n".join(f"- {note}" for note in notes))
    return "\n\n".join(parts) + "\n"


def to_csv(result: Result) -> str:
    """Returns the rows at full precision; an interval takes two columns."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    columns = [name for name in result.columns() if name != "ci95"]
    has_interval = "ci95" in result.columns()
    ends = ["ci95_low", "ci95_high"] if has_interval else []
    writer.writerow([*result.rows[0].keys, *columns, *ends])
    for row in result.rows:
        cells = [getattr(row, name) for name in columns]
        interval = list(row.ci95 or (None, None)) if has_interval else []
        writer.writerow([*row.keys.values(), *cells, *interval])
    return stream.getvalue()


def text(value) -> str:
    """A number for a reader: '0.350', '12.3', '5,000', '0.12 to 0.41', '–'."""
    if value is None:
        return "–"
    if isinstance(value, tuple):
        return " to ".join(text(end) for end in value)
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    if value and abs(value) < 1e-3:
        return f"{value:.0e}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.2f}"


def interval(
    values: np.ndarray,
    speaker_ids: Sequence[str],
    statistic: Callable[[np.ndarray], float] = np.mean,
) -> Optional[Tuple[float, float]]:
    """95 % bootstrap interval of a statistic over clips, drawing *speakers*.

    The clips of one speaker (in AVSpeech: of one video) are no independent examples;
    drawing clips would make the interval too narrow.

    Args:
      values: [n, ...], one row for each clip.
      speaker_ids: n names.
      statistic: of the rows of the drawn speakers.

    Returns:
      (low, high), or None for fewer than two speakers.
    """
    values = np.asarray(values)
    _, speaker = np.unique(np.asarray(speaker_ids), return_inverse=True)
    n_speakers = speaker.max() + 1
    if n_speakers < 2:
        return None
    if statistic is np.mean and values.ndim == 1:
        sums = np.bincount(speaker, values.astype(np.float64))
        counts = np.bincount(speaker)
        return metrics.bootstrap_ci(
            *(sums, counts),
            statistic=lambda s, c: s.sum() / c.sum(),
            n_resamples=N_RESAMPLES,
        )
    if n_speakers == len(values):
        return metrics.bootstrap_ci(
            values, statistic=statistic, n_resamples=N_RESAMPLES
        )
    clips = np.split(np.argsort(speaker, kind="stable"), np.bincount(speaker).cumsum())
    return metrics.bootstrap_ci(
        np.arange(n_speakers),
        statistic=lambda drawn: statistic(
            values[np.concatenate([clips[i] for i in drawn])]
        ),
        n_resamples=N_RESAMPLES,
    )
