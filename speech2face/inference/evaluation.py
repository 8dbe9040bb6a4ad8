"""Predictions for a whole split, and the numbers of Tables 2 and 3.

`predictions.npz` holds clip_ids [n], speaker_ids [n], labels [n] (JSON objects),
face_features (v_f) and voice_features (v_s), both [n, d] float32 and normalized.
`metrics.json` holds what `measure` returns. This module owns both formats.
"""

import dataclasses
import io
import json
import pathlib
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from speech2face import files
from speech2face.audio import spectrogram
from speech2face.data import dataset_info, records
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.inference.clip_sample import sample_positions
from speech2face.inference.model import Speech2Face
from speech2face.json_codec import decode, parse_json
from speech2face.metrics import recall, similarity
from speech2face.models import voice_encoder
from speech2face.npz_files import Layout, read_npz
from speech2face.paper import CLIP_SECS, SAMPLE_RATE_HZ

PREDICTIONS_FILE = "predictions.npz"
METRICS_FILE = "metrics.json"

_LAYOUT: Layout = {
    "clip_ids": ("U", ("clips",)),
    "speaker_ids": ("U", ("clips",)),
    "labels": ("U", ("clips",)),
    "face_features": ("f", ("clips", "feature_dim")),
    "voice_features": ("f", ("clips", "feature_dim")),
}
_BATCH_SIZE = 8  # as in training (Sec. 3): what fits there fits here


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Predictions of a model for n clips of a split, in record order.

    Attributes:
      clip_ids: n names.
      speaker_ids: n names.
      labels: n dicts, label name -> value.
      face_features: v_f [n, d] float32 of the true faces, normalized.
      voice_features: v_s [n, d] float32 predicted from the voices.
    """

    clip_ids: list[str]
    speaker_ids: list[str]
    labels: list[dict[str, str]]
    face_features: np.ndarray
    voice_features: np.ndarray

    def save(self, output_dir: PathLike) -> None:
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
        path = files.as_path(output_dir) / PREDICTIONS_FILE
        files.write_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, output_dir: PathLike) -> "Predictions":
        """Reads `predictions.npz`.

        Raises:
          FileNotFoundError: it does not exist.
          UserError: it is damaged.
        """
        path = files.as_path(output_dir) / PREDICTIONS_FILE
        if not path.is_file():
            raise FileNotFoundError(f"no {path}; run speech2face.evaluate first")
        try:
            arrays = read_npz(path, _LAYOUT)
            return cls(
                clip_ids=arrays["clip_ids"].tolist(),
                speaker_ids=arrays["speaker_ids"].tolist(),
                labels=[_read_label(label, path) for label in arrays["labels"]],
                face_features=arrays["face_features"],
                voice_features=arrays["voice_features"],
            )
        except UserError as error:
            raise UserError(f"{error}; run speech2face.evaluate again") from None


def _read_label(text: str, path: pathlib.Path) -> dict[str, Any]:
    return decode(dict[str, Any], parse_json(text, str(path)), f"labels in {path}")


def predict(
    model: Speech2Face,
    data_dir: PathLike,
    split: str,
    clip_secs: float = CLIP_SECS,
    n_examples: int = 0,
    seed: int = 0,
) -> Predictions:
    """Runs the model over a split.

    Args:
      model: a loaded model.
      data_dir: a voice data set made with the model's recognizer.
      split: name of the split.
      clip_secs: seconds from each clip's beginning (Tables 2 and 3: 3 and 6); shorter
        clips are repeated.
      n_examples: number of random clips of a larger split (Sec. 4: 5,000); 0 takes
        all.
      seed: determines the random clips.

    Raises:
      UserError: clip_secs is too short for the network, another recognizer made the
        data set's features, or a shard is damaged.
    """
    voice_encoder.check_clip_secs(model.config.voice_encoder, clip_secs)
    info = dataset_info.read(data_dir, kind="voice")
    if info.recognizer != model.decoder.recognizer:
        raise UserError(
            f"{data_dir} has features of {info.recognizer.name} "
            f"({info.recognizer.checksum[:8]}); the model was trained on features of "
            f"{model.decoder.recognizer.name} "
            f"({model.decoder.recognizer.checksum[:8]})",
            reason="another_recognizer",
        )
    positions = sample_positions(info.n_examples(split), n_examples, seed)
    stream = read_examples(data_dir, split, positions)
    examples, voice_features = _encode(
        model,
        tqdm(stream, total=len(positions), unit="clip"),
        round(clip_secs * SAMPLE_RATE_HZ),
    )
    raw = np.stack([example.face_feature for example in examples])
    return Predictions(
        clip_ids=[example.clip_id for example in examples],
        speaker_ids=[example.speaker_id for example in examples],
        labels=[example.labels for example in examples],
        face_features=model.decoder.normalizer.normalize(raw).astype(np.float32),
        voice_features=voice_features,
    )


def _encode(
    model: Speech2Face, stream: Iterable[records.VoiceExample], n_samples: int
) -> tuple[list[records.VoiceExample], np.ndarray]:
    """Returns the examples without their bulk, and their v_s [n, d]."""
    no_sound = np.zeros(0, np.float32)
    examples: list[records.VoiceExample] = []
    features: list[np.ndarray] = []
    waveforms: list[np.ndarray] = []
    for example in stream:
        waveforms.append(spectrogram.fit_length(example.waveform, n_samples))
        # Without sound and picture, 5,000 examples fit into memory.
        examples.append(dataclasses.replace(example, waveform=no_sound, face_jpeg=b""))
        if len(waveforms) == _BATCH_SIZE:
            features.append(model.encode(np.stack(waveforms)))
            waveforms = []
    if waveforms:
        features.append(model.encode(np.stack(waveforms)))
    return examples, np.concatenate(features)


def read_examples(
    data_dir: PathLike, split: str, positions: Sequence[int]
) -> Iterator[records.VoiceExample]:
    """Yields the voice examples at some positions of a split.

    Args:
      data_dir: a voice data set.
      split: name of the split.
      positions: ascending.
    """
    wanted, last = set(positions), max(positions, default=-1)
    for position, record in enumerate(records.iterate_records(data_dir, split)):
        if position in wanted:
            yield records.decode_voice_example(record)
        if position >= last:
            return


def gallery(face_features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the distinct faces of n clips, and the index of each clip's true face.

    Several clips may share one photograph. If it were in the gallery several times,
    its copies would push each other down the ranking.

    Args:
      face_features: [n, d].

    Returns:
      Faces [m, d] in the order of their first clips, and indices [n] into them.
    """
    index_of: dict[bytes, int] = {}
    true_index = np.array(
        [index_of.setdefault(row.tobytes(), len(index_of)) for row in face_features]
    )
    first_clip = np.unique(true_index, return_index=True)[1]
    return face_features[first_clip], true_index


