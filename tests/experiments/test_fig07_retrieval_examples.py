"""Fig. 7: clips are retrieved by their face, and the true face is framed."""

import numpy as np

from experiments import fig07_retrieval_examples
from experiments.lib import retrieved_faces
from speech2face import images
from tests.helpers.face_sheets import CAPTION_PX, STEP, TITLE_PX
from tests.helpers.predictions import predictions
from tests.helpers.tiny_material import shared_material


def test_retrieves_clips_by_their_face():
    faces = [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.1], [1.0, 0.5], [1.0, 1.0]]
    voices = [[1.0, 0.1]] * 6
    retrieved = retrieved_faces.compute_nearest_faces(
        predictions(faces, voices), [4, 2], 5
    )
    # Clip 2 has the face of clip 0.
    assert retrieved.clips.tolist() == [[1, 4, 5, 0, 3]] * 2
    assert retrieved.true_rank.tolist() == [2.0, 4.0]
    assert np.argmax(retrieved.is_true_face, axis=1).tolist() == [1, 3]
    assert retrieved.is_true_face.sum() == 2 and retrieved.n_faces == 5


def test_frames_the_true_face_and_other_pictures_of_the_person():
    material = shared_material()
    predictions = material.predictions()
    indices = material.shown(6)
    retrieved = retrieved_faces.compute_nearest_faces(predictions, indices, 5)
    result = fig07_retrieval_examples.run(material)
    sheet = images.decode_image(result.picture).astype(int)
    margin = images.MARGIN_PX
    n_blue = 0
    for row, (index, rank) in enumerate(zip(indices, retrieved.true_rank)):
        y = TITLE_PX + margin + row * (STEP + CAPTION_PX) + 80
        for place, clip in enumerate(retrieved.clips[row]):
            edge = sheet[y, margin + (2 + place) * STEP + 1]
            is_green = np.abs(edge - [0, 150, 60]).max() < 40
            is_blue = np.abs(edge - [30, 100, 220]).max() < 12
            speakers = predictions.speaker_ids
            assert is_green == (place + 1 == rank)
            assert is_blue == (not is_green and speakers[clip] == speakers[index])
            n_blue += is_blue
    assert n_blue
