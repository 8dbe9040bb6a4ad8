"""Reads clips from folders of media, with or without metadata, and from WebDatasets.

anna/1.mp4                each subfolder is a speaker, and so is a file outside one
anna/2.wav, anna/2.jpg    sound, and a picture of the same name
metadata.csv, .jsonl      of an audio folder or a video folder, or of a folder in it:
                          the column file_name, relative to the same folder, and any
                          column of a manifest; the others are labels
train/, validation/       the splits of such folders
shard-000.tar             WebDataset: <key>.wav <key>.jpg <key>.json; the speaker is
                          speaker_id, speaker, ... of the JSON
"""

import csv
import dataclasses
import io
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from data_prep.clips.manifest import KNOWN_COLUMNS, SPLITS, Clip, clip_of
from speech2face.errors import UserError
from speech2face.json_codec import parse_json
from speech2face.media_files import (
    IMAGE_SUFFIXES,
    SOUND_SUFFIXES,
    VIDEO_SUFFIXES,
    Found,
    MediaFile,
    has_suffix,
    printable_name,
    read_text,
)

METADATA = ("metadata.jsonl", "metadata.csv")  # of two in a folder, the last is read
_MAX_METADATA_BYTES = 1 << 30
_SPEAKERS = ("speaker_id", "speaker", "spk", "client_id", "identity", "person")
_SPLITS = {"validation": "val", "valid": "val", "dev": "val", "training": "train"}
_MAX_JSON_BYTES = 1 << 20  # of a sample: a few fields


@dataclasses.dataclass
class _Sample:
    """The files of one name."""

    name: str
    videos: list[MediaFile] = dataclasses.field(default_factory=list)
    sounds: list[MediaFile] = dataclasses.field(default_factory=list)
    images: list[MediaFile] = dataclasses.field(default_factory=list)
    json_file: MediaFile | None = None

    def add(self, file: MediaFile) -> None:
        """Takes a file of this name."""
        for files, suffixes in (
            (self.videos, VIDEO_SUFFIXES),
            (self.sounds, SOUND_SUFFIXES),
            (self.images, IMAGE_SUFFIXES),
        ):
            if file.is_a(suffixes):
                files.append(file)
        if file.is_a((".json",)):
            self.json_file = file

    def voices(self) -> list[tuple[MediaFile, str]]:
        """Returns (media, image or '') of what has a voice and a face.

        Videos show their speakers; a sound needs a picture.
        """
        if self.videos or not self.images:
            return [(video, "") for video in self.videos]
        return [(sound, self.images[0].path) for sound in self.sounds]


def read_clips(found: Found) -> list[Clip]:
    """Returns a clip for each video, and for each sound with a picture.

    Args:
      found: the media of the folder.

    Raises:
      UserError: the metadata are damaged.
    """
    tables: dict[str, MediaFile] = {}
    for name in METADATA:
        for file in found.files:
            path = pathlib.PurePosixPath(file.name)
            if path.name == name:
                tables[path.parent.as_posix()] = file
    if tables:
        return _listed_clips(found, tables)
    samples: dict[str, _Sample] = {}
    for file in found.files:
        stem = pathlib.PurePosixPath(file.name).with_suffix("").as_posix()
        samples.setdefault(stem, _Sample(stem)).add(file)
    clips = [
        _folder_clip(printable_name(file.name), file.path, face)
        for sample in samples.values()
        for file, face in sample.voices()
    ]
    return sorted(clips, key=lambda clip: clip.clip_id)


def _folder_clip(name: str, path: str, face: str) -> Clip:
    """Returns the clip of a file.

    Args:
      name: below the folder.
      path: path of the file.
      face: path of a picture, or ''.
    """
    parts = name.split("/")
    speaker = parts[0] if parts[1:] else pathlib.PurePath(name).stem
    return Clip(clip_id=name, speaker_id=speaker, media=path, face=face)


def _listed_clips(found: Found, tables: dict[str, MediaFile]) -> list[Clip]:
    """Returns the clips of the metadata of an audio folder or a video folder.

    Args:
      found: the media of the folder.
      tables: the metadata, by the folder that their names are relative to.
    """
    files = {file.name: file.path for file in found.files}
    clips, n_missing = [], 0
    for folder, table in tables.items():

        def below(name: str, folder: str = folder) -> str:
            return pathlib.PurePosixPath(folder, name).as_posix() if name else ""

        for number, row in enumerate(_rows(table), 1):
            where = f"{table.path}, row {number}"
            name = below(row.pop("file_name", ""))
            if not name:
                raise UserError(f"{where}: file_name is empty")
            if name not in files:
                n_missing += 1
                continue
            cells = {**_cells(row, name), "clip_id": name, "media": files[name]}
            cells["face"] = files.get(below(cells["face"]), "")
            clip = clip_of(cells, where, found.root, ("clip_id", "media"))
            if clip.face or has_suffix(clip.media, VIDEO_SUFFIXES):
                clips.append(clip)
    if n_missing:
        print(f"rows of the metadata without a file: {n_missing:,}")
    return clips


