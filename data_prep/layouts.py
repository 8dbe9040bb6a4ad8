"""Clips from the folders and lists in which data sets come.

    manifest    a CSV of ours: data_prep/manifest.py
    avspeech    AVSpeech's lists, and a folder: as data_prep.download_avspeech writes
                it, or of files named <id>_<start>-<end> (segments) or <id> (videos)
    voxceleb    VoxCeleb 1 or 2, unpacked anywhere below a folder:
                idNNNNN/video/utterance.mp4, or .wav or .m4a with face frames in
                .../idNNNNN/video/ or, by vox1_meta.csv's names, .../Name/video/
    folder      videos; a sub-folder is a speaker, a file not in one is its own

All give the same clips as a manifest would. Splits: the lists of the data set's makers
where there are some (AVSpeech's test list, VoxCeleb's column Set), else by the hash of
the speaker or video.
"""

import csv
import dataclasses
import os
from typing import Dict, Iterable, Iterator, List, Optional, Tuple

from data_prep import avspeech, manifest
from data_prep.avspeech import Segment
from data_prep.manifest import Clip
from data_prep.options import JobOptions, LayoutOptions

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".mpg", ".mpeg", ".m4v")
SOUND_SUFFIXES = (".wav", ".m4a", ".flac", ".mp3", ".ogg", ".opus", ".aac")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
_GENDERS = {"m": "male", "f": "female"}


def read_clips(job: JobOptions, layout: LayoutOptions) -> List[Clip]:
    """Reads the clips that the flags name, for voice records.

    Raises:
      FileNotFoundError, ValueError: one line on what is wrong with the flags, the lists
        or the folder.
    """
    _check(job, layout)
    if layout.layout == "manifest":
        return manifest.read_manifest(job.manifest, job.media_dir)
    if layout.layout == "avspeech":
        clips = _avspeech(job.manifest, layout.test_list, job.media_dir)
    elif layout.layout == "voxceleb":
        clips = _voxceleb(job.media_dir, layout.metadata)
    else:
        clips = _folder(job.media_dir)
    if not clips:
        raise ValueError(
            f"--layout={layout.layout} finds no clip in {job.media_dir}; its folders "
            "are described in data_prep/layouts.py"
        )
    return manifest.assign_splits(clips, f"--layout={layout.layout}")


def walk(folder: str) -> Iterator[str]:
    """Paths of all files below a folder, in order; follows links, never in a loop."""
    seen = set()

    def visit(path: str) -> Iterator[str]:
        real = os.path.realpath(path)
        if real in seen:
            return
        seen.add(real)
        try:
            names = sorted(os.listdir(path))
        except OSError:
            return
        for name in names:
            entry = os.path.join(path, name)
            if os.path.isdir(entry):  # no error for a link to itself
                yield from visit(entry)
            elif os.path.isfile(entry):
                yield entry

    return visit(os.path.abspath(folder))


def _check(job: JobOptions, layout: LayoutOptions) -> None:
    name = layout.layout
    for flag, is_needed in {
        "manifest": name in ("manifest", "avspeech"),
        "media_dir": name != "manifest",
    }.items():
        if is_needed and not getattr(job, flag):
            raise ValueError(f"--layout={name} needs --{flag}")
    for flag, value, is_used in (
        ("manifest", job.manifest, name in ("manifest", "avspeech")),
        ("test_list", layout.test_list, name == "avspeech"),
        ("metadata", layout.metadata, name == "voxceleb"),
    ):
        if value and not is_used:
            raise ValueError(f"--{flag} means nothing to --layout={name}")
    if job.media_dir and not os.path.isdir(job.media_dir):
        raise FileNotFoundError(f"--media_dir={job.media_dir} is not a folder")


def _avspeech(listed: str, test_list: str, media_dir: str) -> List[Clip]:
    """Rows whose files are there; a video of the test list is in the test split."""
    segments = avspeech.read_list(listed)
    tested = avspeech.read_list(test_list) if test_list else []
    test_videos = {segment.youtube_id for segment in tested}
    names = {segment.name for segment in segments}
    segments += [segment for segment in tested if segment.name not in names]
    suffixes = (*VIDEO_SUFFIXES, *SOUND_SUFFIXES)
    files = _by_stem(path for path in walk(media_dir) if _ends(path, suffixes))
    clips = [_avspeech_clip(segment, files) for segment in segments]
    found = [clip for clip in clips if clip]
    print(f"{len(found)} of {len(segments)} listed segments are in {media_dir}")
    if not test_list:
        return found
    return [
        dataclasses.replace(clip, split=_avspeech_split(clip.speaker_id, test_videos))
        for clip in found
    ]


def _avspeech_split(video: str, test_videos) -> str:
    if video in test_videos:
        return "test"
    share = manifest.VAL_FRACTION
    return manifest.hash_split(video, val_fraction=share, test_fraction=0.0)


