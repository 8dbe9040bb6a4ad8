"""The material of an experiment: a model, the clips it is measured on, its predictions.

Everything is computed when first asked for and shared by the experiments of a process.
Predictions also stay on disk, so that a second experiment does not repeat them.
"""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments.lib.inputs import Inputs
from experiments.lib.results import NotApplicable
from speech2face import paper
from speech2face.data import dataset_info
from speech2face.images import decode_image
from speech2face.inference.clip_sample import check_size, sample_positions

# Methods import the modules that load TensorFlow, so that `--help` does not.
if TYPE_CHECKING:
    from speech2face.data.records import VoiceExample
    from speech2face.inference.evaluation import Predictions
    from speech2face.inference.model import Speech2Face

CACHE_DIR = "predictions"


@dataclasses.dataclass(frozen=True)
class Faces:
    """n decoded faces.

    Attributes:
      images: [n, 224, 224, 3] uint8.
      landmarks: [n, 68, 2] float32 (x, y) px, from the decoder's landmark branch.
    """

    images: np.ndarray
    landmarks: np.ndarray


class Material:
    """A model, the clips it is measured on, and its predictions for them.

    "The measured clips" are those of `inputs.split` that `inputs.n_examples` and
    `inputs.sample_seed` draw; an index is a place among them, not in the split.
    """

    def __init__(self, inputs: Inputs):
        """Loads nothing yet; the first use of a part raises its errors."""
        self.inputs = inputs
        # By seconds of audio: at most 164 MB each at the paper's size. Each load from
        # disk would be another copy, and TensorFlow may keep what it has decoded from.
        self._predictions: dict[float, Predictions] = {}

    @functools.cached_property
    def model(self) -> "Speech2Face":
        """The model."""
        from speech2face.inference.model import Speech2Face

        return Speech2Face.load(self.inputs.run_dir or None)

    @functools.cached_property
    def info(self) -> dataset_info.DatasetInfo:
        """The description of the data set."""
        return dataset_info.read(self.inputs.data_dir, kind="voice")

    @functools.cached_property
    def positions(self) -> list[int]:
        """The places of the measured clips in their split."""
        n, n_examples = self.info.n_examples(self.inputs.split), self.inputs.n_examples
        check_size(
            n,
            n_examples,
            self.info.recognizer.feature_dim,
            is_allowed=self.inputs.allow_large,
        )
        return sample_positions(n, n_examples, self.inputs.sample_seed)

    def predictions(self, clip_secs: float = paper.CLIP_SECS) -> "Predictions":
        """Predictions for the measured clips from their first seconds.

        They are kept in memory, and in `output_dir`/predictions under a hash of
        everything that they depend on. An experiment that is started again reads them.
        """
        clip_secs = float(clip_secs)  # 3 and 3.0 s: one file, as they are one key here
        if clip_secs not in self._predictions:
            self._predictions[clip_secs] = self._load_or_predict(clip_secs)
        return self._predictions[clip_secs]

    def _load_or_predict(self, clip_secs: float) -> "Predictions":
        folder = pathlib.Path(self.inputs.output_dir) / CACHE_DIR / self._key(clip_secs)
        from speech2face.inference import evaluation

        if (folder / evaluation.PREDICTIONS_FILE).is_file():
            return evaluation.Predictions.load(folder)
        predictions = evaluation.predict(
            self.model,
            self.inputs.data_dir,
            self.inputs.split,
            clip_secs,
            self.inputs.n_examples,
            self.inputs.sample_seed,
        )
        predictions.save(folder)
        return predictions

    def stream(self, indices: Sequence[int]) -> "Iterator[tuple[int, VoiceExample]]":
        """Yields (index, record) of some of the measured clips, in ascending order.

        The split is read once from its start, whatever the number of clips, and one
        record at a time is in memory.
        """
        from speech2face.inference.evaluation import read_examples

        ascending = sorted(set(indices))
        positions = [self.positions[i] for i in ascending]
        stream = read_examples(self.inputs.data_dir, self.inputs.split, positions)
        return zip(ascending, stream)

    def examples(self, indices: Sequence[int]) -> "list[VoiceExample]":
        """The records of some of the measured clips, in the order of `indices`."""
        examples = dict(self.stream(indices))
        return [examples[index] for index in indices]

    def photographs(self, indices: Sequence[int]) -> list[np.ndarray]:
        """The true faces of some of the clips, [224, 224, 3] uint8 each."""
        jpegs = {index: e.face_jpeg for index, e in self.stream(indices)}
        return [decode_image(jpegs[index]) for index in indices]

    def faces(self, features: np.ndarray, exaggeration: float = 0.0) -> Faces:
        """Decodes normalized features.

        Args:
          features: [n, d], n > 0.
          exaggeration: as in `Speech2Face.faces`; 0 shows the features as they are.
        """
        results = self.model.faces(features, exaggeration)
        return Faces(
            np.stack([np.asarray(result.image) for result in results]),
            np.stack([result.landmarks for result in results]),
        )

    def shown(self, n: int) -> list[int]:
        """Clips for a figure: a seeded draw of n different speakers, never picked."""
        return draw_clips(
            self.predictions().speaker_ids, n, seed=self.inputs.sample_seed
        )

    def provenance(self) -> dict[str, str]:
        """Names the model and the data that the numbers come from."""
        from speech2face.inference.model import DEFAULT_BUNDLE

        n = len(self.positions)
        return {
            "model": str(self.inputs.run_dir or f"{DEFAULT_BUNDLE.name}, as shipped"),
            "data": f"{self.inputs.data_dir}, {self.inputs.split}, {n:,} clips",
        }

    def _key(self, clip_secs: float) -> str:
        positions = self.positions  # before the model: a wrong data set fails at once
        digest = hashlib.sha256(self._model_checksum.encode())
        content = (self.info.checksum, self.inputs.split, positions, clip_secs)
        digest.update(repr(content).encode())
        return digest.hexdigest()[:16]

    @functools.cached_property
    def _model_checksum(self) -> str:
        digest = hashlib.sha256(self.model.decoder.checksum().encode())
        for weights in self.model.encoder.get_weights():
            digest.update(np.ascontiguousarray(weights).tobytes())
        return digest.hexdigest()


def draw_clips(speaker_ids: Sequence[str], n: int, seed: int = 0) -> list[int]:
    """Draws one random clip each of n random speakers (of all, if there are fewer).

    Args:
      speaker_ids: speaker of each of the clips to draw from.
      n: how many speakers.
      seed: seed of the draw.

    Returns:
      Indices into `speaker_ids`.
    """
    generator = np.random.default_rng(seed)
    clips: dict[str, int] = {}
    for index in generator.permutation(len(speaker_ids)).tolist():
        clips.setdefault(speaker_ids[index], index)
    return list(clips.values())[:n]


def clips_of_speakers(speaker_ids: Sequence[str]) -> dict[str, list[int]]:
    """The clips of every speaker with more than one.

    Raises:
      NotApplicable: no speaker has more than one.
    """
    clips: dict[str, list[int]] = {}
    for index, speaker in enumerate(speaker_ids):
        clips.setdefault(speaker, []).append(index)
    several = {speaker: of_one for speaker, of_one in clips.items() if len(of_one) > 1}
    if not several:
        raise NotApplicable("no speaker of this split has more than one clip")
    return several
