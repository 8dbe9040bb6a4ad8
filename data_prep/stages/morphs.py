"""Random morphs between near neighbors: more faces for the face decoder.

Cole et al. 2017 draw a face, then one of its neighbors that are near in landmarks and
texture, mix landmarks and textures linearly by independent shares, and set the morphed
face into its surroundings in the gradient domain, so that no seam shows. Here the face
inside the outline of the mixed landmarks replaces that of the first of the two. A morph
has no photograph: the recognizer sees the morph itself. docs/decisions/morphs.md
"""

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from scipy import ndimage, spatial

from data_prep.clips.manifest import Clip
from data_prep.options import RecognizerChoice
from data_prep.stages.face import EncodeFace, warp_to
from data_prep.stages.stage import Item, Stage
from data_prep.stages.voice import Recognize
from data_prep.stages.work_folder import WorkFolder
from speech2face.data import records
from speech2face.data.records import FaceExample
from speech2face.errors import UserError
from speech2face.faces import detection
from speech2face.files import PathLike
from speech2face.paper import FACE_PX, N_LANDMARKS

# Puts the seam on skin outside the outermost landmarks.
OUTLINE_MARGIN_PX = 3
_THUMBNAIL_STEP = 8  # 28 x 28 px are enough to compare textures
_BLOCK = 256  # faces compared with all others at once; bounds the memory


def plan(
    work: WorkFolder,
    n_morphs: int,
    n_neighbors: int,
    landmark_weight: float,
    seed: int,
    clips_per_chunk: int,
) -> list[list[Clip]]:
    """Chooses pairs of faces to morph.

    Args:
      work: finished work with the face records.
      n_morphs: number of morphs.
      n_neighbors: the second face is one of this many nearest ones of the first.
      landmark_weight: weight of the landmarks in the distance between two faces.
      seed: decides the pairs and shares.
      clips_per_chunk: size of the chunks.

    Returns:
      Chunks of clips, whose labels name the two faces and the shares of the second.

    Raises:
      UserError: fewer than two people in the training split.
    """
    names, speakers, landmarks, textures = _training_faces(work)
    if len(set(speakers)) < 2:
        raise UserError(
            "--n_morphs needs at least two people in the training split",
            reason="too_few_people",
        )
    neighbors = nearest(landmarks, textures, landmark_weight, n_neighbors)
    random = np.random.default_rng(seed)
    clips: list[Clip] = []
    while len(clips) < n_morphs:
        first, second = _draw_pair(speakers, neighbors, random)
        labels = (
            ("morph_of", names[first]),
            ("morph_with", names[second]),
            ("morph_landmark_share", f"{random.uniform():.3f}"),
            ("morph_texture_share", f"{random.uniform():.3f}"),
        )
        name = f"morph-{len(clips):06d}"
        clips.append(Clip(name, name, split="train", labels=labels))
    return [
        clips[i : i + clips_per_chunk] for i in range(0, len(clips), clips_per_chunk)
    ]


def nearest(
    landmarks: np.ndarray, textures: np.ndarray, landmark_weight: float, n: int
) -> np.ndarray:
    """Returns the indices of the nearest faces of each, nearest first, without itself.

    The distance is landmark_weight |difference of landmarks| + |difference of textures|
    (Cole et al. 2017, with a weight of 10).

    Args:
      landmarks: [m, 136] float, px.
      textures: [m, t] float, in [0, 1].
      landmark_weight: not negative.
      n: how many; all others if there are fewer.

    Returns:
      [m, min(n, m - 1)] int.
    """
    blocks = []
    for start in range(0, len(landmarks), _BLOCK):
        part = slice(start, start + _BLOCK)
        distances = landmark_weight * spatial.distance.cdist(landmarks[part], landmarks)
        distances += spatial.distance.cdist(textures[part], textures)
        own = np.arange(len(distances))
        distances[own, start + own] = np.inf
        order = np.argsort(distances, axis=1, kind="stable")
        blocks.append(order[:, : min(n, len(landmarks) - 1)])
    return np.concatenate(blocks)


def stages(
    faces_path: PathLike, mean_landmarks: np.ndarray, recognizer: RecognizerChoice
) -> list[Stage]:
    """Returns the stages from a planned morph to its record, in order.

    Args:
      faces_path: work folder of the faces to morph.
      mean_landmarks: [n, 2] in px, to which their textures are warped.
      recognizer: makes the face features.
    """
    return [
        MakeMorph(faces_path, mean_landmarks),
        FindMorphedFace(),
        Recognize(recognizer),
        EncodeFace(),
    ]


class MakeMorph(Stage):
    """Mixes two faces of finished work."""

    name = "morph"

    def __init__(self, faces_path: PathLike, mean_landmarks: np.ndarray):
        self._faces_path = str(faces_path)
        self._mean = np.asarray(mean_landmarks, np.float32)
        self._chunk_of: dict[str, int] = {}

    def setup(self) -> None:
        """Reads which chunk holds which face."""
        for index, clips in WorkFolder(self._faces_path).chunks():
            self._chunk_of.update({clip.clip_id: index for clip in clips})

    def process(self, item: Item) -> None:
        """Adds `normalized`, `texture` [224, 224, 3] uint8 and `landmarks` [n, 2]."""
        labels = dict(item.clip.labels)
        first = self._load(labels["morph_of"])
        second = self._load(labels["morph_with"])
        landmarks = mix(
            first.landmarks, second.landmarks, float(labels["morph_landmark_share"])
        )
        texture = mix(
            first.texture, second.texture, float(labels["morph_texture_share"])
        )
        inside = warp_to(np.round(texture).astype(np.uint8), self._mean, landmarks)
        around = warp_to(first.normalized, first.landmarks, landmarks)
        morph = gradient_composite(
            around, inside, outline_mask(landmarks[:N_LANDMARKS])
        )
        item.values.update(
            normalized=morph,
            landmarks=landmarks.astype(np.float32),
            texture=warp_to(morph, landmarks, self._mean),
        )

    def _load(self, name: str) -> FaceExample:
        chunk = WorkFolder(self._faces_path).load(self._chunk_of[name])
        examples = map(records.decode_face_example, chunk.records)
        return next(example for example in examples if example.clip_id == name)