def _avspeech_clip(segment: Segment, files: Dict[str, str]) -> Optional[Clip]:
    times = {}
    path = files.get(segment.name)
    if path is None:
        path = files.get(segment.youtube_id)
        times = {"start_secs": segment.start_secs, "end_secs": segment.end_secs}
    if path is None:
        return None
    return Clip(
        clip_id=segment.name,
        speaker_id=segment.youtube_id,
        media=path,
        face_x=segment.face_x,
        face_y=segment.face_y,
        **times,
    )


def _voxceleb(media_dir: str, metadata: str) -> List[Clip]:
    people = read_voxceleb_metadata(metadata) if metadata else {}
    names = {info["name"]: person for person, info in people.items() if info["name"]}
    media: Dict[Tuple[str, str, str], str] = {}
    frames: Dict[Tuple[str, ...], str] = {}
    for path in walk(media_dir):
        parts = os.path.relpath(path, os.path.abspath(media_dir)).split(os.sep)
        stem, suffix = os.path.splitext(parts[-1])
        where = _after_person([*parts[:-1], stem], names)
        if not where:
            continue
        if suffix.lower() in IMAGE_SUFFIXES:
            for n in (2, 3):  # of the video; of the utterance
                frames.setdefault(where[:n], path)
        elif suffix.lower() in VIDEO_SUFFIXES and len(where) == 3:
            media[where] = path
        elif suffix.lower() in SOUND_SUFFIXES and len(where) == 3:
            media.setdefault(where, path)
    return [
        _voxceleb_clip(where, path, frames, people)
        for where, path in sorted(media.items())
    ]


def _after_person(parts: List[str], names: Dict[str, str]) -> Tuple[str, ...]:
    """(idNNNNN, video, ...) of a path; () without a person in it.

    Between a name of VGGFace and the video there may be a folder of the frame rate.
    """
    for index, part in enumerate(parts):
        person = part if _is_person(part) else names.get(part)
        if person:
            behind = [p for p in parts[index + 1 :] if p != "1.6"]
            return (person, *behind)
    return ()


def _is_person(part: str) -> bool:
    return len(part) == 7 and part.startswith("id") and part[2:].isdigit()


def _voxceleb_clip(where, path: str, frames, people) -> Clip:
    person, video, utterance = where
    info = people.get(person, {})
    labels = {name: info[name] for name in ("gender", "nationality") if info.get(name)}
    has_picture = _ends(path, VIDEO_SUFFIXES)
    face = "" if has_picture else frames.get(where) or frames.get(where[:2], "")
    return Clip(
        clip_id=f"{person}/{video}/{utterance}",
        speaker_id=person,
        media=path,
        face=face,
        split="test" if info.get("set") == "test" else "",
        labels=tuple(sorted(labels.items())),
    )


def read_voxceleb_metadata(path: str) -> Dict[str, Dict[str, str]]:
    """vox1_meta.csv (tabs) or vox2_meta.csv (commas): person -> what it says."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            text = file.read()
    except FileNotFoundError:
        raise FileNotFoundError(f"--metadata={path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--metadata={path} is not readable: {error}") from None
    delimiter = "\t" if "\t" in text.split("\n", 1)[0] else ","
    rows = [
        [cell.strip() for cell in row]
        for row in csv.reader(text.splitlines(), delimiter=delimiter)
    ]
    header = [cell.lower() for cell in rows[0]] if rows else []
    columns = {
        "id": _column(header, "voxceleb"),
        "name": _column(header, "vggface1"),
        "gender": _column(header, "gender"),
        "nationality": _column(header, "nationality"),
        "set": _column(header, "set"),
    }
    if columns["id"] is None:
        raise ValueError(
            f"--metadata={path} has no column 'VoxCeleb1 ID' or 'VoxCeleb2 ID'"
        )
    people = {}
    for row in rows[1:]:
        info = {
            name: row[column] if column is not None and column < len(row) else ""
            for name, column in columns.items()
        }
        info["gender"] = _GENDERS.get(info["gender"].lower(), info["gender"])
        info["set"] = info["set"].lower()
        people[info["id"]] = info
    return people


def _column(header: List[str], start: str) -> Optional[int]:
    return next((i for i, cell in enumerate(header) if cell.startswith(start)), None)


def _folder(media_dir: str) -> List[Clip]:
    clips = []
    for path in walk(media_dir):
        if not _ends(path, VIDEO_SUFFIXES):
            continue
        name = os.path.relpath(path, os.path.abspath(media_dir))
        name = _printable(name.replace(os.sep, "/"))
        speaker = name.split("/")[0] if "/" in name else os.path.splitext(name)[0]
        clips.append(Clip(clip_id=name, speaker_id=speaker, media=path))
    return clips


def _printable(name: str) -> str:
    """A file name that is no text (bytes of another encoding) as text."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _by_stem(paths: Iterable[str]) -> Dict[str, str]:
    return {os.path.splitext(os.path.basename(path))[0]: path for path in paths}


def _ends(path: str, suffixes: Tuple[str, ...]) -> bool:
    return path.lower().endswith(suffixes)
