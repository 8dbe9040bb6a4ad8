"""The gallery of an evaluation, and the sample of a large split."""

import json

import numpy as np
import pytest
from test_inference import make_model
from test_records import write_voice_dataset

from speech2face import evaluation


def predictions(face_features, voice_features):
    n = len(face_features)
    return evaluation.Predictions(
        clip_ids=[f"clip{i}" for i in range(n)],
        speaker_ids=[f"speaker{i // 2}" for i in range(n)],
        labels=[{}] * n,
        face_features=np.asarray(face_features, np.float32),
        voice_features=np.asarray(voice_features, np.float32),
    )


def test_clips_with_one_photograph_share_one_face_of_the_gallery():
    photograph = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]
    faces = [photograph[i] for i in (1, 0, 1, 2, 1, 0)]
    gallery, own = evaluation.gallery(np.array(faces, np.float32))
    assert gallery.tolist() == [[0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]]
    assert own.tolist() == [0, 1, 0, 2, 0, 1]
    measured = evaluation.measure(predictions(faces, faces))  # perfect voices
    for metric in ("cos", "l2", "l1"):
        result = measured["retrieval"][metric]
        assert (result["n"], result["n_queries"]) == (3, 6)
        assert result["median_rank"] == 1.0
        assert result["recall_strict"]["1"] == 1.0
        assert result["chance"]["recall_strict"]["1"] == pytest.approx(1 / 3)
    assert json.dumps(measured)


def test_a_sample_is_drawn_once_and_predicted_like_the_whole(tmp_path):
    model = make_model()
    examples, _ = write_voice_dataset(tmp_path, n=12, n_shards=3)
    whole = evaluation.predict(model, tmp_path, "train", 2.7)
    sample = evaluation.predict(model, tmp_path, "train", 2.7, n_examples=5, seed=1)
    positions = evaluation.sample_positions(12, 5, seed=1)
    assert len(set(positions)) == 5 and positions == sorted(positions)
    assert evaluation.sample_positions(12, 5, seed=2) != positions
    assert sample.clip_ids == [examples[i].clip_id for i in positions]
    for name in ("face_features", "voice_features"):
        expected = getattr(whole, name)[positions]
        np.testing.assert_allclose(getattr(sample, name), expected, atol=1e-5)
    assert (
        evaluation.sample_positions(4, 5)
        == evaluation.sample_positions(4)
        == [0, 1, 2, 3]
    )
