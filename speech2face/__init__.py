"""Speech2Face: from a voice to a canonical image of a face (Oh et al., CVPR 2019).

from speech2face import Speech2Face

result = Speech2Face.load()(waveform, sample_rate_hz)
"""

import typing
from typing import Any

if typing.TYPE_CHECKING:
    from speech2face.inference import Speech2Face

__all__ = ["Speech2Face"]


def __getattr__(name: str) -> Any:
    # Lazily: the commands answer --help without loading TensorFlow.
    if name == "Speech2Face":
        from speech2face.inference import Speech2Face

        return Speech2Face
    raise AttributeError(f"module 'speech2face' has no attribute {name!r}")
