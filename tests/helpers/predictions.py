"""Predictions made of given features."""

import numpy as np

from speech2face.inference import evaluation


def predictions(face_features, voice_features):
    """Clips of two per speaker, without labels."""
    n = len(face_features)
    return evaluation.Predictions(
        clip_ids=[f"clip{i}" for i in range(n)],
        speaker_ids=[f"speaker{i // 2}" for i in range(n)],
        labels=[{}] * n,
        face_features=np.asarray(face_features, np.float32),
        voice_features=np.asarray(voice_features, np.float32),
    )
