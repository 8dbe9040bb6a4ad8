"""Random morphs between near neighbours: more faces for the face decoder.

Cole et al. 2017: faces are morphed with neighbours that are near in landmarks and
texture, and the morphed face is set into its surroundings in the gradient domain, so
that no seam shows. Here landmarks and textures are mixed linearly, and the face inside
the outline of the mixed landmarks replaces that of the first of the two. A morph has no
photograph: the recognizer sees the morph itself.
"""

from typing import List

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from scipy import ndimage, spatial

from data_prep.face_stages import EncodeNormalised, warp_to
from data_prep.manifest import Clip
from data_prep.options import FaceOptions
from data_prep.pipeline import Item, Rejected, Stage
from data_prep.voice_stages import Recognise
from data_prep.work_folder import WorkFolder
from speech2face import faces

MIN_SHARE, MAX_SHARE = 0.25, 0.75  # of the second face; not in the papers
OUTLINE_MARGIN_PX = 3
_THUMBNAIL_STEP = 8


def plan(work: WorkFolder, options: FaceOptions, clips_per_chunk: int):
    """Chooses whom to morph with whom; morphs are clips with labels that say so.

    Args:
      work: finished work with the face records.
      options: how many, among how many neighbours, and the seed.
      clips_per_chunk: size of the chunks.

    Raises:
      ValueError: fewer than two people in the training split.
    """
    names, speakers, places = _training_faces(work)
    if len(set(speakers)) < 2:
        raise ValueError("--n_morphs needs at least two people in the training split")
    k = min(options.morph_neighbours + 1, len(names))
    _, neighbours = spatial.cKDTree(places).query(places, k=k)
    random = np.random.default_rng(options.morph_seed)
    clips: List[Clip] = []
    while len(clips) < options.n_morphs:
        first = int(random.integers(len(names)))
        others = [j for j in neighbours[first] if speakers[j] != speakers[first]]
        if not others:
            others = [j for j, s in enumerate(speakers) if s != speakers[first]]
        second = int(random.choice(others))
        share = random.uniform(MIN_SHARE, MAX_SHARE)
        name = f"morph-{len(clips):06d}"
        labels = (
            ("morph_of", names[first]),
            ("morph_with", names[second]),
            ("morph_share", f"{share:.3f}"),
        )
        clips.append(Clip(name, name, split="train", labels=labels))
    return [
        clips[i : i + clips_per_chunk] for i in range(0, len(clips), clips_per_chunk)
    ]


def stages(
    faces_path: str, mean_landmarks: np.ndarray, recognizer: str, weights: str
) -> List[Stage]:
    """The stages from a planned morph to its record, in order."""
    return [
        MakeMorph(faces_path, mean_landmarks),
        FindMorphedFace(),
        Recognise(recognizer, weights),
        EncodeNormalised(),
    ]


class MakeMorph(Stage):
    """Mixes two faces of finished work."""

    name = "morph"

    def __init__(self, faces_path: str, mean_landmarks: np.ndarray):
        self._faces_path = faces_path
        self._mean = np.asarray(mean_landmarks, np.float32)
        self._chunk_of = {}

    def setup(self) -> None:
        """Reads where each face is."""
        for index, clips in WorkFolder(self._faces_path).chunks():
            self._chunk_of.update({clip.clip_id: index for clip in clips})

    def process(self, item: Item) -> None:
        """Adds `normalized`, `texture` [224, 224, 3] uint8 and `landmarks` [68, 2]."""
        labels = dict(item.clip.labels)
        first = self._load(labels["morph_of"])
        second = self._load(labels["morph_with"])
        share = float(labels["morph_share"])
        landmarks = mix(first.landmarks, second.landmarks, share)
        texture = mix(first.texture, second.texture, share)
        inside = warp_to(np.round(texture).astype(np.uint8), self._mean, landmarks)
        around = warp_to(first.normalized, first.landmarks, landmarks)
        morph = gradient_composite(around, inside, outline_mask(landmarks))
        item.values.update(
            normalized=morph,
            landmarks=landmarks.astype(np.float32),
            texture=warp_to(morph, landmarks, self._mean),
        )

    def _load(self, name: str):
        from speech2face import records

        chunk = WorkFolder(self._faces_path).load(self._chunk_of[name])
        found = map(records.decode_face_example, chunk.records)
        return next(example for example in found if example.clip_id == name)


