"""Reads HQ-VoxCeleb (SF2F): aligned, masked faces of VoxCeleb's people.

    vox1/masked_faces/<name>/*.jpg                       aligned, on a plain background
    vox1/origin_faces/<name>/*.jpg                       with background, if any
    vox1_meta.csv            full_vox2_meta.csv          names <-> ids
    split.json               {"vox1": {"train": [<name>, ...], "val": ..., "test": ...}}

The lists, and VoxCeleb's own sound, lie anywhere below the same folder. Without
split.json, the splits follow the rule of SF2F's script: of ten people in the order of
the metadata, the ninth is in the test split and the tenth in the validation split.
"""

import dataclasses
import pathlib

from data_prep.clips import voxceleb
from data_prep.clips.manifest import SPLITS, Clip
from data_prep.clips.voxceleb import People
from speech2face.errors import UserError
from speech2face.json_codec import read_json
from speech2face.media_files import IMAGE_SUFFIXES, Found

# Of two lists of the same people the last counts: only the full one has names.
_METADATA = ("vox1_meta.csv", "vox2_meta.csv", "full_vox2_meta.csv")
_SPLITS = "split.json"
LISTS = (*_METADATA, _SPLITS)
_MASKED, _ORIGINAL = "masked_faces", "origin_faces"


def metadata_files(found: Found) -> list[str]:
    """Returns the metadata of both sets, wherever in the folder they lie.

    Args:
      found: the media of the folder, and `LISTS`.
    """
    return [path for name in _METADATA for path in _lists(found, name)]


def _lists(found: Found, name: str) -> list[str]:
    """Returns the paths of the files of a name."""
    files = [file for file in found.files if not file.archive]
    return [f.path for f in files if pathlib.PurePosixPath(f.name).name == name]


def read_clips(found: Found, people: People) -> list[Clip]:
    """Returns a clip for each utterance of a person with a face.

    Args:
      found: the media of the folder, and `LISTS`.
      people: the people in the metadata of both sets.
    """
    splits = read_splits(found, people)
    clips = []
    # Recognizers learn from photographs: masked faces only where there are no others.
    names = {file.name for file in found.files}
    is_kept = {n: _original(n) == n or _original(n) not in names for n in names}
    files = [file for file in found.files if is_kept[file.name]]
    for clip in voxceleb.read_clips(dataclasses.replace(found, files=files), people):
        if clip.face:
            split = splits.get(clip.speaker_id, "")
            clips.append(dataclasses.replace(clip, split=split))
    return clips


def read_faces(found: Found, people: People) -> list[Clip]:
    """Returns a clip for each masked face, which is the normalized face, too.

    Args:
      found: the media of the folder, and `LISTS`.
      people: the people in the metadata of both sets.
    """
    ids, splits = voxceleb.ids_of(people), read_splits(found, people)
    images = {file.name: file for file in found.files if file.is_a(IMAGE_SUFFIXES)}
    clips = []
    for name, file in images.items():
        parts = pathlib.PurePosixPath(name).parts
        if _MASKED not in parts[:-1]:
            continue
        person, _ = voxceleb.person_of(parts[parts.index(_MASKED) + 1 : -1], ids)
        original = images.get(_original(name), file)
        if person:
            clips.append(
                Clip(
                    clip_id=name,
                    speaker_id=person,
                    face=original.path,
                    normalized_face=file.path,
                    split=splits.get(person, ""),
                )
            )
    return clips


def _original(name: str) -> str:
    """Returns the name of the photograph of which a masked face was made."""
    return name.replace(f"{_MASKED}/", f"{_ORIGINAL}/")


def read_splits(found: Found, people: People) -> dict[str, str]:
    """Returns idNNNNN -> split: of split.json, or by SF2F's rule.

    Args:
      found: the media of the folder, and `LISTS`.
      people: the people in the metadata of both sets.

    Raises:
      UserError: split.json is damaged, or there are several.
    """
    paths = _lists(found, _SPLITS)
    if len(paths) > 1:
        raise UserError(f"{found.root} has several split.json: {', '.join(paths)}")
    if not paths:
        rule = ("train",) * 8 + ("test", "val")
        by_set: dict[str, int] = {}
        splits = {}
        for person in people:
            which = "vox1" if person > "id10000" else "vox2"  # vox2 ends at id09272
            index = by_set[which] = by_set.get(which, -1) + 1
            splits[person] = rule[index % 10]
        return splits
    (path,) = paths
    listed = read_json(path, dict[str, dict[str, list[str]]])
    ids = voxceleb.ids_of(people)
    unknown = {split for each in listed.values() for split in each} - set(SPLITS)
    if unknown:
        raise UserError(f"{path} has the split {sorted(unknown)[0]!r:.40}")
    return {
        ids.get(name, name): split
        for each in listed.values()
        for split, names in each.items()
        for name in names
    }
