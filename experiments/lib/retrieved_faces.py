"""The faces nearest to voices: Fig. 7 and the supplementary page of random results."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from speech2face.metrics import neighbors

if TYPE_CHECKING:
    from speech2face.inference.evaluation import Predictions


class RetrievedFaces(NamedTuple):
    """The k faces nearest to q voices, by cosine, nearest first.

    Attributes:
      clips: [q, k] the clip whose face it is, the first of those that share the face.
      is_true_face: [q, k] whether it is the face of the voice's own clip.
      is_same_person: [q, k] whether it is the speaker, in this clip or another.
      true_rank: [q] rank of the true face, from 1.
      n_faces: distinct faces in the gallery.
    """

    clips: np.ndarray
    is_true_face: np.ndarray
    is_same_person: np.ndarray
    true_rank: np.ndarray
    n_faces: int


def compute_nearest_faces(
    predictions: "Predictions", indices: Sequence[int], k: int
) -> RetrievedFaces:
    """Searches all faces for those nearest to the voices of some clips.

    Args:
      predictions: predictions for all clips; their distinct faces are the gallery.
      indices: q clips whose voices are the queries.
      k: how many faces for each.
    """
    from speech2face.inference.evaluation import gallery

    faces, face_of_clip = gallery(predictions.face_features)
    true_face = face_of_clip[indices]  # [q]
    ranks, nearest = neighbors.ranks_and_nearest(
        predictions.voice_features[indices], faces, true_face, k, "cos"
    )
    first_clip = np.unique(face_of_clip, return_index=True)[1]  # [m] into clips
    clips = first_clip[nearest]
    speakers = np.asarray(predictions.speaker_ids)
    return RetrievedFaces(
        clips=clips,
        is_true_face=nearest == true_face[:, np.newaxis],
        is_same_person=speakers[clips] == speakers[indices][:, np.newaxis],
        true_rank=ranks,
        n_faces=len(faces),
    )
