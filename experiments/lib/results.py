"""The result of an experiment: rows beside the paper's numbers, and their files.

This module owns `results/<experiment>.md`, `.csv` and `.png`. A row is one number of
ours. Beside it are the columns that its experiment uses: the paper's number, the number
of examples, a bootstrap interval, chance, and the ceiling (F2F).
"""

import csv
import dataclasses
import io
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from speech2face import files
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.metrics import statistics

Number = float | int | None

N_RESAMPLES = 2000  # percentile intervals need 1,000 or more (Efron, Tibshirani 1993)

# The fields of `Row` that become columns, in order; the titles of those whose name is
# not their title.
_MEASUREMENTS = (
    "ours",
    "sd",
    "ci95",
    "p",
    "n",
    "paper",
    "paper_sd",
    "chance",
    "ceiling",
)
_MEASUREMENT_TITLES = {
    "ci95": "95 % interval",
    "paper_sd": "paper's sd",
    "ceiling": "F2F",
}


class NotApplicable(UserError):  # noqa: N818 a finding, not a failure
    """The model or the data set lacks what the experiment is about; says what."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One measured number.

    Attributes:
      keys: what is measured, by column title, in order.
      ours: the number; None if it is not defined (a constant series).
      sd: standard deviation over the examples.
      ci95: the ends of the 95 % bootstrap interval.
      p: two-sided p value.
      n: number of examples.
      paper: the published number, or None.
      paper_sd: its published standard deviation.
      chance: the number of a model that knows nothing.
      ceiling: the number of the face decoder given the true face (F2F).
      others: further published or measured numbers, by title of their column.
    """

    keys: dict[str, str]
    ours: Number
    sd: Number = None
    ci95: tuple[float, float] | None = None
    p: Number = None
    n: int | None = None
    paper: Number = None
    paper_sd: Number = None
    chance: Number = None
    ceiling: Number = None
    others: dict[str, Number] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Result:
    """An experiment's outcome.

    Attributes:
      name: name of the experiment, and of its files.
      title: heading, with the number that the item has in the paper.
      shows: what the paper shows and what this is, a sentence or two.
      rows: the table; empty for a picture alone. All have the same keys.
      picture: a PNG, or None.
      notes: what a reader must know to read the numbers.
      provenance: model, data and sample, by name.
      page: an HTML page of its own, relative to the output folder.
      document: the content of the Markdown and CSV files where they hold more than
        `rows`, by suffix ('md', 'csv').
    """

    name: str
    title: str
    shows: str
    rows: Sequence[Row] = ()
    picture: bytes | None = None
    notes: Sequence[str] = ()
    provenance: dict[str, str] = dataclasses.field(default_factory=dict)
    page: str = ""
    document: dict[str, str] = dataclasses.field(default_factory=dict)

    def columns(self) -> list[str]:
        """'ours' and the other measurements that some row has, in order."""
        return [
            name
            for name in _MEASUREMENTS
            if name == "ours"
            or any(getattr(row, name) is not None for row in self.rows)
        ]

    def other_columns(self) -> list[str]:
        """The titles of the columns `Row.others`, in the order of the rows."""
        return list(dict.fromkeys(title for row in self.rows for title in row.others))


def write(result: Result, output_dir: PathLike) -> list[pathlib.Path]:
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


def finish(result: Result, output_dir: PathLike) -> None:
    """Prints a result and writes its files: the end of every experiment's `main`."""
    print(to_markdown(result))
    for path in write(result, output_dir):
        print(f"wrote {path}")


def table(result: Result) -> list[list[str]]:
    """The header and the rows as text; empty without rows."""
    if not result.rows:
        return []
    columns = result.columns()
    titles = [_MEASUREMENT_TITLES.get(name, name) for name in columns]
    others = result.other_columns()
    lines = [[*result.rows[0].keys, *titles, *others]]
    for row in result.rows:
        cells = [text(getattr(row, name)) for name in columns]
        cells += [text(row.others.get(title)) for title in others]
        lines.append([*row.keys.values(), *cells])
    return lines


