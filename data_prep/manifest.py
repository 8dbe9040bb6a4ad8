"""Manifests: the CSV that names every clip, and the speaker-disjoint split.

One row is one clip (voice records) or one photograph (face decoder records):

    clip_id               unique name; required
    media                 video, or audio with `face` an image; required for voices
    face                  image of the speaker, instead of a video frame; required for
                          face records
    normalized_face       ready canonical image of that face (face records only)
    start_secs, end_secs  segment of `media`; default 0 and the end of the file
    face_x, face_y        face centre as fractions of the picture's width and height;
                          default the largest face
    speaker_id            who it is; splits never share a speaker; required
    split                 train, val or test; default by speaker hash, 80/10/10

Every other column is a label and is kept, as a string, with the record. Paths are
relative to `media_dir`. The split of a speaker without one is a function of the
SHA-256 of the speaker id alone, so it never depends on the machine, the process or
the other rows (AVSpeech's own lists are respected by filling `split`).
"""

import csv
import dataclasses
import hashlib
import os
from typing import Dict, List, Optional, Sequence, Tuple

SPLITS = ("train", "val", "test")
KNOWN_COLUMNS = (
    "clip_id",
    "media",
    "face",
    "normalized_face",
    "start_secs",
    "end_secs",
    "face_x",
    "face_y",
    "speaker_id",
    "split",
)
VOICE_COLUMNS = ("clip_id", "media", "speaker_id")
FACE_COLUMNS = ("clip_id", "face", "speaker_id")
# Not in the paper, which uses AVSpeech's own train and test lists.
VAL_FRACTION = 0.1
TEST_FRACTION = 0.1


@dataclasses.dataclass(frozen=True)
class Clip:
    """One manifest row. Paths are joined to `media_dir`; '' means not given."""

    clip_id: str
    speaker_id: str
    media: str = ""
    face: str = ""
    normalized_face: str = ""
    start_secs: float = 0.0
    end_secs: Optional[float] = None
    face_x: Optional[float] = None
    face_y: Optional[float] = None
    split: str = ""
    labels: Tuple[Tuple[str, str], ...] = ()

    @property
    def sort_key(self) -> str:
        """Hex SHA-256 of the clip id: the record order, fixed and well mixed."""
        return hash_of(self.clip_id)


def hash_of(name: str) -> str:
    """Hex SHA-256 of a name: the same on every machine, unlike Python's `hash`."""
    return hashlib.sha256(name.encode("utf-8")).hexdigest()


