"""Finds the file of a row of AVSpeech's list, in the folders that people have.

The names of this project's downloader, and those of others:

    <id>_<start>-<end>, <id>_<start>_<end>   the segment; times as in the list, in whole
                                             seconds or in milliseconds
    <id>                                     the whole video; or the segment itself, if
                                             it lasts as long as its row
    ..._video, ..._audio, .f137, .f140       picture and sound apart

A sound beside a video of the same name is not needed.
"""

import collections
import dataclasses
import pathlib
import re
from collections.abc import Sequence

from data_prep.clips.avspeech import Segment
from data_prep.clips.manifest import Clip
from speech2face.media_files import SOUND_SUFFIXES, VIDEO_SUFFIXES, MediaFile

_TIMES = re.compile(
    r"(?P<id>[A-Za-z0-9_-]+?)[_-](?P<start>\d+(?:\.\d+)?)[_-](?P<end>\d+(?:\.\d+)?)"
)
_ROLE = re.compile(r"(?:[_.-](?:video|audio)|\.f\d+(?:-\w+)?)$", re.IGNORECASE)
_TOLERANCE_SECS = 0.051  # names have one digit after the point, or more


@dataclasses.dataclass
class _Files:
    """The files of one name."""

    video: str = ""
    sound: str = ""
    is_split: bool = False  # picture and sound apart


@dataclasses.dataclass(frozen=True)
class _Timed:
    """A name with times in it."""

    start: str
    end: str
    files: _Files

    def is_of(self, segment: Segment) -> bool:
        """Returns whether the times are those of a row, in one of three units."""
        start, end = float(self.start), float(self.end)
        ours = (segment.start_secs, segment.end_secs)
        if all(abs(a - b) <= _TOLERANCE_SECS for a, b in zip((start, end), ours)):
            return True
        if "." in self.start + self.end:
            return False
        is_whole = all(a in (int(b), round(b)) for a, b in zip((start, end), ours))
        in_ms = zip((start, end), ours)
        return is_whole or all(abs(a - 1000 * b) <= 1.0 for a, b in in_ms)


class AvspeechFiles:
    """The media of a folder, by the rows that they may hold."""

    def __init__(self, files: Sequence[MediaFile]):
        """Sorts the files by name."""
        by_name: dict[str, _Files] = {}
        for file in files:
            _add(by_name, file)
        self._by_name = by_name
        self._timed: dict[str, list[_Timed]] = collections.defaultdict(list)
        for name, found in by_name.items():
            match = _TIMES.fullmatch(name)  # an id may have "_" and digits itself
            if match:
                timed = _Timed(match["start"], match["end"], found)
                self._timed[match["id"]].append(timed)

    def clip(self, segment: Segment) -> Clip | None:
        """Returns the clip of a row, or None if no file can hold it."""
        cut = self._by_name.get(segment.name) or self._cut(segment)
        found = cut or self._by_name.get(segment.youtube_id)
        if not found or not (found.video or found.sound):
            return None
        is_pair = bool(found.is_split and found.video and found.sound)
        return Clip(
            clip_id=segment.name,
            speaker_id=segment.youtube_id,
            media=found.sound if is_pair else found.video or found.sound,
            face=found.video if is_pair else "",
            start_secs=0.0 if cut else segment.start_secs,
            end_secs=None if cut else segment.end_secs,
            face_x=segment.face_x,
            face_y=segment.face_y,
            may_be_cut=not cut,
        )

    def _cut(self, segment: Segment) -> _Files | None:
        timed = self._timed.get(segment.youtube_id, ())
        return next((each.files for each in timed if each.is_of(segment)), None)


def _add(by_name: dict[str, _Files], file: MediaFile) -> None:
    stem = pathlib.PurePosixPath(file.name).stem
    name = _ROLE.sub("", stem)
    found = by_name.setdefault(name, _Files())
    found.is_split |= name != stem
    if file.is_a(VIDEO_SUFFIXES):
        found.video = found.video or file.path
    elif file.is_a(SOUND_SUFFIXES):
        found.sound = found.sound or file.path