def to_markdown(result: Result) -> str:
    """Returns a section: heading, what it shows, table, picture, notes."""
    if "md" in result.document:
        return result.document["md"]
    parts = [f"## {result.title}", result.shows]
    lines = table(result)
    if lines:
        rows = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
        parts.append("\n".join("| " + " | ".join(row) + " |" for row in rows))
    if result.picture:
        parts.append(f"![{result.title}]({result.name}.png)")
    if result.page:
        parts.append(f"[The page]({result.page})")
    notes = [*result.notes, *(f"{k}: {v}" for k, v in result.provenance.items())]
    if notes:
        parts.append("\n".join(f"- {note}" for note in notes))
    return "\n\n".join(parts) + "\n"


def to_csv(result: Result) -> str:
    """Returns the rows at full precision; an interval takes two columns."""
    if "csv" in result.document:
        return result.document["csv"]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    columns = [name for name in result.columns() if name != "ci95"]
    has_interval = "ci95" in result.columns()
    end_columns = ["ci95_low", "ci95_high"] if has_interval else []
    others = result.other_columns()
    writer.writerow([*result.rows[0].keys, *columns, *end_columns, *others])
    for row in result.rows:
        cells = [getattr(row, name) for name in columns]
        ends = list(row.ci95 or (None, None)) if has_interval else []
        other_cells = [row.others.get(title) for title in others]
        writer.writerow([*row.keys.values(), *cells, *ends, *other_cells])
    return stream.getvalue()


def text(value: Any) -> str:
    """Formats a number for a reader: '0.350', '12.35', '5,000', '0.12 to 0.41', '–'."""
    if value is None:
        return "–"
    if isinstance(value, tuple):
        return " to ".join(text(end) for end in value)
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    if value and abs(value) < 1e-3:  # p values, which would print as 0.000
        return f"{value:.0e}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.2f}"


def interval(
    values: np.ndarray,
    speaker_ids: Sequence[str],
    statistic: Callable[[np.ndarray], float] = np.mean,
) -> tuple[float, float] | None:
    """95 % bootstrap interval of a statistic over clips, drawing *speakers*.

    The clips of one speaker (in AVSpeech: of one video) are not independent examples.
    Drawing clips would make the interval too narrow.

    Args:
      values: [n, ...], one row for each clip.
      speaker_ids: n names.
      statistic: function of the rows of the drawn speakers.

    Returns:
      (low, high), or None for fewer than two speakers.
    """
    values = np.asarray(values)
    _, speaker = np.unique(np.asarray(speaker_ids), return_inverse=True)
    n_speakers = speaker.max() + 1
    if n_speakers < 2:
        return None
    if statistic is np.mean and values.ndim == 1:
        sum_and_count = np.stack([values, np.ones(len(values))], axis=1)
        return interval_of_sums(
            sum_and_count, speaker_ids, lambda total: total[0] / total[1]
        )
    if n_speakers == len(values):  # one clip each: drawing clips is drawing speakers
        return statistics.bootstrap_ci(
            values, statistic=statistic, n_resamples=N_RESAMPLES
        )
    # clips[i] are the rows of speaker i.
    clips = np.split(np.argsort(speaker, kind="stable"), np.bincount(speaker).cumsum())
    return statistics.bootstrap_ci(
        np.arange(n_speakers),
        statistic=lambda drawn: statistic(
            values[np.concatenate([clips[i] for i in drawn])]
        ),
        n_resamples=N_RESAMPLES,
    )


def interval_of_sums(
    values: np.ndarray,
    speaker_ids: Sequence[str],
    statistic: Callable[[np.ndarray], float],
) -> tuple[float, float] | None:
    """`interval` of a statistic of sums over clips, in a fraction of its time.

    Args:
      values: [n, ...], one row for each clip.
      speaker_ids: n names.
      statistic: function of the sum [...] of the rows of the drawn speakers.

    Returns:
      (low, high), or None for fewer than two speakers.
    """
    _, speaker = np.unique(np.asarray(speaker_ids), return_inverse=True)
    n_speakers = speaker.max() + 1
    if n_speakers < 2:
        return None
    sums = np.zeros([n_speakers, *values.shape[1:]])
    np.add.at(sums, speaker, values)
    flat = sums.reshape(n_speakers, -1)
    return statistics.bootstrap_ci(
        np.arange(n_speakers),
        statistic=lambda drawn: statistic(
            (np.bincount(drawn, minlength=n_speakers) @ flat).reshape(sums.shape[1:])
        ),
        n_resamples=N_RESAMPLES,
    )
