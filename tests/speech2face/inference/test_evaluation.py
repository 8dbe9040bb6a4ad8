"""An evaluation: its numbers, its gallery, the sample of a large split."""

import contextlib
import dataclasses
import io
import json

import numpy as np
import pytest

from experiments.lib.inputs import Inputs
from experiments.lib.material import Material
from speech2face import evaluate
from speech2face.audio import spectrogram
from speech2face.data import dataset_info
from speech2face.errors import UserError
from speech2face.evaluate import EvaluateOptions
from speech2face.inference import clip_sample, evaluation
from tests.helpers.predictions import predictions
from tests.helpers.records import DIM, write_voice_dataset
from tests.helpers.tiny_models import make_model


@pytest.fixture(scope="module")
def model():
    return make_model()


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


def test_a_sample_is_drawn_once_and_predicted_like_the_whole(model, tmp_path):
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


def test_the_default_is_table_3s_sample():
    options = EvaluateOptions(data_dir="data", output_dir="out")
    assert options.n_examples == 5_000 == Inputs(data_dir="data").n_examples


@pytest.mark.parametrize("answer, allowed", [("y", True), ("n", False), ("", False)])
def test_a_large_split_is_asked_about_or_refused(answer, allowed, monkeypatch):
    def check(n, n_examples, **how):
        clip_sample.check_size(n, n_examples, 4096, **how)

    check(150_000, 5_000)
    check(20_000, 0)
    check(150_000, 0, is_allowed=True)
    # The cost of AVSpeech's test list: 150,000 features of VGG-Face.
    with pytest.raises(UserError, match=r"31 GB.* 17 core hours.*--allow_large"):
        check(150_000, 0)
    monkeypatch.setattr("sys.stdin", Terminal(f"{answer}\n"))
    with contextlib.nullcontext() if allowed else pytest.raises(UserError):
        check(150_000, 0, may_ask=True)
    with pytest.raises(UserError):  # an experiment does not ask, even on a terminal
        check(150_000, 0)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))  # not a terminal
    with pytest.raises(UserError):
        check(150_000, 0, may_ask=True)


class Terminal(io.StringIO):
    """A standard input at which somebody types."""

    def isatty(self):
        return True


def test_the_command_refuses_a_large_split_before_it_loads_a_model(tmp_path):
    _, info = write_voice_dataset(tmp_path, n=2, n_shards=1, splits=("test",))
    large = dataclasses.replace(info.splits["test"][0], n_examples=20_001)
    dataset_info.write(tmp_path, dataclasses.replace(info, splits={"test": [large]}))
    options = EvaluateOptions(data_dir=str(tmp_path), output_dir="out", n_examples=0)
    with pytest.raises(UserError, match="20,001 clips of 8 dimensions"):
        evaluate.check(options)
    evaluate.check(dataclasses.replace(options, allow_large=True))
    evaluate.check(dataclasses.replace(options, n_examples=5_000))
    inputs = Inputs(data_dir=str(tmp_path), n_examples=0)
    with pytest.raises(UserError, match="--allow_large"):
        _ = Material(inputs).positions


def test_evaluation_is_what_a_loop_over_the_clips_gives(model, tmp_path):
    examples, _ = write_voice_dataset(
        tmp_path / "voices", n=11, n_shards=2, splits=("train", "test")
    )
    result = evaluation.evaluate(
        model, tmp_path / "voices", "test", tmp_path / "out", clip_secs=3.0
    )
    assert json.loads((tmp_path / "out/metrics.json").read_text()) == result
    predictions = evaluation.Predictions.load(tmp_path / "out")
    assert predictions.clip_ids == [example.clip_id for example in examples]
    assert predictions.labels[0] == {"gender": "female"}
    raw = np.stack([example.face_feature for example in examples])
    true = (raw - 0.1) * 0.5  # the tiny decoder's normalizer, by hand
    np.testing.assert_allclose(predictions.face_features, true, rtol=1e-5, atol=1e-7)
    voices = [spectrogram.fit_length(example.waveform, 48_000) for example in examples]
    expected = np.concatenate([model.voice_features([v]) for v in voices])
    np.testing.assert_allclose(predictions.voice_features, expected, atol=1e-4)
    cosine = (true * expected).sum(1) / (
        np.linalg.norm(true, axis=1) * np.linalg.norm(expected, axis=1)
    )
    angle = np.degrees(np.arccos(cosine))
    similarity = result["feature_similarity"]["cos_deg"]
    np.testing.assert_allclose(similarity["mean"], angle.mean(), rtol=1e-4)
    distance = np.linalg.norm(true[:, None] - expected[None], axis=2)  # face, voice
    rank = (distance < np.diag(distance)).sum(0) + 1
    recall = result["retrieval"]["l2"]["recall_strict"]
    assert recall["5"] == pytest.approx(np.mean(rank <= 5))
    assert result["retrieval"]["l2"]["median_rank"] == np.median(rank)


def test_features_of_another_recognizer_are_not_evaluated(model, tmp_path):
    from speech2face.data import dataset_info

    _, info = write_voice_dataset(tmp_path)
    other = dataclasses.replace(
        info, recognizer=dataset_info.RecognizerInfo("vgg_face", DIM, "3" * 64)
    )
    dataset_info.write(tmp_path, other)
    with pytest.raises(ValueError, match=r"features of vgg_face .* of dlib"):
        evaluation.predict(model, tmp_path, "train")
