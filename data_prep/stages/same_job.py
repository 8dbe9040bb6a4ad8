"""Compares two jobs: fingerprints of their clips; differences in words.

A folder is refused to another job than the one that began it. See
docs/decisions/resumable-data-jobs.md.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

from data_prep.clips.manifest import Clip
from speech2face.errors import UserError
from speech2face.json_codec import parse_json


def check_same_job(old: dict[str, Any], new: dict[str, Any], where: str) -> None:
    """Checks that a folder belongs to the job that wants to use it.

    Args:
      old: the job that made the folder, as JSON.
      new: the job that wants to use it, as JSON.
      where: the folder, for the message.

    Raises:
      UserError: the jobs differ; the message names the differences.
    """
    if old.get("kind") != new.get("kind"):  # all else differs then, too
        raise UserError(
            f"{where} holds {old.get('kind')} records, not {new.get('kind')} records; "
            "choose another --output_dir",
            reason="another_job",
        )
    old, new = ({**_ADDED_LATER, **_flat(job)} for job in (old, new))
    names = sorted(n for n in {*old, *new} if old.get(n) != new.get(n))
    # Only the parts of a list of clips say in which way it is another one.
    if any(name.startswith("clips.") for name in names):
        names = [name for name in names if name != "manifest_sha256"]
    if names:
        changes = ", ".join(_in_words(n, old.get(n), new.get(n)) for n in names)
        raise UserError(
            f"{where} holds the data of another job ({changes}); choose another "
            "--output_dir or delete it",
            reason="another_job",
        )


# Of jobs described before there was such an option, as those jobs ran.
_ADDED_LATER = {"recognizer_precision": "float32"}
# What a checksum that differs means.
_WORDS = {
    "manifest_sha256": "other clips",
    "clips.ids": "other clip_ids",
    "clips.media": "other paths of media files inside their common folder",
    "clips.segments": "other start_secs or end_secs of clips",
    "clips.faces": "other positions of faces",
    "clips.speakers": "other speakers or splits",
    "clips.labels": "other labels",
    "recognizer_weights_sha256": "other weights of the recognizer",
}


def _in_words(name: str, old: Any, new: Any) -> str:
    return _WORDS.get(name) or f"{name} {old!r} -> {new!r}"


def _flat(job: dict[str, Any]) -> dict[str, Any]:
    parts = job.get("clips")
    if not isinstance(parts, dict):
        return job
    return {**job, **{f"clips.{n}": value for n, value in parts.items()}, "clips": None}


def identity_of(clips: Sequence[Clip]) -> dict[str, Any]:
    """Describes which clips a job is about, whatever their order.

    Paths count from the deepest folder that has all media: the same files under
    another mount point are the same clips.

    Args:
      clips: all of the job.

    Returns:
      `manifest_sha256` over all fields of all clips; in `clips`, to say what differs,
      their `number` and a sha256 of each kind of field.
    """
    clips = relative(clips)
    kinds = {
        "ids": _digest(c.clip_id for c in clips),
        "media": _digest((c.media, c.face, c.normalized_face) for c in clips),
        "segments": _digest((c.start_secs, c.end_secs) for c in clips),
        "faces": _digest((c.face_x, c.face_y, c.normalized_landmarks) for c in clips),
        "speakers": _digest((c.speaker_id, c.split) for c in clips),
        "labels": _digest(c.labels for c in clips),
    }
    return {
        "manifest_sha256": _digest(map(_fields, clips)),
        "clips": {"number": len(clips), **kinds},
    }


def _fields(clip: Clip) -> dict[str, Any]:
    fields = dict(vars(clip))
    if not fields["may_be_cut"]:  # as jobs were described before there was this field
        del fields["may_be_cut"]
    return fields


def _digest(values: Iterable[Any]) -> str:
    digest = hashlib.sha256()
    for value in values:
        digest.update(json.dumps(value).encode())
    return digest.hexdigest()


def relative(clips: Sequence[Clip]) -> list[Clip]:
    """Returns the clips in the order of their ids, with paths that a move leaves."""
    paths = {p for c in clips for p in (c.media, c.face, c.normalized_face) if p}
    ordered = sorted(clips, key=lambda clip: clip.clip_id)
    # A bucket's "//" is one "/" to these functions, in all paths alike.
    try:
        root = os.path.commonpath([os.path.dirname(p) for p in paths])  # noqa: PTH120
    except ValueError:  # no paths, or on several drives
        return ordered

    # POSIX's separator on every system. Many clips share a file.
    moved = {p: pathlib.Path(os.path.relpath(p, root)).as_posix() for p in paths}
    moved[""] = ""
    return [
        dataclasses.replace(
            clip,
            media=moved[clip.media],
            face=moved[clip.face],
            normalized_face=moved[clip.normalized_face],
        )
        for clip in ordered
    ]


def as_json(job: dict[str, Any]) -> dict[str, Any]:
    """Returns a job as it is after a round trip through JSON: tuples become lists."""
    return parse_json(json.dumps(job), "job")
