"""Measures a model on the validation split while it trains."""

import itertools

import numpy as np
import tensorflow as tf

from speech2face.artifacts.decoder_bundle import DecoderBundle
from speech2face.config import (
    AudioConfig,
    AugmentConfig,
    DecoderTrainingConfig,
    LoopConfig,
    VoiceTrainingConfig,
)
from speech2face.data import input_pipeline, records
from speech2face.data.dataset_info import DatasetInfo
from speech2face.data.input_pipeline import ParseFn
from speech2face.files import PathLike
from speech2face.images import decode_image, grid, to_uint8
from speech2face.metrics import recall, similarity
from speech2face.training import projector, summaries
from speech2face.training.decoder import DecoderTrainer
from speech2face.training.trainer import Terms
from speech2face.training.voice import VoiceTrainer

N_PICTURED = 6  # rows of a picture; more are hard to compare at a glance
SPLIT = "val"
PICTURE = "picture"  # name in the log


class VoiceValidator:
    """Measures loss terms, angle and recall, and draws true face | F2F | S2F.

    The pictured clips are the first of the split, so pictures of successive iterations
    can be compared. TensorBoard's projector shows the first clips as well.
    """

    def __init__(
        self,
        data_dir: PathLike,
        info: DatasetInfo,
        config: VoiceTrainingConfig,
        trainer: VoiceTrainer,
        decoder: DecoderBundle,
        run_dir: PathLike,
    ):
        """Prepares the batches; the audio is that of Sec. 3, not augmented.

        Args:
          data_dir: voice data set with a validation split.
          info: its `dataset.json`.
          config: configuration of the training.
          trainer: holds the network to measure.
          decoder: frozen face decoder; draws the faces.
          run_dir: run folder, where the projector's files go.
        """
        self._batches = _voice_batches(data_dir, info, config.audio, config.loop)
        self._trainer = trainer
        self._decoder = decoder
        self._projector_dir = summaries.event_dir(run_dir, summaries.VALIDATION)
        examples = records.iterate_voice_examples(data_dir, SPLIT)
        n_read = max(N_PICTURED, config.loop.projector_examples)
        first = [example for example, _ in zip(examples, range(n_read))]
        self._true_faces = [
            decode_image(example.face_jpeg) for example in first[:N_PICTURED]
        ]
        self._labels = [e.labels for e in first[: config.loop.projector_examples]]

    def __call__(self) -> tuple[dict[str, float], np.ndarray]:
        """Returns named numbers and the picture [h, w, 3] uint8."""
        terms, true_parts, predicted_parts = [], [], []
        for batch in self._batches:
            terms.append(self._trainer.evaluate_step(batch))
            normalize = self._decoder.normalizer.normalize
            true_parts.append(normalize(batch["face_feature"].numpy()))
            predicted_parts.append(self._trainer.predict_step(batch).numpy())
        true, predicted = np.concatenate(true_parts), np.concatenate(predicted_parts)
        similarities = similarity.feature_similarity(true, predicted)
        retrieval = recall.retrieval(predicted, true, np.arange(len(true)), "cos")
        numbers = {
            **_means(terms),
            "cos_deg": similarities["cos_deg"]["mean"],
            "recall_percent_10": retrieval["recall_percent"]["10"],
            "median_rank": retrieval["median_rank"],
        }
        if self._labels:
            self._project(true, predicted)
        return numbers, self._picture(true, predicted)

    def _project(self, true: np.ndarray, predicted: np.ndarray) -> None:
        n = min(len(self._labels), len(true))
        features = {"face": true[:n], "voice": predicted[:n]}
        images = {kind: self._decode(rows) for kind, rows in features.items()}
        projector.write(self._projector_dir, features, images, self._labels[:n])

    def _decode(self, features: np.ndarray) -> np.ndarray:
        parts = np.array_split(features, -(-len(features) // N_PICTURED))
        images = [self._decoder.model(part)["image"] for part in parts]
        return to_uint8(np.concatenate(images))

    def _picture(self, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        n = len(self._true_faces)
        columns = [
            self._true_faces,
            self._decode(true[:n]),
            self._decode(predicted[:n]),
        ]
        titles = ["true face", "from the face (F2F)", "from the voice (S2F)"]
        return grid([list(row) for row in zip(*columns)], titles)


class DecoderValidator:
    """Measures loss terms and pictures, draws photograph | target | decoded face.

    `PICTURE` is the mean absolute difference of decoded and normalized face, in [0, 1].
    No recognizer takes part in it, so it cannot be earned with patterns that only a
    recognizer sees.
    """

    def __init__(
        self,
        data_dir: PathLike,
        info: DatasetInfo,
        config: DecoderTrainingConfig,
        trainer: DecoderTrainer,
    ):
        """Prepares the batches.

        Args:
          data_dir: face data set with a validation split.
          info: its `dataset.json`.
          config: configuration of the training.
          trainer: holds the network to measure.
        """
        parse = input_pipeline.face_parser(info)
        self._batches = _batches(data_dir, info, parse, config.loop)
        self._trainer = trainer
        self._data_dir = data_dir
        self._n_examples = config.loop.validation_examples
        self._batch_size = config.loop.batch_size
        examples = records.iterate_face_examples(data_dir, SPLIT)
        self._pictured = [example for example, _ in zip(examples, range(N_PICTURED))]

    def __call__(self) -> tuple[dict[str, float], np.ndarray]:
        """Returns named numbers and the picture [h, w, 3] uint8."""
        terms = [self._trainer.evaluate_step(batch) for batch in self._batches]
        raw = np.stack([example.face_feature for example in self._pictured])
        decoded = self._trainer.predict_step({"face_feature": raw})["image"]
        rows = [
            [decode_image(example.face_jpeg), example.normalized, image]
            for example, image in zip(self._pictured, to_uint8(decoded))
        ]
        titles = ["photograph", "to be decoded", "decoded"]
        numbers = {**_means(terms), PICTURE: self._picture_error()}
        return numbers, grid(rows, titles)

    def _picture_error(self) -> float:
        examples = records.iterate_face_examples(self._data_dir, SPLIT)
        examples = itertools.islice(examples, self._n_examples)
        errors: list[float] = []
        while batch := list(itertools.islice(examples, self._batch_size)):
            features = np.stack([example.face_feature for example in batch])
            decoded = self._trainer.predict_step({"face_feature": features})["image"]
            true = np.stack([example.normalized for example in batch]) / 255.0
            errors += list(np.abs(decoded - true).mean(axis=(1, 2, 3)))
        return float(np.mean(errors))


def _voice_batches(
    data_dir: PathLike, info: DatasetInfo, audio: AudioConfig, loop: LoopConfig
) -> tf.data.Dataset:
    parse = input_pipeline.voice_parser(info, audio, AugmentConfig(), loop.seed)
    return _batches(data_dir, info, parse, loop)


def _batches(
    data_dir: PathLike, info: DatasetInfo, parse: ParseFn, loop: LoopConfig
) -> tf.data.Dataset:
    """Returns the first `loop.validation_examples` of the split, rounded to batches."""
    batches = input_pipeline.evaluation_batches(
        data_dir, info, SPLIT, loop.batch_size, parse, loop.skip_corrupt
    )
    return batches.take(-(-loop.validation_examples // loop.batch_size))


def _means(terms: list[Terms]) -> dict[str, float]:
    """Returns the mean of each term over the examples of all batches."""
    return {
        name: float(np.concatenate([np.ravel(batch[name]) for batch in terms]).mean())
        for name in terms[0]
    }