def measure(predictions: Predictions) -> dict:
    """Returns feature similarity (Table 2) and retrieval (Table 3).

    The gallery holds the distinct true faces of the split; each voice has one right
    answer, the face of its clip (docs/decisions/retrieval-recall.md).
    """
    true, predicted = predictions.face_features, predictions.voice_features
    faces, true_index = gallery(true)
    return {
        "n": len(true),
        "feature_similarity": similarity.feature_similarity(true, predicted),
        "retrieval": {
            metric: recall.retrieval(predicted, faces, true_index, metric)
            for metric in ("cos", "l2", "l1")
        },
    }


def evaluate(
    model: Speech2Face,
    data_dir: PathLike,
    split: str,
    output_dir: PathLike,
    clip_secs: float = CLIP_SECS,
    n_examples: int = 0,
    seed: int = 0,
) -> dict:
    """Writes `predictions.npz` and `metrics.json`; returns the metrics.

    Args:
      model: a loaded model.
      data_dir: see `predict`.
      split: see `predict`.
      output_dir: created if needed.
      clip_secs: see `predict`.
      n_examples: see `predict`.
      seed: see `predict`.
    """
    for name in (PREDICTIONS_FILE, METRICS_FILE):  # at once, not after hours
        files.check_replaceable(files.as_path(output_dir) / name)
    start = time.monotonic()
    predictions = predict(model, data_dir, split, clip_secs, n_examples, seed)
    result = {
        "data_dir": str(data_dir),
        "split": split,
        "clip_secs": clip_secs,
        "sample_seed": seed,
        **measure(predictions),
        "secs": round(time.monotonic() - start, 3),
    }
    predictions.save(output_dir)
    text = json.dumps(result, indent=2) + "\n"
    files.write_atomically(files.as_path(output_dir) / METRICS_FILE, text.encode())
    return result
