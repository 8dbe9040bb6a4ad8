"""The stages of a face record, in two passes (Cole et al. 2017).

    photograph -> face and landmarks -> filter -> normalized face -> its feature
    mean landmarks of the training split
    normalized face -> texture (warped to the mean landmarks) -> average of an identity

A normalized face that the manifest names replaces the one made from the photograph; it
is neither filtered nor averaged. The manifest may give its landmarks, too; those that
dlib finds are checked (docs/decisions/implausible-landmarks.md).
"""

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from data_prep.clips.manifest import Clip
from data_prep.options import RecognizerChoice
from data_prep.stages import face_filter, outlines
from data_prep.stages import face_normalization as normalization
from data_prep.stages.face_filter import FilterOptions
from data_prep.stages.stage import Item, Stage
from data_prep.stages.voice import Recognize, check_numbers
from data_prep.stages.work_folder import WorkFolder
from speech2face import images
from speech2face.data import records
from speech2face.data.records import FaceExample
from speech2face.errors import UserError
from speech2face.faces import detection, plausibility
from speech2face.faces.boxes import CROP_SCALE
from speech2face.files import PathLike
from speech2face.models import warp
from speech2face.paper import FACE_PX


class ReadPhotographs(Stage):
    """Reads the photograph and, if the manifest names one, the normalized face."""

    name = "decode"

    def process(self, item: Item) -> None:
        """Adds `image` and `target` (or None), [h, w, 3] uint8."""
        clip = item.clip
        check_numbers(clip)
        item.values["image"] = images.read_image(clip.face)
        path = clip.normalized_face
        item.values["target"] = images.read_image(path) if path else None


class FindFaces(Stage):
    """Finds the face in the photograph and in the normalized face."""

    name = "detect"

    def process(self, item: Item) -> None:
        """Adds `face` and, for a given normalized face, `target_landmarks` [68, 2]."""
        clip, values = item.clip, item.values
        # Without a position, the largest face: a photograph shows one person.
        values["face"] = detection.find_face(values["image"], clip.face_x, clip.face_y)
        if values["face"] is None:
            raise UserError(f"no face found in {clip.face}", reason="no_face")
        if values["target"] is None:
            plausibility.check(values["face"].landmarks, clip.face)
        else:
            points = _target_landmarks(clip, values["target"])
            plausibility.check(points, clip.normalized_face)
            values["target_landmarks"] = points


def _target_landmarks(clip: Clip, target: np.ndarray) -> np.ndarray:
    """Those of the manifest, or else dlib's, [68, 2] float32 in px."""
    if clip.normalized_landmarks:
        return np.array(clip.normalized_landmarks, np.float32).reshape(-1, 2)
    face = detection.find_face(target)
    if face is None:
        raise UserError(
            f"no face found in {clip.normalized_face}", reason="no_normalized_face"
        )
    return face.landmarks


class FilterFaces(Stage):
    """Rejects photographs that are not frontal, neutral, sharp and in color."""

    name = "filter"

    def __init__(self, limits: FilterOptions | None):
        """Takes the limits; None accepts every photograph."""
        self._limits = limits

    def process(self, item: Item) -> None:
        """Rejects the photograph, or does nothing."""
        if self._limits is None or item.values["target"] is not None:
            return
        face = item.values["face"]
        broken_limit = face_filter.find_broken_limit(
            face_filter.measure(face.landmarks),
            face.crop,
            landmarks_in_crop(face),
            self._limits,
        )
        if broken_limit:
            reason, sentence = broken_limit
            raise UserError(sentence, reason=reason)


class Normalize(Stage):
    """Makes the normalized face and its landmarks."""

    name = "normalise"  # as reports spell it

    def __init__(self, n_outline_points: int, outline_margin_px: float = 0.0):
        """Creates the stage.

        Args:
          n_outline_points: landmarks on the outline of the head; may be 0.
          outline_margin_px: their least distance from the jaw; 0 for any.
        """
        self._n_outline_points = n_outline_points
        self._outline_margin_px = outline_margin_px

    def process(self, item: Item) -> None:
        """Replaces the images by `normalized` [224, 224, 3], `landmarks`, `crop`.

        The landmarks [68 + n, 2] are dlib's, then those of the outline.
        """
        values = item.values
        image, target = values.pop("image"), values.pop("target")
        face = values.pop("face")
        values["crop"] = face.crop
        if target is None:
            aligned, landmarks = normalization.align(image, face.landmarks)
            normalized = normalization.whiten_background(aligned, landmarks)
        else:
            landmarks = values.pop("target_landmarks")
            # Resampling blurs, so a face that is nearly in place is only shifted.
            if normalization.is_aligned(target, landmarks):
                place = normalization.move_to_place
            else:
                place = normalization.align
            normalized, landmarks = place(target, landmarks)
        outline = outlines.outline_points(normalized, self._n_outline_points)
        if self._outline_margin_px:
            outline = outlines.keep_off_jaw(outline, landmarks, self._outline_margin_px)
        values["normalized"] = normalized
        values["landmarks"] = np.concatenate([landmarks, outline])