class FindMorphedFace(Stage):
    """Crops the morph for the recognizer as a photograph is cropped."""

    name = "detect_morph"

    def process(self, item: Item) -> None:
        """Adds `crop` [224, 224, 3] uint8."""
        face = faces.find_face(item.values["normalized"])
        if face is None:
            raise Rejected("no_face", "no face found in the morph")
        item.values["crop"] = face.crop


def mix(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """(1 - share) first + share second, float64."""
    return (1.0 - share) * first.astype(np.float64) + share * second.astype(np.float64)


def outline_mask(landmarks: np.ndarray, size_px: int = 224) -> np.ndarray:
    """[size, size] bool: inside the convex hull of the landmarks, a little wider."""
    hull = spatial.Delaunay(np.asarray(landmarks, np.float64))
    y, x = np.mgrid[:size_px, :size_px]
    inside = hull.find_simplex(np.stack([x, y], -1)) >= 0
    inside = ndimage.binary_dilation(inside, iterations=OUTLINE_MARGIN_PX)
    inside[[0, -1]] = inside[:, [0, -1]] = False
    return inside


def gradient_composite(
    around: np.ndarray, inside: np.ndarray, mask: np.ndarray
) -> np.ndarray:
    """Sets `inside` into `around` so that its gradients continue without a seam.

    Poisson image editing (Perez et al. 2003): within the mask the result has the
    Laplacian of `inside`, at its edge the colours of `around`.

    Args:
      around, inside: [h, w, 3] uint8.
      mask: [h, w] bool, false at the picture's border.

    Returns:
      [h, w, 3] uint8.
    """
    n = int(mask.sum())
    result = around.astype(np.float64)
    if not n:
        return around
    number = np.full(mask.shape, -1)
    number[mask] = np.arange(n)
    source = inside.astype(np.float64)
    rows, columns = np.nonzero(mask)
    right_side = np.zeros([n, 3])
    diagonal = np.arange(n)
    entries = [(diagonal, diagonal, np.full(n, 4.0))]
    for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        y, x = rows + dy, columns + dx
        right_side += source[rows, columns] - source[y, x]
        known = number[y, x] < 0
        right_side[known] += result[y[known], x[known]]
        mine, other = diagonal[~known], number[y, x][~known]
        entries.append((mine, other, np.full(len(mine), -1.0)))
    i, j, value = (np.concatenate(part) for part in zip(*entries))
    matrix = scipy.sparse.csc_matrix((value, (i, j)), shape=(n, n))
    result[mask] = scipy.sparse.linalg.splu(matrix).solve(right_side)
    return np.clip(np.round(result), 0, 255).astype(np.uint8)


def _training_faces(work: WorkFolder):
    """Names, speakers and places (landmarks and texture, each of unit spread)."""
    from speech2face import records

    names, speakers, landmarks, textures = [], [], [], []
    for index in sorted(work.done()):
        if work.summary(index).split != "train":
            continue
        for example in map(records.decode_face_example, work.load(index).records):
            names.append(example.clip_id)
            speakers.append(example.speaker_id)
            landmarks.append(example.landmarks.ravel())
            small = example.texture[::_THUMBNAIL_STEP, ::_THUMBNAIL_STEP]
            textures.append(small.astype(np.float64).ravel())
    if not names:
        return names, speakers, np.zeros([0, 2])
    places = [_unit_spread(np.array(part)) for part in (landmarks, textures)]
    return names, speakers, np.concatenate(places, axis=1)


def _unit_spread(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(0)
    return centred / (np.sqrt((centred**2).sum(1).mean()) or 1.0)