def read_manifest(
    path: str, media_dir: str = "", required: Sequence[str] = VOICE_COLUMNS
) -> List[Clip]:
    """Reads a manifest CSV (UTF-8, header row) and assigns missing splits.

    Args:
      path: the CSV file.
      media_dir: folder that its paths are relative to; '' means the CSV's own folder.
      required: columns that must be there and filled in every row.

    Returns:
      Clips in file order, each with a split.

    Raises:
      FileNotFoundError: no such manifest, or `media_dir` is not a folder.
      ValueError: unreadable CSV, missing columns or cells, a number that is none,
        duplicate clip ids, an unknown split, a speaker in two splits, or no rows.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"manifest {path!r} does not exist or is not a file")
    media_dir = os.path.abspath(media_dir or os.path.dirname(os.path.abspath(path)))
    if not os.path.isdir(media_dir):
        raise FileNotFoundError(f"media_dir {media_dir!r} is not a folder")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            clips = _read_rows(
                csv.DictReader(file, strict=True), path, media_dir, required
            )
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise ValueError(
            f"manifest {path!r} is not readable as CSV: {error}"
        ) from error
    if not clips:
        raise ValueError(f"manifest {path!r} has a header but no rows")
    return assign_splits(clips, path)


def write_manifest(path: str, clips: List[Clip], media_dir: str = "") -> None:
    """Writes clips as a manifest that `read_manifest` reads back; columns as needed."""
    labels = sorted({name for clip in clips for name, _ in clip.labels})
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*KNOWN_COLUMNS, *labels])
        for clip in clips:
            row = {**dataclasses.asdict(clip), **dict(clip.labels)}
            for name in ("media", "face", "normalized_face"):
                if row[name] and media_dir:
                    row[name] = os.path.relpath(row[name], media_dir)
            cells = [row.get(name) for name in (*KNOWN_COLUMNS, *labels)]
            writer.writerow(["" if cell is None else cell for cell in cells])


def assign_splits(clips: List[Clip], name: str = "the manifest") -> List[Clip]:
    """Fills missing splits; a speaker's declared split holds for all its clips.

    Raises:
      ValueError: a clip id occurs twice or a speaker is declared in two splits.
    """
    declared, seen = {}, set()
    for clip in clips:
        if clip.clip_id in seen:
            raise ValueError(f"{name}: clip_id {clip.clip_id!r} occurs more than once")
        seen.add(clip.clip_id)
        if not clip.split:
            continue
        other = declared.setdefault(clip.speaker_id, clip.split)
        if other != clip.split:
            raise ValueError(
                f"{name}: speaker_id {clip.speaker_id!r} is in two splits, {other!r} "
                f"and {clip.split!r}; a speaker must be in one"
            )
    return [
        dataclasses.replace(
            clip, split=declared.get(clip.speaker_id) or hash_split(clip.speaker_id)
        )
        for clip in clips
    ]


def hash_split(
    speaker_id: str,
    val_fraction: float = VAL_FRACTION,
    test_fraction: float = TEST_FRACTION,
) -> str:
    """The split of a speaker: a function of the SHA-256 of its id alone."""
    position = int(hash_of(speaker_id)[:16], 16) / 2**64
    if position < test_fraction:
        return "test"
    return "val" if position < test_fraction + val_fraction else "train"


def _read_rows(reader, path: str, media_dir: str, required) -> List[Clip]:
    columns = reader.fieldnames or []
    missing = [name for name in required if name not in columns]
    if missing:
        raise ValueError(
            f"manifest {path!r} lacks the column(s) {', '.join(missing)}; "
            f"it has {', '.join(map(str, columns)) or 'none'}"
        )
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    if repeated:
        raise ValueError(f"manifest {path!r} has the column(s) {repeated} twice")
    clips = []
    for row in reader:
        where = f"manifest {path!r}, line {reader.line_num}"
        if None in row or None in row.values():
            raise ValueError(f"{where}: expected {len(columns)} cells like the header")
        clips.append(_clip_of(row, where, media_dir, required))
    return clips


def _clip_of(row: Dict[str, str], where: str, media_dir: str, required) -> Clip:
    row = {name: cell.strip() for name, cell in row.items()}
    for name in required:
        if not row[name]:
            raise ValueError(f"{where}: {name} is empty")
    split = row.get("split", "")
    if split and split not in SPLITS:
        raise ValueError(f"{where}: split {split!r} is none of {', '.join(SPLITS)}")
    paths = {
        name: os.path.join(media_dir, row[name]) if row.get(name) else ""
        for name in ("media", "face", "normalized_face")
    }
    numbers = {
        name: _number(row.get(name, ""), name, where)
        for name in ("start_secs", "end_secs", "face_x", "face_y")
    }
    numbers["start_secs"] = numbers["start_secs"] or 0.0
    labels = tuple((k, v) for k, v in row.items() if k not in KNOWN_COLUMNS)
    return Clip(
        row["clip_id"],
        row["speaker_id"],
        split=split,
        labels=labels,
        **paths,
        **numbers,
    )


def _number(cell: str, name: str, where: str) -> Optional[float]:
    if not cell:
        return None
    try:
        return float(cell)
    except ValueError:
        raise ValueError(f"{where}: {name} {cell!r} is not a number") from None
