"""Speech2Face: from a voice to a canonical image of a face (Oh et al., CVPR 2019).

    import speech2face

    model = speech2face.load()
    result = model("voice.wav")
    result.image.save("face.png")

`StreamingSpeech2Face` does the same for live audio.
"""

import importlib
import os
import sys
import typing
from typing import Any

from speech2face.version import __version__

if typing.TYPE_CHECKING:
    from speech2face.audio.decoding import load_waveform
    from speech2face.inference.model import Result, Speech2Face, load
    from speech2face.inference.streaming import StreamingSpeech2Face

__all__ = [
    "Result",
    "Speech2Face",
    "StreamingSpeech2Face",
    "__version__",
    "load",
    "load_waveform",
]

_MODULE_OF = {
    "Result": "speech2face.inference.model",
    "Speech2Face": "speech2face.inference.model",
    "StreamingSpeech2Face": "speech2face.inference.streaming",
    "load": "speech2face.inference.model",
    "load_waveform": "speech2face.audio.decoding",
}


def __getattr__(name: str) -> Any:
    # Lazily: importing TensorFlow takes seconds, and `--help` does without it.
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'speech2face' has no attribute {name!r}")
    if "keras" not in sys.modules:  # it reads this once; another back end cannot work
        os.environ["KERAS_BACKEND"] = "tensorflow"
    if "tensorflow" not in sys.modules:  # its banner looks like errors
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
