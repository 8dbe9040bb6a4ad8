"""The stages of a voice record: clip -> sound, face, face feature, record (Sec. 3)."""

import dataclasses
import functools
import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from data_prep.clips import media
from data_prep.clips.manifest import Clip
from data_prep.options import RecognizerChoice
from data_prep.stages import beam_worker
from data_prep.stages.stage import DATA_ERRORS, Item, Stage, reject
from speech2face.errors import UserError
from speech2face.faces import detection
from speech2face.images import encode_jpeg, read_image
from speech2face.media_files import VIDEO_SUFFIXES, has_suffix
from speech2face.paper import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from speech2face.recognizers.base import Recognizer

# The sound may end this much before the manifest says: containers round durations.
END_TOLERANCE_SECS = 0.5
# A file that is either the whole video or the segment: a whole video reaches to the end
# of the segment, and one that ends this much before it is some other cut.
_WHOLE_TOLERANCE_SECS = 0.25


class ReadSound(Stage):
    """Reads the segment's sound, at most `max_secs` of it (0: all)."""

    name = "read"

    def __init__(self, max_secs: float, channel: int = -1):
        self._max_secs = max_secs
        self._channel = None if channel < 0 else channel

    def process(self, item: Item) -> None:
        """Adds `waveform` [n] float32, 16 kHz."""
        check_numbers(item.clip)
        clip = item.clip = _located(item.clip)
        end_secs = clip.end_secs
        if self._max_secs:
            end_secs = min(end_secs or math.inf, clip.start_secs + self._max_secs)
        waveform = media.read_audio(
            clip.media, clip.start_secs, end_secs, self._channel
        )
        if clip.end_secs and end_secs:
            _check_length(clip, len(waveform) / SAMPLE_RATE_HZ, end_secs)
        item.values["waveform"] = waveform


def _located(clip: Clip) -> Clip:
    """Returns the clip with its place in a file that is the segment itself."""
    if not clip.may_be_cut or clip.end_secs is None:
        return clip
    if not media.is_of_length(clip.media, clip.end_secs - clip.start_secs):
        return clip
    return dataclasses.replace(clip, start_secs=0.0, end_secs=None)


def _check_length(clip: Clip, secs: float, end_secs: float) -> None:
    tolerance = _WHOLE_TOLERANCE_SECS if clip.may_be_cut else END_TOLERANCE_SECS
    if secs < end_secs - clip.start_secs - tolerance:
        raise UserError(
            f"{clip.media} ends {secs:.2f} s after {clip.start_secs:g} s; the segment "
            f"should reach to {clip.end_secs:g} s",
            reason="beyond_the_end",
        )


class ReadPicture(Stage):
    """Reads the photograph, or the video frame at the segment's start."""

    name = "decode"

    def process(self, item: Item) -> None:
        """Adds `image` [h, w, 3] uint8."""
        clip, video = item.clip, _video_of(item.clip)
        if not video:
            item.values["image"] = read_image(clip.face)
        elif not media.has_video(video):
            raise UserError(
                f"{video} has no video track and no face is given",
                reason="no_picture",
            )
        else:
            # Not in the paper: docs/decisions/representative-frame.md.
            item.values["image"] = media.read_frame(video, clip.start_secs)


def _video_of(clip: Clip) -> str:
    """Returns the video that shows the speaker; '' if a photograph does."""
    if not clip.face:
        return clip.media
    return clip.face if has_suffix(clip.face, VIDEO_SUFFIXES) else ""


class FindFace(Stage):
    """Finds the speaker's face: in the picture, else in the middle of the segment."""

    name = "detect"

    def process_all(self, items: list[Item]) -> None:
        """Replaces `image` by `crop` [224, 224, 3] uint8."""
        places = [(item.clip.face_x, item.clip.face_y) for item in items]
        images = [item.values.pop("image") for item in items]
        # One batch for the detector; a second look only where it found nothing.
        for item, face in zip(items, detection.find_faces(images, places)):
            beam_worker.set_current_clip(item.clip.clip_id)
            try:
                item.values["crop"] = (face or _face_in_the_middle(item)).crop
            except DATA_ERRORS as error:
                reject(item, self.name, error)