class EncodeFace(Stage):
    """Serializes the face record.

    Before the second pass, the normalized face takes the place of the texture.
    """

    name = "encode"

    def process(self, item: Item) -> None:
        """Adds `record`, serialized, and drops the rest."""
        clip, values = item.clip, item.values
        example = FaceExample(
            clip_id=clip.clip_id,
            speaker_id=clip.speaker_id,
            face_feature=values["feature"],
            landmarks=values["landmarks"],
            texture=values.get("texture", values["normalized"]),
            normalized=values["normalized"],
            face_jpeg=images.encode_jpeg(values["crop"]),
            labels=dict(clip.labels),
        )
        item.values = {"record": records.encode_face_example(example)}


class WarpTextures(Stage):
    """Second pass: warps to the mean landmarks and averages identities."""

    name = "warp"

    def __init__(
        self, first_pass: PathLike, mean_landmarks: np.ndarray, min_photographs: int
    ):
        """Creates the stage.

        Args:
          first_pass: work folder of the finished first pass.
          mean_landmarks: [n, 2] in px.
          min_photographs: average identities with at least this many; 0 never does.
        """
        self._first_pass = str(first_pass)
        self._mean = np.asarray(mean_landmarks, np.float32)
        self._min_photographs = min_photographs

    def process_all(self, items: list[Item]) -> None:
        """Adds `record`, serialized."""
        if not items:
            return
        # The chunks of both passes are the same: a speaker's photographs are together.
        loaded = WorkFolder(self._first_pass).load(items[0].chunk_index)
        given = {item.clip.clip_id for item in items if item.clip.normalized_face}
        examples = {}
        for record in loaded.records:
            example = records.decode_face_example(record)
            examples[example.clip_id] = self._with_texture(example)
        examples.update(self._averages(examples, given))
        for item in items:
            example = examples[item.clip.clip_id]
            item.values["record"] = records.encode_face_example(example)

    def _with_texture(self, example: FaceExample) -> FaceExample:
        texture = warp_to(example.normalized, example.landmarks, self._mean)
        return dataclasses.replace(example, texture=texture)

    def _averages(
        self, examples: dict[str, FaceExample], given: set[str]
    ) -> dict[str, FaceExample]:
        """Returns the examples whose identity has enough photographs, averaged.

        Args:
          examples: examples by clip id.
          given: clip ids whose normalized face is the manifest's.
        """
        members = collections.defaultdict(list)
        for name, example in examples.items():
            if name not in given:
                members[example.speaker_id].append(example)
        averages = {}
        for group in members.values():
            if self._min_photographs and len(group) >= self._min_photographs:
                average = average_face(group, self._mean)
                for example in group:
                    averages[example.clip_id] = dataclasses.replace(example, **average)
        return averages


def first_pass(
    recognizer: RecognizerChoice,
    limits: FilterOptions | None,
    n_outline_points: int,
    outline_margin_px: float = 0.0,
) -> list[Stage]:
    """Returns the stages from a photograph to a normalized face, in order.

    Args:
      recognizer: makes the face features.
      limits: which photographs are good enough; None accepts all.
      n_outline_points: landmarks on the outline of the head, beyond dlib's 68.
      outline_margin_px: their least distance from the jaw.
    """
    return [
        ReadPhotographs(),
        FindFaces(),
        FilterFaces(limits),
        Normalize(n_outline_points, outline_margin_px),
        Recognize(recognizer),
        EncodeFace(),
    ]


def average_face(
    examples: Sequence[FaceExample], mean_landmarks: np.ndarray
) -> dict[str, Any]:
    """Averages the faces of one identity.

    Args:
      examples: examples with textures.
      mean_landmarks: [n, 2] in px, to which the textures are warped.

    Returns:
      `landmarks` [n, 2], `texture` and `normalized` [224, 224, 3] uint8.
    """
    landmarks = np.mean([e.landmarks for e in examples], axis=0)
    texture = np.mean([e.texture.astype(np.float32) for e in examples], axis=0)
    texture = np.round(texture).astype(np.uint8)
    normalized = warp_to(texture, mean_landmarks, landmarks)
    return {"landmarks": landmarks, "texture": texture, "normalized": normalized}


def warp_to(
    image: np.ndarray, source: np.ndarray, destination: np.ndarray
) -> np.ndarray:
    """Warps an image so that its points move to `destination`.

    Points that come to lie together, as the lips of a closed mouth do, come from one
    place. From two, the image would fold over between them:
    docs/decisions/closed-mouth-textures.md.

    Args:
      image: [224, 224, 3] uint8.
      source: [n, 2] in px.
      destination: [n, 2] in px.

    Returns:
      [224, 224, 3] uint8.
    """
    means = warp.group_means(np.asarray(destination), warp.MOVE_TOGETHER_PX)
    sources, destinations = (
        (means @ np.asarray(points, np.float32))[None]
        for points in (source, destination)
    )
    pixels = image[None].astype(np.float32) / 255.0
    return images.to_uint8(warp.warp(pixels, sources, destinations))[0]


def landmarks_in_crop(face: detection.Face) -> np.ndarray:
    """Returns the landmarks [68, 2] of a face in the pixels of its crop."""
    side_px = face.box.size_px * CROP_SCALE
    corner = np.array(face.box.center) - side_px / 2
    # Half a pixel: landmarks count pixel centers, boxes count edges.
    return (face.landmarks + 0.5 - corner) * FACE_PX / side_px - 0.5
