"""Manifests: the CSV that names every clip, and the speaker-disjoint split.

One row is one clip (voice records) or one photograph (face decoder records):

    clip_id               unique name; required
    media                 video, or audio with `face` an image; required for voices
    face                  image of the speaker, or a video of the same times, instead of
                          a frame of `media`; required for face records
    normalized_face       ready canonical image of that face (face records only)
    normalized_landmarks  its 68 landmarks, "x0 y0 x1 y1 ..." in its pixels; default
                          those that dlib finds
    start_secs, end_secs  segment of `media`; default 0 and the end of the file
    face_x, face_y        face center as fractions of the picture's width and height;
                          default the largest face
    speaker_id            the person; splits never share a speaker; required
    split                 train, val or test; default by speaker hash

Every other column is a label; the record stores it as a string. Paths are relative to
`media_dir`. A speaker without a split gets one from the SHA-256 of the speaker id, so
it does not depend on the machine or the process. A tenth of the clips goes to val and a
tenth to test, at most 5,000 each; a longer manifest only takes speakers out of them.
AVSpeech's own lists are respected by filling `split`.
"""

import collections
import csv
import dataclasses
import hashlib
import os
from collections.abc import Sequence
from typing import Any

from speech2face import media_files
from speech2face.errors import UserError
from speech2face.files import PathLike, as_path, is_in_bucket
from speech2face.paper import N_LANDMARKS

SPLITS = ("train", "val", "test")
KNOWN_COLUMNS = (
    "clip_id",
    "media",
    "face",
    "normalized_face",
    "normalized_landmarks",
    "start_secs",
    "end_secs",
    "face_x",
    "face_y",
    "speaker_id",
    "split",
)
VOICE_COLUMNS = ("clip_id", "media", "speaker_id")
FACE_COLUMNS = ("clip_id", "face", "speaker_id")
_N_COORDINATES = 2 * N_LANDMARKS
# Not in the paper, which uses AVSpeech's own lists: docs/decisions/data-split.md.
MAX_FRACTION = 0.1  # of val and of test
MAX_CLIPS = 5000  # the size of the paper's evaluation (Tables 2 and 3)


@dataclasses.dataclass(frozen=True)
class SplitSizes:
    """About how many clips the hash gives to two splits; at most a tenth each."""

    n_val: int = MAX_CLIPS
    n_test: int = MAX_CLIPS

    def fractions(self, n_clips: int) -> tuple[float, float]:
        """Returns the shares of val and test among `n_clips`."""
        val, test = (
            min(MAX_FRACTION, n / max(n_clips, 1)) for n in (self.n_val, self.n_test)
        )
        return val, test


@dataclasses.dataclass(frozen=True)
class Clip:
    """One manifest row. Paths are joined to `media_dir`; '' means not given.

    `face_x` and `face_y` are fractions of the picture's width and height. A file that
    `may_be_cut` is the segment itself if it lasts as long as the segment.
    """

    clip_id: str
    speaker_id: str
    media: str = ""
    face: str = ""
    normalized_face: str = ""
    normalized_landmarks: tuple[float, ...] = ()  # x0, y0, x1, y1, ...
    start_secs: float = 0.0
    end_secs: float | None = None
    face_x: float | None = None
    face_y: float | None = None
    split: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    may_be_cut: bool = False

    @property
    def sort_key(self) -> str:
        """Hex SHA-256 of the clip id: records are in this fixed, well mixed order."""
        return hash_of(self.clip_id)


def hash_of(name: str) -> str:
    """Returns the hex SHA-256 of a name: stable, unlike Python's `hash`."""
    return hashlib.sha256(name.encode("utf-8")).hexdigest()


def read_manifest(
    path: PathLike,
    media_dir: PathLike = "",
    required: Sequence[str] = VOICE_COLUMNS,
    sizes: SplitSizes = SplitSizes(),
) -> list[Clip]:
    """Reads a manifest CSV (UTF-8, header row) and assigns missing splits.

    Args:
      path: the CSV file.
      media_dir: folder that its paths are relative to; '' means the CSV's own folder.
      required: columns that must exist and be filled in every row.
      sizes: about how many clips without a split go to val and to test.

    Returns:
      Clips in file order, each with a split.

    Raises:
      FileNotFoundError: no such manifest, or `media_dir` is not a folder.
      UserError: unreadable CSV, missing columns or cells, a cell that should be a
        number, duplicate clip ids, an unknown split, a speaker in two splits, or no
        rows.
    """
    path = as_path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"manifest {str(path)!r} does not exist or is not a file"
        )
    folder = media_files.absolute(media_dir or str(path.parent))
    if not as_path(folder).is_dir():
        raise FileNotFoundError(f"media_dir {folder!r} is not a folder")
    name = f"manifest {str(path)!r}"
    try:
        # utf-8-sig: Excel begins its files with a byte order mark.
        with path.open(encoding="utf-8-sig", newline="") as file:
            clips = _read_rows(
                csv.DictReader(file, strict=True), name, folder, required
            )
    except UnicodeDecodeError as error:
        raise UserError(
            f"{name} is not UTF-8 (byte {error.start}); spreadsheets save that as 'CSV "
            "UTF-8'"
        ) from error
    except (csv.Error, OSError) as error:
        raise UserError(f"{name} is not readable as CSV: {error}") from error
    if not clips:
        raise UserError(f"{name} has a header but no rows")
    return assign_splits(clips, str(path), sizes)


