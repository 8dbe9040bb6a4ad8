"""Handlers of the web page's events: sound in, HTML out.

Each method is the handler of one Gradio event. It returns the new values of the parts
of the page that `page` names as its outputs, in that order; None empties an input, and
`gr.skip()` leaves a part as it is.
"""

import io
import pathlib
from collections.abc import Iterator
from typing import Any

import gradio as gr
import numpy as np
import soundfile

from speech2face.errors import UserError
from speech2face.inference.model import Speech2Face
from speech2face.paper import SAMPLE_RATE_HZ
from speech2face.web import texts, views, voices
from speech2face.web.limits import Limits
from speech2face.web.uploads import Uploads
from speech2face.web.voices import Source, Voice, VoiceRecorder

# The recorder of a session before the first block, which tells the sample rate. None
# means that nothing is being recorded.
STARTED = "started"
_NOISE_SECS = 1  # longer noise makes the first face no faster
RecorderState = None | str | VoiceRecorder


class Handlers:
    """The events of the page."""

    def __init__(
        self,
        model: Speech2Face,
        limits: Limits,
        examples: dict[str, pathlib.Path],
        uploads: Uploads,
    ):
        """Keeps what all events need.

        Args:
          model: what makes the faces.
          limits: what a recording may be.
          examples: label -> recording.
          uploads: where visitors' recordings are.
        """
        self._model = model
        self._uploads = uploads
        self.limits = limits
        self.examples = examples

    def warm_up(self) -> None:
        """Plays noise, so that no visitor waits for what is built at first use."""
        noise = np.random.default_rng(0).normal(0, 0.1, _NOISE_SECS * SAMPLE_RATE_HZ)
        file = io.BytesIO()
        soundfile.write(file, noise, SAMPLE_RATE_HZ, format="WAV")
        file.seek(0)
        for _ in self._play(file, 0.0, "noise.wav"):
            pass

    def start_recording(self) -> tuple[RecorderState, str]:
        """The microphone was switched on."""
        return STARTED, views.placeholder(texts.LISTENING)

    def add_block(
        self, key: str | None, recorder: RecorderState, exaggeration: float
    ) -> tuple[RecorderState, Any]:
        """A second of sound arrived from the microphone: shows the face so far.

        Args:
          key: key of the upload with the block; None if there is no sound in it.
          recorder: recorder of this session.
          exaggeration: see `Speech2Face.faces`.
        """
        if key is None:
            return recorder, gr.skip()
        try:
            upload = self._uploads.take(key)
            block, rate_hz = voices.read_block(upload.content, self.limits)
            if recorder is None:  # the block arrived after the end of its recording
                return None, gr.skip()
            if not isinstance(recorder, VoiceRecorder):
                recorder = VoiceRecorder(
                    self._model, "Your recording", rate_hz, self.limits
                )
            recorder.push(block, rate_hz)
        except UserError as error:
            return recorder, views.error(error)
        return recorder, views.face_so_far(recorder, exaggeration)

    def finish_recording(
        self, recorder: RecorderState, exaggeration: float
    ) -> tuple[RecorderState, Voice | None, str]:
        """The microphone was switched off: shows everything about the voice."""
        if not isinstance(recorder, VoiceRecorder):
            no_sound = UserError("Your recording has no sound", reason="no_sound")
            return None, None, views.error(no_sound)
        try:
            voice = recorder.finish()
        except (OSError, UserError) as error:
            return None, None, views.error(error)
        return None, voice, views.one_voice(self._model, voice, exaggeration)

    def play_upload(self, key: str | None, exaggeration: float) -> Iterator[tuple]:
        """A file was chosen: the face settles, then everything is shown."""
        if key is None:
            return
        try:
            upload = self._uploads.take(key)
        except UserError as error:
            yield None, None, views.error(error)
            return
        for voice, shown in self._play(upload.content, exaggeration, upload.name):
            yield None, voice, shown

    def play_example(self, label: str, exaggeration: float) -> Iterator[tuple]:
        """The same for an example."""
        path = self.examples[label]
        yield from self._play(path, exaggeration, path.name)

    def load_upload(self, key: str | None, name: str = "") -> tuple[None, Any, Any]:
        """One of two voices was recorded or uploaded."""
        if key is None:
            return None, gr.skip(), gr.skip()
        try:
            upload = self._uploads.take(key)
        except UserError as error:
            return None, None, views.error(error)
        voice, shown = self._load(upload.content, name or upload.name)
        return None, voice, shown

    def load_example(self, label: str | None) -> tuple[Any, Any]:
        """One of two voices was chosen among the examples."""
        if label is None:
            return gr.skip(), gr.skip()
        path = self.examples[label]
        return self._load(path, path.name)

    def exaggerate(self, voice: Voice | None, exaggeration: float) -> Any:
        """The exaggeration was changed."""
        if voice is None:
            return gr.skip()
        return views.one_voice(self._model, voice, exaggeration)

    def compare(
        self, first: Voice | None, second: Voice | None, exaggeration: float
    ) -> str:
        """One of two voices changed: compares them once both are there.

        Args:
          first: voice A, or None while it is missing.
          second: voice B, or None while it is missing.
          exaggeration: see `Speech2Face.faces`.
        """
        if first is None or second is None:
            return views.placeholder(texts.WAITING_FOR_TWO)
        return views.two_voices(self._model, first, second, exaggeration)

    def _play(self, source: Source, exaggeration: float, name: str) -> Iterator[tuple]:
        try:
            for recorder in voices.record_file(self._model, source, self.limits, name):
                yield None, views.face_so_far(recorder, exaggeration)
            voice = recorder.finish()
        except (OSError, UserError) as error:
            yield None, views.error(error)
            return
        yield voice, views.one_voice(self._model, voice, exaggeration)

    def _load(self, source: Source, name: str) -> tuple[Voice | None, str]:
        try:
            *_, recorder = voices.record_file(self._model, source, self.limits, name)
            voice = recorder.finish()
        except (OSError, UserError) as error:
            return None, views.error(error)
        return voice, views.voice_received(voice)
