"""Predictions for a whole split, and the numbers of Tables 2 and 3.

`predictions.npz` holds clip_ids [n], speaker_ids [n], labels [n] (JSON objects),
face_features (v_f) and voice_features (v_s), both [n, d] float32 and normalised.
`metrics.json` holds what `measure` returns. This module owns both formats.
"""

import dataclasses
import io
import json
import os
import pathlib
import time
from typing import Dict, Iterator, List, Sequence, Tuple

import numpy as np
from tqdm import tqdm

from speech2face import audio, dataset_info, files, metrics, records
from speech2face.inference import Speech2Face
from speech2face.records import SAMPLE_RATE_HZ

PREDICTIONS_FILE = "predictions.npz"
METRICS_FILE = "metrics.json"

_BATCH_SIZE = 8


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a model predicts for the clips of a split; n clips, in record order.

    Attributes:
      clip_ids, speaker_ids: n names each.
      labels: n dicts of label name to value.
      face_features: v_f [n, d] float32, of the true faces, normalised.
      voice_features: v_s [n, d] float32, predicted from the voices.
    """

    clip_ids: List[str]
    speaker_ids: List[str]
    labels: List[Dict[str, str]]
    face_features: np.ndarray
    voice_features: np.ndarray

    def save(self, output_dir: "os.PathLike[str]") -> None:
        """Writes `predictions.npz`."""
        buffer = io.BytesIO()
        np.savez(
            buffer,
            clip_ids=np.array(self.clip_ids),
            speaker_ids=np.array(self.speaker_ids),
            labels=np.array([json.dumps(label) for label in self.labels]),
            face_features=self.face_features,
            voice_features=self.voice_features,
        )
        path = pathlib.Path(output_dir) / PREDICTIONS_FILE
        files.write_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, output_dir: "os.PathLike[str]") -> "Predictions":
        """Reads `predictions.npz`; raises FileNotFoundError if it is not there."""
        path = pathlib.Path(output_dir) / PREDICTIONS_FILE
        if not path.is_file():
            raise FileNotFoundError(f"no {path}; run speech2face.evaluate first")
        with np.load(path) as arrays:
            return cls(
                clip_ids=arrays["clip_ids"].tolist(),
                speaker_ids=arrays["speaker_ids"].tolist(),
                labels=[json.loads(label) for label in arrays["labels"]],
                face_features=arrays["face_features"],
                voice_features=arrays["voice_features"],
            )


def predict(
    model: Speech2Face,
    data_dir: records.PathLike,
    split: str,
    clip_secs: float = 6.0,
    n_examples: int = 0,
    seed: int = 0,
) -> Predictions:
    """Runs the model over a split.

    Args:
      model: a loaded model.
      data_dir: a voice data set made with the model's recognizer.
      split: which part of it.
      clip_secs: seconds from each clip's beginning (Tables 2 and 3: 3 and 6); shorter
        clips are tiled.
      n_examples: of a larger split, so many random clips (Sec. 4: 5,000); 0 for all.
      seed: draws them.

    Raises:
      ValueError: the data set's features are another recognizer's, or a shard is
        damaged.
    """
    info = dataset_info.read(data_dir, kind="voice")
    if info.recognizer != model.decoder.recognizer:
        raise ValueError(
            f"{data_dir} has features of {info.recognizer.name} "
            f"({info.recognizer.checksum[:8]}), the model takes those of "
            f"{model.decoder.recognizer.name} "
            f"({model.decoder.recognizer.checksum[:8]})"
        )
    n_samples = round(clip_secs * SAMPLE_RATE_HZ)
    examples, features, pending = [], [], []
    picked = sample_positions(info.n_examples(split), n_examples, seed)
    stream = read_examples(data_dir, split, picked)
    for example in tqdm(stream, total=len(picked), unit="clip"):
        pending.append(audio.fit_length(example.waveform, n_samples))
        examples.append(dataclasses.replace(example, waveform=None, face_jpeg=b""))
        if len(pending) == _BATCH_SIZE or len(examples) == len(picked):
            features.append(model.encode(np.stack(pending)))
            pending = []
    raw = np.stack([example.face_feature for example in examples])
    return Predictions(
        clip_ids=[example.clip_id for example in examples],
        speaker_ids=[example.speaker_id for example in examples],
        labels=[example.labels for example in examples],
        face_features=model.decoder.normalizer.normalize(raw).astype(np.float32),
        voice_features=np.concatenate(features),
    )


def sample_positions(n: int, n_examples: int = 0, seed: int = 0) -> List[int]:
    """Which of n records to take, in order: all, or `n_examples` random ones."""
    if not n_examples or n_examples >= n:
        return list(range(n))
    generator = np.random.default_rng(seed)
    return sorted(generator.choice(n, n_examples, replace=False).tolist())


def read_examples(
    data_dir: records.PathLike, split: str, positions: Sequence[int]
) -> Iterator[records.VoiceExample]:
    """Yields the voice examples at ascending positions of a split."""
    wanted, last = set(positions), max(positions, default=-1)
    for position, record in enumerate(records.iterate_records(data_dir, split)):
        if position in wanted:
            yield records.decode_voice_example(record)
        if position >= last:
            return


def gallery(face_features: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """The distinct faces of n clips, and which of them is each clip's own.

    Several clips may share one photograph; counted once each, none of them could be
    ranked first.

    Args:
      face_features: [n, d].

    Returns:
      Faces [m, d] in the order in which they first come, and indices [n] into them.
    """
    index: Dict[bytes, int] = {}
    own = np.array(
        [index.setdefault(row.tobytes(), len(index)) for row in face_features]
    )
    first = np.unique(own, return_index=True)[1]
    return face_features[first], own


def measure(predictions: Predictions) -> dict:
    """Returns feature similarity (Table 2) and retrieval (Table 3).

    The gallery is the distinct true faces of the split; each voice has one right
    answer, the face of its own clip.
    """
    true, predicted = predictions.face_features, predictions.voice_features
    faces, own = gallery(true)
    return {
        "n": len(true),
        "feature_similarity": metrics.feature_similarity(true, predicted),
        "retrieval": {
            metric: metrics.retrieval(predicted, faces, own, metric)
            for metric in ("cos", "l2", "l1")
        },
    }


def evaluate(
    model: Speech2Face,
    data_dir: records.PathLike,
    split: str,
    output_dir: "os.PathLike[str]",
    clip_secs: float = 6.0,
    n_examples: int = 0,
) -> dict:
    """Writes `predictions.npz` and `metrics.json`; returns the metrics."""
    start = time.monotonic()
    predictions = predict(model, data_dir, split, clip_secs, n_examples)
    result = {
        "data_dir": str(data_dir),
        "split": split,
        "clip_secs": clip_secs,
        **measure(predictions),
        "secs": round(time.monotonic() - start, 3),
    }
    predictions.save(output_dir)
    text = json.dumps(result, indent=2) + "\n"
    files.write_atomically(pathlib.Path(output_dir) / METRICS_FILE, text.encode())
    return result