def assign_splits(
    clips: list[Clip], name: str = "the manifest", sizes: SplitSizes = SplitSizes()
) -> list[Clip]:
    """Fills missing splits; a speaker's declared split holds for all its clips.

    Args:
      clips: clips with or without a split.
      name: name of the list that they come from, for messages.
      sizes: about how many clips without a split go to val and to test.

    Raises:
      UserError: a clip id occurs twice or a speaker is declared in two splits.
    """
    declared: dict[str, str] = {}
    seen: set[str] = set()
    for clip in clips:
        if clip.clip_id in seen:
            raise UserError(f"{name}: clip_id {clip.clip_id!r} occurs more than once")
        seen.add(clip.clip_id)
        if not clip.split:
            continue
        other = declared.setdefault(clip.speaker_id, clip.split)
        if other != clip.split:
            raise UserError(
                f"{name}: speaker_id {clip.speaker_id!r} is in two splits, {other!r} "
                f"and {clip.split!r}; a speaker must be in one"
            )
    n_open = sum(clip.speaker_id not in declared for clip in clips)
    shares = sizes.fractions(n_open)

    def split_of(speaker: str) -> str:
        return declared.get(speaker) or hash_split(speaker, *shares)

    return [
        dataclasses.replace(clip, split=split_of(clip.speaker_id)) for clip in clips
    ]


def hash_split(
    speaker_id: str,
    val_fraction: float = MAX_FRACTION,
    test_fraction: float = MAX_FRACTION,
) -> str:
    """Returns the split of a speaker: a function of the SHA-256 of its id alone.

    Args:
      speaker_id: any string.
      val_fraction: expected share of the val split, up to `MAX_FRACTION`.
      test_fraction: expected share of the test split, up to `MAX_FRACTION`.
    """
    # 64 bits of the hash, as a number that is uniform in [0, 1).
    position = int(hash_of(speaker_id)[:16], 16) / 2**64
    if position < test_fraction:
        return "test"
    # Where val begins does not depend on the shares: with other shares, nobody changes
    # between val and test.
    is_val = MAX_FRACTION <= position < MAX_FRACTION + val_fraction
    return "val" if is_val else "train"


def _read_rows(
    reader: "csv.DictReader[str]", name: str, media_dir: str, required: Sequence[str]
) -> list[Clip]:
    reader.fieldnames = columns = [column.strip() for column in reader.fieldnames or []]
    missing = [column for column in required if column not in columns]
    if missing:
        raise UserError(
            f"{name} lacks the column(s) {', '.join(missing)}; "
            f"it has {_listed(columns) or 'none'}"
        )
    counts = collections.Counter(columns)
    repeated = sorted(column for column, n in counts.items() if n > 1)
    if repeated:
        raise UserError(f"{name} has the column(s) {_listed(repeated)} twice")
    clips = []
    for row in reader:
        where = f"{name}, line {reader.line_num}"
        # DictReader collects extra cells under None, and fills missing ones with None.
        if None in row or None in row.values():
            raise UserError(f"{where}: expected {len(columns)} cells like the header")
        if not any(cell.strip() for cell in row.values()):  # spreadsheets leave them
            continue
        clips.append(clip_of(row, where, media_dir, required))
    return clips


def _listed(names: Sequence[str]) -> str:
    """Returns names as one line, not too long: a header can be anything."""
    shown = [str(name)[:40] for name in names[:20]]
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(shown) + more


def clip_of(
    cells: dict[str, str], where: str, media_dir: str, required: Sequence[str]
) -> Clip:
    """Returns the clip of a row.

    Args:
      cells: column -> cell.
      where: the row, for errors.
      media_dir: folder that its paths are relative to.
      required: columns that must be filled.

    Raises:
      UserError: names the cell that is wrong.
    """
    row = {column: cell.strip() for column, cell in cells.items()}
    for column in required:
        if not row[column]:
            raise UserError(f"{where}: {column} is empty")
    split = row.get("split", "")
    if split and split not in SPLITS:
        raise UserError(f"{where}: split {split!r} is not one of {', '.join(SPLITS)}")

    def path_in(column: str) -> str:
        path = row.get(column, "")
        if is_in_bucket(path):
            return path
        return os.path.join(media_dir, path) if path else ""  # noqa: PTH118 - a string

    def number_in(column: str) -> float | None:
        return _number(row.get(column, ""), column, where)

    return Clip(
        clip_id=row["clip_id"],
        speaker_id=row["speaker_id"],
        media=path_in("media"),
        face=path_in("face"),
        normalized_face=path_in("normalized_face"),
        normalized_landmarks=_coordinates(row, where),
        start_secs=number_in("start_secs") or 0.0,
        end_secs=number_in("end_secs"),
        face_x=number_in("face_x"),
        face_y=number_in("face_y"),
        split=split,
        labels=tuple((k, v) for k, v in row.items() if k not in KNOWN_COLUMNS),
    )


def landmarks_cell(landmarks: Any) -> str:
    """Returns the cell of the column `normalized_landmarks` for points [68, 2]."""
    return " ".join(f"{x:.2f} {y:.2f}" for x, y in landmarks)


def _coordinates(row: dict[str, str], where: str) -> tuple[float, ...]:
    words = row.get("normalized_landmarks", "").split()
    if words and not row.get("normalized_face"):
        raise UserError(f"{where}: normalized_landmarks without a normalized_face")
    if words and len(words) != _N_COORDINATES:
        raise UserError(
            f"{where}: normalized_landmarks has {len(words)} numbers; expected "
            f"{_N_COORDINATES}, x and y of {N_LANDMARKS} points"
        )
    numbers = (_number(word, "normalized_landmarks", where) for word in words)
    return tuple(number for number in numbers if number is not None)


def _number(cell: str, column: str, where: str) -> float | None:
    if not cell:
        return None
    try:
        return float(cell)  # NaN and infinity reject their clip, not the manifest
    except ValueError:
        raise UserError(f"{where}: {column} {cell!r:.60} is not a number") from None
