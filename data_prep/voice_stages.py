"""The stages of a voice record: sound, picture, face, feature, record (Sec. 3)."""

import functools
import math
from typing import List

import numpy as np

from data_prep import beam_worker, media, pipeline
from data_prep.manifest import Clip
from data_prep.pipeline import DATA_ERRORS, Item, Rejected, Stage
from speech2face import faces, files, image_files

SAMPLE_RATE_HZ = 16_000
# Containers round durations: this much less sound than the manifest says is no error.
END_TOLERANCE_SECS = 0.5


class ReadSound(Stage):
    """Reads the segment's sound, at most `max_secs` of it (0: all)."""

    name = "read"

    def __init__(self, max_secs: float):
        self._max_secs = max_secs

    def process(self, item: Item) -> None:
        """Adds `waveform` [n] float32, 16 kHz."""
        clip = item.clip
        check_numbers(clip)
        end_secs = clip.end_secs
        if self._max_secs:
            end_secs = min(end_secs or math.inf, clip.start_secs + self._max_secs)
        waveform = media.read_audio(clip.media, clip.start_secs, end_secs)
        secs = len(waveform) / SAMPLE_RATE_HZ
        if clip.end_secs and secs < end_secs - clip.start_secs - END_TOLERANCE_SECS:
            raise Rejected(
                "beyond_the_end",
                f"{clip.media} ends {secs:.2f} s after {clip.start_secs:g} s; the "
                f"segment should reach to {clip.end_secs:g} s",
            )
        item.values["waveform"] = waveform


class ReadPicture(Stage):
    """Reads the photograph, or the video frame at the segment's start."""

    name = "decode"

    def process(self, item: Item) -> None:
        """Adds `image` [h, w, 3] uint8."""
        clip = item.clip
        if clip.face:
            item.values["image"] = image_files.read_image(clip.face)
        elif not media.has_video(clip.media):
            raise Rejected(
                "no_picture", f"{clip.media} has no video track and no face is given"
            )
        else:
            item.values["image"] = media.read_frame(clip.media, clip.start_secs)


class FindFace(Stage):
    """Finds the speaker's face; in a video without one, looks in its middle too."""

    name = "detect"

    def process_all(self, items: List[Item]) -> None:
        """Replaces `image` by `crop` [224, 224, 3] uint8."""
        places = [(item.clip.face_x, item.clip.face_y) for item in items]
        images = [item.values.pop("image") for item in items]
        for item, face in zip(items, faces.find_faces(images, places)):
            beam_worker.note(item.clip.clip_id)
            try:
                item.values["crop"] = (face or _look_later(item)).crop
            except DATA_ERRORS as error:
                pipeline.reject(item, self.name, error)


def _look_later(item: Item) -> faces.Face:
    """The face in the middle of the segment."""
    clip, face = item.clip, None
    if not clip.face:
        secs = len(item.values["waveform"]) / SAMPLE_RATE_HZ
        image = media.read_frame(clip.media, clip.start_secs + secs / 2)
        face = faces.find_face(image, clip.face_x, clip.face_y)
    if face is None:
        raise Rejected("no_face", f"no face found in {clip.face or clip.media}")
    return face


class Recognise(Stage):
    """Turns the crops of a chunk into raw face features, in one batch."""

    name = "recognise"

    def __init__(self, recognizer: str, weights: str):
        self._name = recognizer
        self._weights = weights
        self._recognizer = None

    def __getstate__(self):
        return {**self.__dict__, "_recognizer": None}

    def setup(self) -> None:
        """Loads the recognizer."""
        self._recognizer = load_recognizer(self._name, self._weights)

    def process_all(self, items: List[Item]) -> None:
        """Adds `feature` [d] float32."""
        if not items:
            return
        crops = np.stack([item.values["crop"] for item in items])
        for item, feature in zip(items, self._recognizer.features(crops)):
            item.values["feature"] = np.asarray(feature, np.float32)
            if not np.isfinite(feature).all():
                error = Rejected("bad_feature", "the face feature is not finite")
                pipeline.reject(item, self.name, error)


class EncodeVoice(Stage):
    """Makes the voice record."""

    name = "encode"

    def __init__(self, audio_encoding: str):
        self._audio_encoding = audio_encoding

    def process(self, item: Item) -> None:
        """Adds `record`, serialized, and drops the rest."""
        from speech2face import records

        values = item.values
        example = records.VoiceExample(
            clip_id=item.clip.clip_id,
            speaker_id=item.clip.speaker_id,
            waveform=values["waveform"],
            face_feature=values["feature"],
            face_jpeg=files.encode_jpeg(values["crop"]),
            labels=dict(item.clip.labels),
        )
        record = records.encode_voice_example(example, self._audio_encoding)
        item.values = {"record": record}


def voice_stages(
    recognizer: str, weights: str, audio_encoding: str, max_audio_secs: float
) -> List[Stage]:
    """The stages from a clip to a voice record, in order."""
    return [
        ReadSound(max_audio_secs),
        ReadPicture(),
        FindFace(),
        Recognise(recognizer, weights),
        EncodeVoice(audio_encoding),
    ]


def check_numbers(clip: Clip) -> None:
    """Rejects times and positions that mean nothing."""
    times = [t for t in (clip.start_secs, clip.end_secs) if t is not None]
    if not all(math.isfinite(t) and t >= 0 for t in times):
        raise Rejected("bad_times", f"segment {times} s is not from 0 on and finite")
    if clip.end_secs is not None and clip.end_secs <= clip.start_secs:
        raise Rejected("bad_times", f"segment {times} s ends before it starts")
    for value in (clip.face_x, clip.face_y):
        if value is not None and not 0 <= value <= 1:
            raise Rejected("bad_position", f"face position {value} is not in [0, 1]")


@functools.lru_cache(maxsize=1)
def load_recognizer(name: str, weights: str):
    """The recognizer, loaded once in each process."""
    from speech2face import recognizers

    return recognizers.load_recognizer(name, weights)
