"""Views of voices on the web page: HTML with the pictures and sounds inside.

Nothing is written to a file: pictures are PNG and sounds WAV in `data:` addresses. The
words are in `templates`.
"""

import base64
import io
from typing import Any

import numpy as np
import soundfile
from PIL import Image

from speech2face import images, paper
from speech2face.errors import UserError
from speech2face.images import LABEL
from speech2face.inference.model import Result, Speech2Face
from speech2face.inference.reconstruction import animation, faces_between
from speech2face.metrics.similarity import pair_angles
from speech2face.web import cartoon, html, spectrograms, texts
from speech2face.web.voices import Voice, VoiceRecorder

_N_STILLS = 4  # steps of the way between two voices that a still picture shows
_CARTOON_PX = 336  # half of what `cartoonize` draws: smooth lines, and half the bytes


def placeholder(text: str) -> str:
    """Returns the place where a face will appear."""
    return html.render("placeholder.html", text=text)


def error(problem: Exception) -> str:
    """Returns what went wrong and what a person can do about it."""
    reason = problem.reason if isinstance(problem, UserError) else ""
    return html.render(
        "error.html",
        message=str(problem).rstrip(".") + ".",
        hint=texts.HINTS.get(reason, texts.OTHER_HINT),
    )


def face_so_far(recorder: VoiceRecorder, exaggeration: float) -> str:
    """Returns the face of an unfinished recording."""
    face = recorder.face_so_far(exaggeration)
    if face is None:
        return placeholder(f"Listening: {recorder.secs:.0f} s, no voice yet.")
    return html.render(
        "face_so_far.html",
        label=LABEL,
        picture=_face_png(face),
        secs=recorder.secs,
        is_full=recorder.is_full,
        exaggeration=exaggeration,
    )


def voice_received(voice: Voice) -> str:
    """Returns one line: which voice was heard, and how long it is."""
    return html.render("voice_received.html", name=voice.name, secs=voice.secs)


def one_voice(model: Speech2Face, voice: Voice, exaggeration: float) -> str:
    """Returns everything about one voice.

    Args:
      model: draws the faces.
      voice: what it hears.
      exaggeration: see `Speech2Face.faces`.
    """
    features = [voice.feature, voice.short_feature, voice.long_feature]
    face, short, long = model.faces(np.stack(features), exaggeration)
    pictures = {
        "face": _face_png(face),
        "cartoon": _cartoon_png(face),
        "short": _face_png(short),
        "long": _face_png(long),
    }
    return html.render(
        "one_voice.html",
        label=LABEL,
        pictures=pictures,
        voice=_sound(voice),
        speech_secs=voice.speech_secs,
        degrees=_degrees(voice.short_feature, voice.long_feature),
        exaggeration=exaggeration,
    )


def two_voices(
    model: Speech2Face, first: Voice, second: Voice, exaggeration: float
) -> str:
    """Returns two voices side by side, and the angle between them.

    Args:
      model: draws the faces.
      first: voice A.
      second: voice B.
      exaggeration: see `Speech2Face.faces`.
    """
    both = (first, second)
    faces = model.faces(np.stack([voice.feature for voice in both]), exaggeration)
    voices = {
        name: {
            **_sound(voice),
            "face": _face_png(face),
            "cartoon": _cartoon_png(face),
        }
        for name, voice, face in zip("AB", both, faces)
    }
    way = faces_between(model, first.feature, second.feature, exaggeration=exaggeration)
    return html.render(
        "two_voices.html",
        label=LABEL,
        voices=voices,
        way=_png(images.grid([way[:: (len(way) - 1) // _N_STILLS]]), LABEL),
        animation=_data_address("image/gif", animation(way)),
        degrees=_degrees(first.feature, second.feature),
        exaggeration=exaggeration,
    )


def _sound(voice: Voice) -> dict[str, Any]:
    """Returns the values of a recording that the templates show."""
    return {
        "name": voice.name,
        "secs": voice.secs,
        "is_cut": voice.is_cut,
        "wav": _wav(voice.waveform),
        "spectrogram": _png(spectrograms.draw(voice.waveform)),
    }


def _degrees(left: np.ndarray, right: np.ndarray) -> int:
    """The angle between two features [d], in whole degrees."""
    return round(pair_angles(left[np.newaxis], right[np.newaxis]).item())


def _face_png(face: Result) -> str:
    return _png(np.asarray(face.image), LABEL)


def _cartoon_png(face: Result) -> str:
    # Lines and their widths are made for the usual size.
    usual = face.image.resize((paper.FACE_PX,) * 2, Image.Resampling.LANCZOS)
    drawn = Image.fromarray(cartoon.cartoonize(np.asarray(usual)))
    size = (_CARTOON_PX, _CARTOON_PX)
    return _png(np.asarray(drawn.resize(size, Image.Resampling.LANCZOS)), LABEL)


def _png(image: np.ndarray, description: str = "") -> str:
    """A picture [h, w, 3] uint8 as a `data:` address."""
    content = images.encode_png(image, description)
    return _data_address("image/png", content)


def _wav(waveform: np.ndarray) -> str:
    """A waveform [n] at 16 kHz as a `data:` address."""
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, paper.SAMPLE_RATE_HZ, format="wav")
    return _data_address("audio/wav", buffer.getvalue())


def _data_address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
