"""A model and the clips it is measured on: computed once, shared by experiments."""

import dataclasses
import functools
import hashlib
import pathlib
from typing import Dict, List, Sequence

import numpy as np

from experiments.common import NotApplicable
from experiments.options import Inputs
from speech2face import dataset_info, evaluation, files, pictures, records
from speech2face.evaluation import Predictions
from speech2face.inference import DEFAULT_BUNDLE, Speech2Face

CACHE_DIR = "predictions"
_BATCH_SIZE = 32


@dataclasses.dataclass(frozen=True)
class Faces:
    """Decoded faces: images uint8 [n, 224, 224, 3], landmarks [n, 68, 2] (x, y) px, as
    the decoder's landmark branch has them."""

    images: np.ndarray
    landmarks: np.ndarray


class Material:
    """Model, clips and predictions, each made when first asked for."""

    def __init__(self, inputs: Inputs):
        """Loads nothing yet; errors come from what is asked for."""
        self.inputs = inputs

    @functools.cached_property
    def model(self) -> Speech2Face:
        """The model."""
        return Speech2Face.load(self.inputs.run_dir)

    @functools.cached_property
    def positions(self) -> List[int]:
        """Of the measured clips in their split."""
        info = dataset_info.read(self.inputs.data_dir, kind="voice")
        n = info.n_examples(self.inputs.split)
        inputs = self.inputs
        return evaluation.sample_positions(n, inputs.n_examples, inputs.sample_seed)

    def predictions(self, clip_secs: float = 6.0) -> Predictions:
        """Predictions for the measured clips from their first seconds.

        They are kept in `output_dir`/predictions under a name made of everything they
        depend on, so that an experiment that is started again goes on.
        """
        folder = pathlib.Path(self.inputs.output_dir) / CACHE_DIR / self._key(clip_secs)
        if (folder / evaluation.PREDICTIONS_FILE).is_file():
            return Predictions.load(folder)
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

    def examples(self, indices: Sequence[int]) -> List[records.VoiceExample]:
        """The records of some of the measured clips, in the order asked for."""
        positions = [self.positions[i] for i in indices]
        stream = evaluation.read_examples(
            self.inputs.data_dir, self.inputs.split, positions
        )
        found = dict(zip(sorted(set(positions)), stream))
        return [found[position] for position in positions]

    def photographs(self, indices: Sequence[int]) -> List[np.ndarray]:
        """The true faces of some of the clips, uint8 [224, 224, 3] each."""
        return [files.decode_image(e.face_jpeg) for e in self.examples(indices)]

    def faces(self, features: np.ndarray) -> Faces:
        """Decodes normalised features [n, d], n > 0."""
        images, landmarks = [], []
        for start in range(0, len(features), _BATCH_SIZE):
            batch = features[start : start + _BATCH_SIZE]
            outputs = self.model.decoder.model(batch, training=False)
            images.append(pictures.to_uint8(outputs["image"]))
            landmarks.append(np.asarray(outputs["landmarks"], np.float32))
        return Faces(np.concatenate(images), np.concatenate(landmarks))

    def shown(self, n: int) -> List[int]:
        """Clips for a figure: a seeded draw of n different speakers, never picked."""
        return draw_clips(
            self.predictions().speaker_ids, n, seed=self.inputs.sample_seed
        )

    def provenance(self) -> Dict[str, str]:
        """Where the numbers come from."""
        n = len(self.positions)
        return {
            "model": str(self.inputs.run_dir or f"{DEFAULT_BUNDLE.name}, as shipped"),
            "data": f"{self.inputs.data_dir}, {self.inputs.split}, {n:,} clips",
        }

    def _key(self, clip_secs: float) -> str:
        info = dataset_info.read(self.inputs.data_dir, kind="voice")
        digest = hashlib.sha256(self._model_checksum.encode())
        content = (info.checksum, self.inputs.split, self.positions, clip_secs)
        digest.update(repr(content).encode())
        return digest.hexdigest()[:16]

    @functools.cached_property
    def _model_checksum(self) -> str:
        digest = hashlib.sha256(self.model.decoder.checksum().encode())
        for weights in self.model.encoder.get_weights():
            digest.update(np.ascontiguousarray(weights).tobytes())
        return digest.hexdigest()


def draw_clips(speaker_ids: Sequence[str], n: int, seed: int = 0) -> List[int]:
    """One random clip each of n random speakers (of all, if there are fewer)."""
    generator = np.random.default_rng(seed)
    clips: Dict[str, int] = {}
    for index in generator.permutation(len(speaker_ids)).tolist():
        clips.setdefault(speaker_ids[index], index)
    return list(clips.values())[:n]


def several_clips(predictions: Predictions) -> Dict[str, List[int]]:
    """The clips of every speaker with more than one.

    Raises:
      NotApplicable: no speaker has.
    """
    clips: Dict[str, List[int]] = {}
    for index, speaker in enumerate(predictions.speaker_ids):
        clips.setdefault(speaker, []).append(index)
    several = {name: found for name, found in clips.items() if len(found) > 1}
    if not several:
        raise NotApplicable("no speaker of this split has more than one clip")
    return several