def _face_in_the_middle(item: Item) -> detection.Face:
    """Finds the face in the frame at the middle of the segment."""
    clip, face = item.clip, None
    if video := _video_of(clip):
        secs = len(item.values["waveform"]) / SAMPLE_RATE_HZ
        image = media.read_frame(video, clip.start_secs + secs / 2)
        face = detection.find_face(image, clip.face_x, clip.face_y)
    if face is None:
        raise UserError(f"no face found in {clip.face or clip.media}", reason="no_face")
    return face


class Recognize(Stage):
    """Computes the face features of a chunk's crops, in one batch."""

    name = "recognise"  # as reports spell it

    def __init__(self, chosen: RecognizerChoice):
        self._chosen = chosen
        self._recognizer: Any = None

    def __getstate__(self) -> dict[str, Any]:
        # Beam pickles stages; a loaded network stays behind.
        return {**self.__dict__, "_recognizer": None}

    def setup(self) -> None:
        """Loads the recognizer."""
        self._recognizer = load_recognizer(self._chosen)

    def process_all(self, items: list[Item]) -> None:
        """Adds `feature` [d] float32."""
        if not items:
            return
        # As cropped: a recognizer subtracts its mean color itself, so that no caller
        # forgets it (docs/decisions/vgg-face-input.md).
        crops = np.stack([item.values["crop"] for item in items])
        for item, feature in zip(items, self._recognizer.features(crops)):
            item.values["feature"] = np.asarray(feature, np.float32)
            if not np.isfinite(feature).all():
                error = UserError(
                    "the face feature is not finite", reason="bad_feature"
                )
                reject(item, self.name, error)


class EncodeVoice(Stage):
    """Serializes the voice record."""

    name = "encode"

    def __init__(self, audio_encoding: Literal["pcm", "flac"]):
        self._audio_encoding = audio_encoding

    def process(self, item: Item) -> None:
        """Adds `record`, serialized, and drops the rest."""
        from speech2face.data import records

        values = item.values
        example = records.VoiceExample(
            clip_id=item.clip.clip_id,
            speaker_id=item.clip.speaker_id,
            waveform=values["waveform"],
            face_feature=values["feature"],
            face_jpeg=encode_jpeg(values["crop"]),
            labels=dict(item.clip.labels),
        )
        record = records.encode_voice_example(example, self._audio_encoding)
        item.values = {"record": record}


def voice_stages(
    recognizer: RecognizerChoice,
    audio_encoding: Literal["pcm", "flac"],
    max_audio_secs: float,
    channel: int = -1,
) -> list[Stage]:
    """Returns the stages from a clip to a voice record, in order.

    Args:
      recognizer: makes the face features.
      audio_encoding: encoding of the waveform in the record.
      max_audio_secs: sound to keep of each clip; 0 keeps all.
      channel: which channel of sound that has several, from 0; -1 is the mean of all,
        or the loudest.
    """
    return [
        ReadSound(max_audio_secs, channel),
        ReadPicture(),
        FindFace(),
        Recognize(recognizer),
        EncodeVoice(audio_encoding),
    ]


def check_numbers(clip: Clip) -> None:
    """Checks the times and the position of a manifest's row.

    Raises:
      UserError: with the reason 'bad_times' or 'bad_position'.
    """
    times = [t for t in (clip.start_secs, clip.end_secs) if t is not None]
    if not all(math.isfinite(t) and t >= 0 for t in times):
        raise UserError(
            f"segment {times} s: expected finite times of 0 or more", reason="bad_times"
        )
    if clip.end_secs is not None and clip.end_secs <= clip.start_secs:
        raise UserError(f"segment {times} s ends before it starts", reason="bad_times")
    for value in (clip.face_x, clip.face_y):
        if value is not None and not 0 <= value <= 1:  # also catches NaN
            raise UserError(
                f"face position {value} is not in [0, 1]", reason="bad_position"
            )


@functools.lru_cache(maxsize=1)
def load_recognizer(chosen: RecognizerChoice) -> "Recognizer":
    """Loads the recognizer, once in each process."""
    from speech2face.recognizers import loading

    return loading.load_recognizer(chosen.name, chosen.weights, chosen.precision)