def _rows(table: MediaFile) -> list[dict[str, str]]:
    """Returns the rows of the metadata: cells as text."""
    try:
        text = read_text(table, _MAX_METADATA_BYTES)
        if has_suffix(table.name, (".csv",)):
            reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
            # Spreadsheets leave rows without a cell.
            rows: Sequence[Any] = [row for row in reader if any(row.values())]
        else:
            lines = text.split("\n")
            rows = [parse_json(line, table.path) for line in lines if line.strip()]
    except (OSError, csv.Error) as error:
        raise UserError(f"{table.path} is not readable: {error}") from None
    for row in rows:
        if not isinstance(row, dict) or "file_name" not in row or None in row:
            raise UserError(
                f"{table.path} needs the column file_name, and rows as long as its "
                "header"
            )
    return [_as_text(row) for row in rows]


def _as_text(row: dict[str, Any]) -> dict[str, str]:
    return {
        str(name): value if isinstance(value, str) else json.dumps(value)
        for name, value in row.items()
        if value is not None
    }


def _cells(row: dict[str, str], name: str, speaker: str = "") -> dict[str, str]:
    """Returns the columns of a manifest for a row of somebody else's.

    Args:
      row: name -> cell.
      name: name of the file.
      speaker: if the row names none; '' is the file's folder.
    """
    parts = [part for part in name.split("/") if part]
    split = split_of(row.get("split", "") or parts[0])
    named = [row[column] for column in _SPEAKERS if row.get(column)]
    folders = parts[1:-1] if split and not row.get("split") else parts[:-1]
    default = speaker or (folders[0] if folders else pathlib.PurePath(name).stem)
    face = row.get("face") or row.get("image_file_name") or row.get("image") or ""
    rest = {n: cell for n, cell in row.items() if n not in _SPEAKERS}
    return {
        **rest,
        "speaker_id": named[0] if named else default,
        "split": split,
        "face": face,
    }


def split_of(name: str) -> str:
    """Returns 'train', 'val' or 'test' for a name that begins with one; else ''."""
    word = name.lower().replace("_", "-").split("-")[0].split(".")[0]
    word = _SPLITS.get(word, word)
    return word if word in SPLITS else ""


def read_webdataset(found: Found) -> list[Clip]:
    """Returns the samples of a WebDataset that have a voice and a face.

    Args:
      found: the tars of the folder, with the JSON in them.

    Raises:
      UserError: the JSON of a sample is damaged.
    """
    samples: dict[tuple[str, str], _Sample] = {}
    for file in found.files:
        if not file.archive:
            continue
        # A key ends at the first point of the file's name, as in WebDataset.
        path = pathlib.PurePosixPath(file.name)
        key = path.parent.joinpath(path.name.split(".")[0]).as_posix()
        shard = pathlib.PurePosixPath(file.archive).with_suffix("").as_posix()
        name = key if key.startswith(shard) else f"{shard}/{key}"
        samples.setdefault((file.archive, key), _Sample(printable_name(name))).add(file)
    return [
        _sample_clip(sample, archive)
        for (archive, _), sample in samples.items()
        if sample.voices()
    ]


def _sample_clip(sample: _Sample, archive: str) -> Clip:
    row: dict[str, str] = {}
    if sample.json_file:
        text = read_text(sample.json_file, _MAX_JSON_BYTES)
        value = parse_json(text, sample.json_file.name)
        if not isinstance(value, dict):
            raise UserError(f"{sample.json_file.name} is not a JSON object")
        row = _as_text(value)
    key = pathlib.PurePosixPath(sample.name).name
    cells = _cells(row, f"{pathlib.PurePosixPath(archive).stem}/{key}", speaker=key)
    file, face = sample.voices()[0]
    files = {"clip_id": sample.name, "media": file.path, "face": face}
    known = {n: c for n, c in cells.items() if n in KNOWN_COLUMNS or len(c) <= 200}
    return clip_of({**known, **files}, sample.name, "", ("clip_id",))
