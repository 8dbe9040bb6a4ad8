"""AVSpeech's lists: a CSV without a header, one segment of a YouTube video a row.

    youtube_id, start_secs, end_secs, face_x, face_y

with the face's centre at the start as fractions of the picture. A segment's file is
named like its row, in one of 256 folders, so that 1.7 million of them stay manageable.
"""

import csv
import dataclasses
import io
import math
import re
from typing import Iterable, List, Sequence

from data_prep.manifest import hash_of

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
        """Where the downloader puts it, relative to its folder."""
        return f"segments/{hash_of(self.youtube_id)[:2]}/{self.name}.mp4"

    @property
    def row(self) -> str:
        """Its line of a list, without the line's end."""
        numbers = (self.start_secs, self.end_secs, self.face_x, self.face_y)
        return ",".join([self.youtube_id, *(f"{number:.6f}" for number in numbers)])


def read_list(path: str) -> List[Segment]:
    """Reads `avspeech_train.csv`, `avspeech_test.csv` or a list like them.

    Raises:
      FileNotFoundError: no such file.
      ValueError: it is empty, is no such list, or has a row twice.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file, strict=True))
    except FileNotFoundError:
        raise FileNotFoundError(f"no AVSpeech list {path!r}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path!r} is not readable as CSV: {error}") from None
    segments = [_segment(row, f"{path!r}, line {i + 1}") for i, row in enumerate(rows)]
    if not segments:
        raise ValueError(f"{path!r} is empty")
    if len({segment.name for segment in segments}) < len(segments):
        names = [segment.name for segment in segments]
        twice = next(name for name in sorted(set(names)) if names.count(name) > 1)
        raise ValueError(f"{path!r} has the segment {twice} twice")
    return segments


def format_list(segments: Iterable[Segment]) -> bytes:
    """A list that `read_list` reads back."""
    text = io.StringIO()
    text.writelines(f"{segment.row}\n" for segment in segments)
    return text.getvalue().encode()


def sample(segments: Sequence[Segment], n: int) -> List[Segment]:
    """The `n` segments whose names have the smallest hashes, in the list's order.

    The choice does not depend on the order of the list or the machine, and a larger
    sample contains every smaller one.
    """
    by_hash = sorted(segments, key=lambda segment: hash_of(segment.name))
    chosen = set(by_hash[:n])
    return [segment for segment in segments if segment in chosen]


def _segment(row: List[str], where: str) -> Segment:
    if len(row) != 5:
        raise ValueError(
            f"{where}: {len(row)} cells; an AVSpeech list has five and no header: "
            "YouTube id, start, end, x, y"
        )
    if not _ID.fullmatch(row[0]):
        raise ValueError(f"{where}: {row[0]!r} is no YouTube id")
    try:
        segment = Segment(row[0], *map(float, row[1:]))
    except ValueError:
        raise ValueError(f"{where}: {row[1:]} are not four numbers") from None
    if not 0 <= segment.start_secs < segment.end_secs < math.inf:
        raise ValueError(f"{where}: no segment from {row[1]} s to {row[2]} s")
    return segment
