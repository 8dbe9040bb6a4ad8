"""Reads AVSpeech's lists: CSV files, one segment of a YouTube video in a row.

    youtube_id, start_secs, end_secs, face_x, face_y

A header is skipped. The last two are the face's center at the start, as fractions of
the picture. A segment's file is named after its row and lies in one of 256 folders: a
single folder of 1.7 million files would be slow.
"""

import csv
import dataclasses
import io
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from data_prep.clips.manifest import hash_of
from speech2face.errors import UserError
from speech2face.files import PathLike, as_path

_WORDS = re.compile(r"[A-Za-z][A-Za-z0-9_ .()/-]{0,40}")  # of a header
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # also a file name and a part of an address


@dataclasses.dataclass(frozen=True)
class Segment:
    """One row of a list."""

    youtube_id: str
    start_secs: float
    end_secs: float
    face_x: float
    face_y: float

    @property
    def name(self) -> str:
        """Unique name: `<id>_<start>-<end>`, as the paper's authors name clips."""
        times = f"{self.start_secs:010.6f}-{self.end_secs:010.6f}"
        return f"{self.youtube_id}_{times}"

    @property
    def path(self) -> str:
        """File that the downloader writes, relative to its folder."""
        return f"segments/{hash_of(self.youtube_id)[:2]}/{self.name}.mp4"

    @property
    def row(self) -> str:
        """Line of a list, without the line break."""
        numbers = (self.start_secs, self.end_secs, self.face_x, self.face_y)
        return ",".join([self.youtube_id, *(f"{number:.6f}" for number in numbers)])


def read_list(path: PathLike) -> list[Segment]:
    """Reads `avspeech_train.csv`, `avspeech_test.csv` or a list like them.

    Raises:
      FileNotFoundError: no such file.
      UserError: it is empty, is not an AVSpeech list, or has a row twice.
    """
    name = repr(str(path))
    try:
        with as_path(path).open(encoding="utf-8-sig", newline="") as file:
            segments = _read_rows(csv.reader(file, strict=True), name)
    except FileNotFoundError:
        raise FileNotFoundError(f"no AVSpeech list {name}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{name} is not readable as CSV: {error}") from None
    if not segments:
        raise UserError(f"{name} is empty")
    return segments


def _read_rows(reader: Any, name: str) -> list[Segment]:
    """Returns the segments of a list's rows, one after the other in memory.

    Args:
      reader: `csv.reader` of the list.
      name: name of the list, for errors.
    """
    segments: list[Segment] = []
    seen: set[str] = set()
    for row in reader:
        where = f"{name}, line {reader.line_num}"
        if not any(cell.strip() for cell in row):  # spreadsheets leave such rows
            continue
        if not segments and _is_header(row):
            print(f"{where}: skipped, it is a header")
            continue
        segment = _segment(row, where)
        if segment.name in seen:
            raise UserError(f"{where}: {name} has the segment {segment.name} twice")
        seen.add(segment.name)
        segments.append(segment)
    return segments


def _is_header(row: list[str]) -> bool:
    """Returns whether a row of five cells names its columns: words, and no number."""
    cells = [cell.strip().lower() for cell in row[1:]]
    are_words = all(_WORDS.fullmatch(cell) for cell in cells)
    return len(row) == 5 and are_words and not {"nan", "inf", "infinity"} & {*cells}


def format_list(segments: Iterable[Segment]) -> bytes:
    """Returns a list that `read_list` reads back as the same segments."""
    text = io.StringIO()
    text.writelines(f"{segment.row}\n" for segment in segments)
    return text.getvalue().encode()


def sample(segments: Sequence[Segment], n: int) -> list[Segment]:
    """Returns the `n` segments whose names have the smallest hashes, in list order.

    The choice does not depend on the order of the list or the machine, and a larger
    sample contains every smaller one.
    """
    by_hash = sorted(segments, key=lambda segment: hash_of(segment.name))
    chosen = set(by_hash[:n])
    return [segment for segment in segments if segment in chosen]


def _segment(row: list[str], where: str) -> Segment:
    if len(row) != 5:
        raise UserError(
            f"{where}: {len(row)} cells; an AVSpeech list has five: "
            "YouTube id, start, end, x, y"
        )
    if not _ID.fullmatch(row[0]):
        raise UserError(f"{where}: {row[0]!r} is not a YouTube id")
    try:
        segment = Segment(row[0], *map(float, row[1:]))
    except ValueError:
        raise UserError(f"{where}: {row[1:]} are not four numbers") from None
    if not 0 <= segment.start_secs < segment.end_secs < math.inf:
        raise UserError(
            f"{where}: a segment from {row[1]} s to {row[2]} s is empty or not finite"
        )
    return segment