class FindMorphedFace(Stage):
    """Crops the morph for the recognizer, in the same way as a photograph."""

    name = "detect_morph"

    def process(self, item: Item) -> None:
        """Adds `crop` [224, 224, 3] uint8."""
        face = detection.find_face(item.values["normalized"])
        if face is None:
            raise UserError("no face found in the morph", reason="no_face")
        item.values["crop"] = face.crop


def mix(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """Returns (1 - share) first + share second, float64.

    Args:
      first: array of any shape.
      second: array of the same shape.
      share: share of the second face, in 0..1.
    """
    return (1.0 - share) * first.astype(np.float64) + share * second.astype(np.float64)


def outline_mask(landmarks: np.ndarray, size_px: int = FACE_PX) -> np.ndarray:
    """Returns the landmarks' convex hull, a little widened, as [size, size] bool."""
    hull = spatial.Delaunay(np.asarray(landmarks, np.float64))
    y, x = np.mgrid[:size_px, :size_px]
    inside = hull.find_simplex(np.stack([x, y], -1)) >= 0
    inside = ndimage.binary_dilation(inside, iterations=OUTLINE_MARGIN_PX)
    # `gradient_composite` needs known pixels around the mask.
    inside[[0, -1]] = inside[:, [0, -1]] = False
    return inside


def gradient_composite(
    around: np.ndarray, inside: np.ndarray, mask: np.ndarray
) -> np.ndarray:
    """Sets `inside` into `around` so that its gradients continue without a seam.

    Poisson image editing (Perez et al. 2003): within the mask the result has the
    Laplacian of `inside`, at its edge the colors of `around`. Each pixel p of the mask
    gives one linear equation over its four neighbors q:

        4 f(p) - sum of f(q) for q in the mask
            = sum of inside(p) - inside(q) for all q + sum of around(q) for q outside

    Args:
      around: [h, w, 3] uint8, outside the mask.
      inside: [h, w, 3] uint8, whose gradients are kept within the mask.
      mask: [h, w] bool, false at the picture's border.

    Returns:
      [h, w, 3] uint8.
    """
    n_unknown = int(mask.sum())
    if not n_unknown:
        return around
    result, source = around.astype(np.float64), inside.astype(np.float64)
    # Pixel -> number of its equation; -1 outside the mask.
    number = np.full(mask.shape, -1)
    number[mask] = np.arange(n_unknown)
    rows, columns = np.nonzero(mask)
    right_side = np.zeros([n_unknown, 3])
    diagonal = np.arange(n_unknown)
    entries = [(diagonal, diagonal, np.full(n_unknown, 4.0))]
    for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        y, x = rows + dy, columns + dx
        right_side += source[rows, columns] - source[y, x]
        known = number[y, x] < 0
        right_side[known] += result[y[known], x[known]]
        mine, other = diagonal[~known], number[y, x][~known]
        entries.append((mine, other, np.full(len(mine), -1.0)))
    i, j, value = (np.concatenate(part) for part in zip(*entries))
    matrix = scipy.sparse.csc_matrix((value, (i, j)), shape=(n_unknown, n_unknown))
    result[mask] = scipy.sparse.linalg.splu(matrix).solve(right_side)
    return np.clip(np.round(result), 0, 255).astype(np.uint8)


def _draw_pair(
    speakers: list[str], neighbors: np.ndarray, random: np.random.Generator
) -> tuple[int, int]:
    """Draws two faces of different people, neighbors if the first has any.

    Args:
      speakers: speaker of each of the n faces.
      neighbors: [n, k] indices of the nearest faces of each.
      random: decides.
    """
    first = int(random.integers(len(speakers)))
    others = [j for j in neighbors[first] if speakers[j] != speakers[first]]
    if not others:  # all neighbors are photographs of the same person
        others = [j for j, s in enumerate(speakers) if s != speakers[first]]
    return first, int(random.choice(others))


def _training_faces(
    work: WorkFolder,
) -> tuple[list[str], list[str], np.ndarray, np.ndarray]:
    """Returns names, speakers, landmarks [n, 136] in px, and textures [n, t].

    A texture is a thumbnail in [0, 1], times the step between its pixels, so that
    distances are about those of whole textures.
    """
    names, speakers, landmarks, textures = [], [], [], []
    for index in sorted(work.done()):
        if work.summary(index).split != "train":
            continue
        for example in map(records.decode_face_example, work.load(index).records):
            names.append(example.clip_id)
            speakers.append(example.speaker_id)
            landmarks.append(example.landmarks.ravel())
            small = example.texture[::_THUMBNAIL_STEP, ::_THUMBNAIL_STEP]
            textures.append(small.ravel() * np.float32(_THUMBNAIL_STEP / 255))
    if not names:
        return names, speakers, np.zeros([0, 2]), np.zeros([0, 2])
    return names, speakers, np.array(landmarks), np.array(textures)
