"""Measures a model on the validation split while it trains."""

from typing import Dict, Tuple

import numpy as np
import tensorflow as tf

from speech2face import (
    files,
    input_pipeline,
    metrics,
    pictures,
    projector,
    records,
    summaries,
)
from speech2face.config import (
    AudioConfig,
    AugmentConfig,
    DecoderTrainingConfig,
    LoopConfig,
    VoiceTrainingConfig,
)
from speech2face.dataset_info import DatasetInfo
from speech2face.decoder_bundle import DecoderBundle
from speech2face.decoder_trainer import DecoderTrainer
from speech2face.voice_trainer import VoiceTrainer

N_PICTURED = 6
SPLIT = "val"


def voice_batches(
    data_dir: records.PathLike, info: DatasetInfo, audio: AudioConfig, loop: LoopConfig
) -> tf.data.Dataset:
    """The first `loop.validation_examples` of the split, in batches, not augmented."""
    parse = input_pipeline.voice_parser(info, audio, AugmentConfig(), loop.seed)
    batches = input_pipeline.evaluation_batches(
        data_dir, info, SPLIT, loop.batch_size, parse, loop.skip_corrupt
    )
    return batches.take(-(-loop.validation_examples // loop.batch_size))


class VoiceValidator:
    """Loss terms, angle, recall, and a picture of true face | F2F | S2F.

    The pictured clips are the first of the split, so pictures of successive
    iterations can be compared; so are those that TensorBoard's projector shows.
    """

    def __init__(
        self,
        data_dir: records.PathLike,
        info: DatasetInfo,
        config: VoiceTrainingConfig,
        trainer: VoiceTrainer,
        decoder: DecoderBundle,
        run_dir: records.PathLike,
    ):
        """Prepares the batches; the audio is taken as in Sec. 3, without changes."""
        self._batches = voice_batches(data_dir, info, config.audio, config.loop)
        self._trainer = trainer
        self._decoder = decoder
        self._projector_dir = summaries.event_dir(run_dir, summaries.VALIDATION)
        examples = records.iterate_voice_examples(data_dir, SPLIT)
        n_read = max(N_PICTURED, config.loop.projector_examples)
        first = [example for example, _ in zip(examples, range(n_read))]
        self._true_faces = [
            files.decode_image(example.face_jpeg) for example in first[:N_PICTURED]
        ]
        self._labels = [e.labels for e in first[: config.loop.projector_examples]]

    def __call__(self) -> Tuple[Dict[str, float], np.ndarray]:
        """Returns named numbers and the picture [h, w, 3] uint8."""
        terms, true, predicted = [], [], []
        for batch in self._batches:
            terms.append(self._trainer.evaluate_step(batch))
            normalize = self._decoder.normalizer.normalize
            true.append(normalize(batch["face_feature"].numpy()))
            predicted.append(self._trainer.predict_step(batch).numpy())
        true, predicted = np.concatenate(true), np.concatenate(predicted)
        retrieval = metrics.retrieval(predicted, true, np.arange(len(true)), "cos")
        numbers = {
            **_means(terms),
            "cos_deg": metrics.feature_similarity(true, predicted)["cos_deg"]["mean"],
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
        return pictures.to_uint8(np.concatenate(images))

    def _picture(self, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        n = len(self._true_faces)
        columns = [
            self._true_faces,
            self._decode(true[:n]),
            self._decode(predicted[:n]),
        ]
        return pictures.grid([list(row) for row in zip(*columns)])


class DecoderValidator:
    """Loss terms, and a picture of target | decoded texture pairs."""

    def __init__(
        self,
        data_dir: records.PathLike,
        info: DatasetInfo,
        config: DecoderTrainingConfig,
        trainer: DecoderTrainer,
    ):
        """Prepares the batches."""
        self._batches = input_pipeline.evaluation_batches(
            data_dir,
            info,
            SPLIT,
            config.loop.batch_size,
            input_pipeline.face_parser(info),
            config.loop.skip_corrupt,
        ).take(-(-config.loop.validation_examples // config.loop.batch_size))
        self._trainer = trainer
        examples = records.iterate_face_examples(data_dir, SPLIT)
        self._pictured = [example for example, _ in zip(examples, range(N_PICTURED))]

    def __call__(self) -> Tuple[Dict[str, float], np.ndarray]:
        """Returns named numbers and the picture [h, w, 3] uint8."""
        terms = [self._trainer.evaluate_step(batch) for batch in self._batches]
        raw = np.stack([example.face_feature for example in self._pictured])
        decoded = self._trainer.predict_step({"face_feature": raw})["image"]
        rows = [
            [files.decode_image(example.face_jpeg), example.normalized, image]
            for example, image in zip(self._pictured, pictures.to_uint8(decoded))
        ]
        return _means(terms), pictures.grid(rows)


def _means(terms: list) -> Dict[str, float]:
    return {
        name: float(np.concatenate([np.ravel(batch[name]) for batch in terms]).mean())
        for name in terms[0]
    }
