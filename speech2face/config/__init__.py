"""Configuration: frozen dataclasses whose defaults are the paper's.

Every field has a help text that cites the source of its default. It becomes one
command-line flag of the same name (`speech2face.options`) and is saved as JSON with
every run and every bundle. A size (paper, compact, sample) is a flag file under
`configs/`, never a second implementation.

Sections and tables without an author are those of Oh et al., CVPR 2019. "Cole et al."
is Cole et al., CVPR 2017. A default with "not in the paper" has a decision page under
docs/decisions/; an option "beyond the paper" is off in `configs/paper.flags`.
"""

from typing import Literal

from speech2face.bounds import Bounds
from speech2face.config.decoder import (
    DecoderLossConfig,
    DecoderOptimizerConfig,
    DecoderTrainingConfig,
    FaceAugmentConfig,
    FaceDecoderConfig,
    HeadConfig,
    NormalizerConfig,
)
from speech2face.config.loop import LoopConfig, OptimizerConfig, Precision
from speech2face.config.voice import (
    AudioConfig,
    AugmentConfig,
    LossConfig,
    VoiceEncoderConfig,
    VoiceTrainingConfig,
)
from speech2face.paper import FACE_PX

# Of --exaggeration: far outside, the warp has no solution or the picture is gray.
EXAGGERATION = Bounds(-10, 10)
ImageSize = Literal["224", "448"]  # of --image_size: docs/decisions/image-size.md
IMAGE_SIZE = Bounds(FACE_PX, 1024)  # in Python; not in the paper, faces of 16 MB
InferencePrecision = Literal["float32", "bfloat16"]
INFERENCE_PRECISION_HELP = (
    "Arithmetic of the voice encoder. On a processor with AVX512_BF16 or AMX, bfloat16 "
    "is faster; faces differ slightly (docs/decisions/inference-precision.md)."
)
IMAGE_SIZE_HELP = "Side of the faces in pixels, 224 (the paper's) or 448."

__all__ = [
    "EXAGGERATION",
    "IMAGE_SIZE",
    "IMAGE_SIZE_HELP",
    "INFERENCE_PRECISION_HELP",
    "AudioConfig",
    "AugmentConfig",
    "DecoderLossConfig",
    "DecoderOptimizerConfig",
    "DecoderTrainingConfig",
    "FaceAugmentConfig",
    "FaceDecoderConfig",
    "HeadConfig",
    "ImageSize",
    "InferencePrecision",
    "LoopConfig",
    "LossConfig",
    "NormalizerConfig",
    "OptimizerConfig",
    "Precision",
    "VoiceEncoderConfig",
    "VoiceTrainingConfig",
]
