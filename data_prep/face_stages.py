"""The stages of a face record, in two passes.

First pass: photograph -> face and landmarks -> filter -> normalised face -> feature of
the photograph. Between the passes the mean landmarks of the training split are taken.
Second pass: every normalised face is warped to them (the texture), and the photographs
of one identity are averaged where there are at least three. A normalised face that the
manifest names is taken instead of one made from the photograph; it is neither filtered
nor averaged.
"""

import collections
import dataclasses
from typing import Dict, List, Optional

import numpy as np

from data_prep import face_normalization as normalization
from data_prep.options import FilterOptions
from data_prep.pipeline import Item, Rejected, Stage
from data_prep.voice_stages import Recognise, check_numbers
from data_prep.work_folder import WorkFolder
from speech2face import faces, files, image_files


class ReadPhotographs(Stage):
    """Reads the photograph and, where given, the ready normalised face."""

    name = "decode"

    def process(self, item: Item) -> None:
        """Adds `image` and `target` (or None), [h, w, 3] uint8."""
        clip = item.clip
        check_numbers(clip)
        item.values["image"] = image_files.read_image(clip.face)
        path = clip.normalized_face
        item.values["target"] = image_files.read_image(path) if path else None


class FindFaces(Stage):
    """Finds the face in the photograph and in the normalised face."""

    name = "detect"

    def process(self, item: Item) -> None:
        """Adds `face` and, for a ready normalised face, `target_landmarks` [68, 2]."""
        clip, values = item.clip, item.values
        values["face"] = faces.find_face(values["image"], clip.face_x, clip.face_y)
        if values["face"] is None:
            raise Rejected("no_face", f"no face found in {clip.face}")
        if values["target"] is not None:
            target = faces.find_face(values["target"])
            if target is None:
                raise Rejected(
                    "no_normalized_face", f"no face found in {clip.normalized_face}"
                )
            values["target_landmarks"] = target.landmarks


class FilterFaces(Stage):
    """Rejects photographs that are no frontal, neutral, sharp, coloured faces."""

    name = "filter"

    def __init__(self, limits: Optional[FilterOptions]):
        self._limits = limits

    def process(self, item: Item) -> None:
        """Rejects or adds nothing."""
        if self._limits is None or item.values["target"] is not None:
            return
        face = item.values["face"]
        reason = normalization.why_rejected(
            normalization.measure(face.landmarks),
            face.crop,
            landmarks_in_crop(face),
            self._limits,
        )
        if reason:
            raise Rejected(*reason)


class Normalise(Stage):
    """Makes the normalised face and its landmarks."""

    name = "normalise"

    def process(self, item: Item) -> None:
        """Replaces the images by `normalized` [224, 224, 3], `landmarks`, `crop`."""
        values = item.values
        image, target, face = (values.pop(n) for n in ("image", "target", "face"))
        values["crop"] = face.crop
        if target is None:
            aligned, values["landmarks"] = normalization.align(image, face.landmarks)
            values["normalized"] = normalization.whiten_background(
                aligned, values["landmarks"]
            )
            return
        landmarks = values.pop("target_landmarks")
        if normalization.is_aligned(target, landmarks):
            target, landmarks = normalization.move_to_place(target, landmarks)
        else:
            target, landmarks = normalization.align(target, landmarks)
        values["normalized"], values["landmarks"] = target, landmarks


class EncodeNormalised(Stage):
    """Makes the record; without a texture yet, the normalised face stands in for it."""

    name = "encode"

    def process(self, item: Item) -> None:
        """Adds `record`, serialized, and drops the rest."""
        from speech2face import records

        clip, values = item.clip, item.values
        example = records.FaceExample(
            clip_id=clip.clip_id,
            speaker_id=clip.speaker_id,
            face_feature=values["feature"],
            landmarks=values["landmarks"],
            texture=values.get("texture", values["normalized"]),
            normalized=values["normalized"],
            face_jpeg=files.encode_jpeg(values["crop"]),
            labels=dict(clip.labels),
        )
        item.values = {"record": records.encode_face_example(example)}


class WarpTextures(Stage):
    """Second pass: warps to the mean landmarks and averages identities."""

    name = "warp"

    def __init__(
        self, first_pass: str, mean_landmarks: np.ndarray, min_photographs: int
    ):
        self._first_pass = first_pass
        self._mean = np.asarray(mean_landmarks, np.float32)
        self._min_photographs = min_photographs

    def process_all(self, items: List[Item]) -> None:
        """Adds `record`, serialized."""
        from speech2face import records

        if not items:
            return
        loaded = WorkFolder(self._first_pass).load(items[0].chunk_index)
        examples = {}
        for record in loaded.records:
            example = records.decode_face_example(record)
            examples[example.clip_id] = example
        ready = {item.clip.clip_id for item in items if item.clip.normalized_face}
        examples = self._with_textures(examples)
        examples = self._averaged(examples, ready)
        for item in items:
            example = examples[item.clip.clip_id]
            item.values["record"] = records.encode_face_example(example)

    def _with_textures(self, examples: Dict[str, "FaceExample"]):  # noqa: F821
        return {
            name: dataclasses.replace(
                e, texture=warp_to(e.normalized, e.landmarks, self._mean)
            )
            for name, e in examples.items()
        }

    def _averaged(self, examples, ready):
        """Gives photographs of one identity, if enough, their common average."""
        members = collections.defaultdict(list)
        for name, example in examples.items():
            if name not in ready:
                members[example.speaker_id].append(name)
        for names in members.values():
            if not self._min_photographs or len(names) < self._min_photographs:
                continue
            average = average_face([examples[n] for n in names], self._mean)
            for name in names:
                examples[name] = dataclasses.replace(examples[name], **average)
        return examples


def first_pass(
    recognizer: str, weights: str, limits: Optional[FilterOptions]
) -> List[Stage]:
    """The stages from a photograph to a normalised face, in order."""
    return [
        ReadPhotographs(),
        FindFaces(),
        FilterFaces(limits),
        Normalise(),
        Recognise(recognizer, weights),
        EncodeNormalised(),
    ]


def average_face(examples, mean_landmarks: np.ndarray) -> dict:
    """The average of faces of one identity: landmarks, texture, normalised face."""
    landmarks = np.mean([e.landmarks for e in examples], axis=0)
    texture = np.mean([e.texture.astype(np.float32) for e in examples], axis=0)
    texture = np.round(texture).astype(np.uint8)
    normalized = warp_to(texture, mean_landmarks, landmarks)
    return dict(landmarks=landmarks, texture=texture, normalized=normalized)


def warp_to(
    image: np.ndarray, source: np.ndarray, destination: np.ndarray
) -> np.ndarray:
    """The image [224, 224, 3] uint8 with points [68, 2] moved to `destination`.

    Points that come to lie together, as the lips of a closed mouth do, come from one
    place: from two, the image would fold over between them.
    """
    from speech2face import pictures
    from speech2face.models import warp

    means = warp.group_means(np.asarray(destination), warp.MOVE_TOGETHER_PX)
    points = [(means @ np.asarray(p, np.float32))[None] for p in (source, destination)]
    return pictures.to_uint8(
        warp.warp(image[None].astype(np.float32) / 255.0, *points)
    )[0]


def landmarks_in_crop(face: faces.Face) -> np.ndarray:
    """Landmarks [68, 2] of a face in the pixels of its crop."""
    side = face.box.size_px * faces.CROP_SCALE
    corner = np.array(face.box.center) - side / 2
    return (face.landmarks + 0.5 - corner) * faces.CROP_PX / side - 0.5
