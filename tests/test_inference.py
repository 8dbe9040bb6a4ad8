"""From recordings to faces: the loaded model, its folders, the command."""

import dataclasses
import json
import pathlib
import runpy
import typing

import keras
import numpy as np
import pytest
import soundfile
import tensorflow as tf
from PIL import Image
from test_records import DIM, write_voice_dataset
from test_training import make_decoder, tiny_config, train

import speech2face
from speech2face import audio, evaluation, inference, reconstruction
from speech2face.models import voice_encoder


def make_model(seed=2, **changed):
    config = tiny_config()
    encoder_config = dataclasses.replace(config.voice_encoder, **changed)
    config = dataclasses.replace(config, voice_encoder=encoder_config)
    keras.utils.set_random_seed(seed)
    encoder = voice_encoder.build_voice_encoder(config.voice_encoder, DIM)
    return inference.Speech2Face(encoder, make_decoder(), config)


def voice(secs, seed=0):
    random = np.random.default_rng(seed)
    return (random.normal(size=round(secs * 16_000)) * 0.1).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    return make_model()


def test_hurried_graphs_give_the_same(model):
    def off():
        options = tf.config.optimizer.get_experimental_options()
        return options.get("disable_meta_optimizer", False)

    waveform = voice(3.0)
    expected = model(waveform)
    with reconstruction.hurried():
        assert off()
        other = inference.Speech2Face(model.encoder, model.decoder, model.config)
        result = other(waveform)
    assert not off()
    np.testing.assert_allclose(result.feature, expected.feature, atol=1e-5)
    pictures = [np.asarray(one.image, np.int16) for one in (result, expected)]
    assert np.abs(np.subtract(*pictures)).max() <= 1


def test_a_bundle_is_read_back_exactly(model, tmp_path):
    model.save(tmp_path / "bundle")
    loaded = inference.Speech2Face.load(tmp_path / "bundle")
    waveforms = [voice(3.0), voice(2.8)]
    np.testing.assert_array_equal(
        loaded.voice_features(waveforms), model.voice_features(waveforms)
    )
    assert loaded.decoder.checksum() == model.decoder.checksum()
    (tmp_path / "bundle/voice_encoder.npz").write_bytes(b"junk")
    with pytest.raises(ValueError, match="is damaged"):
        inference.Speech2Face.load(tmp_path / "bundle")
    with pytest.raises(FileNotFoundError, match="there is no model"):
        inference.Speech2Face.load(tmp_path / "nothing")


@pytest.mark.parametrize(
    "waveform, rate_hz, advice",
    [
        ("voice.wav", 16_000, "audio.load_waveform"),
        ([0.1, 0.2, 0.3], 16_000, "one array a recording"),
        (np.zeros((3, 2, 1)), 16_000, "expected .n. or .n, channels."),
        (np.zeros(16_000), 0, "sample_rate_hz=0"),
    ],
)
def test_what_is_no_recording_is_said(model, waveform, rate_hz, advice):
    with pytest.raises(ValueError, match=advice):
        model(waveform, rate_hz)


def test_a_run_folder_is_the_model_it_ended_with(tmp_path):
    write_voice_dataset(tmp_path / "voices", n=13, n_shards=3, splits=("train", "val"))
    make_decoder().save(tmp_path / "decoder")
    with pytest.raises(FileNotFoundError, match="no run folder"):
        inference.Speech2Face.load(tmp_path / "voices")
    train(tmp_path, tmp_path / "run", tiny_config(epochs=1.0, validate_every=0))
    loaded = inference.Speech2Face.load(tmp_path / "run")
    loaded.save(tmp_path / "bundle")
    bundle = inference.Speech2Face.load(tmp_path / "bundle")
    np.testing.assert_array_equal(
        loaded.voice_features([voice(3.0)]), bundle.voice_features([voice(3.0)])
    )
    fresh = make_model().voice_features([voice(3.0)])
    assert not np.allclose(loaded.voice_features([voice(3.0)]), fresh)


def test_short_recordings_are_tiled_and_long_ones_used_whole(model):
    short = voice(1.0)
    tiled = np.tile(short, 3)[: round(2.7 * 16_000)]
    np.testing.assert_array_equal(
        model.voice_features([short]), model.voice_features([tiled])
    )
    long = voice(5.0)
    whole, start = model.voice_features([long]), model.voice_features([long[:43_200]])
    assert not np.allclose(whole, start)


def test_the_call_resamples_and_mixes_down(model):
    soundtrack = voice(3.0)
    direct = model(soundtrack)
    stereo_48k = audio.resample(soundtrack, 16_000, 48_000)
    stereo_48k = np.stack([stereo_48k, stereo_48k], axis=1)
    result = model(stereo_48k, sample_rate_hz=48_000)
    assert result.image.size == (224, 224) and result.landmarks.shape == (68, 2)
    cosine = np.dot(result.feature, direct.feature) / (
        np.linalg.norm(result.feature) * np.linalg.norm(direct.feature)
    )
    assert cosine > 0.99
    with pytest.raises(ValueError, match="silent"):
        model(np.zeros(16_000))


def test_a_list_of_voices_is_a_list_of_results(model):
    waveforms = [voice(3.0, 1), voice(5.2, 2), voice(1.0, 3), voice(3.0, 4)]
    results = model(waveforms, exaggeration=0.5)
    for result, waveform in zip(results, waveforms):
        alone = model(waveform, exaggeration=0.5)
        np.testing.assert_allclose(result.feature, alone.feature, atol=1e-6)
        np.testing.assert_allclose(result.landmarks, alone.landmarks, atol=1e-3)
        difference = np.asarray(result.image, int) - np.asarray(alone.image, int)
        assert np.abs(difference).max() <= 1
    assert model([]) == [] and len(model((waveforms[0],))) == 1
    with pytest.raises(ValueError, match="recording 1 is silent"):
        model([voice(1.0), np.zeros(16_000)])


def test_the_keras_models_train_inside_a_users_own(tmp_path):
    """The encoder under a new classifier, the decoder's picture under a new loss."""
    model = make_model()
    waveform = keras.Input([None])
    feature = model.encoder(waveform)
    own = keras.Model(
        waveform,
        {
            "label": keras.layers.Dense(2, name="label")(feature),
            "image": model.decoder.model(feature)["image"],
        },
    )
    own.compile("sgd", {"label": "mse", "image": "mae"})
    encoder_before = [np.array(w) for w in model.encoder.trainable_variables]
    decoder_before = [np.array(w) for w in model.decoder.model.variables]
    targets = {
        "label": np.ones([2, 2], np.float32),
        "image": np.zeros([2, 224, 224, 3], np.float32),
    }
    own.fit(np.stack([voice(3.0, 1), voice(3.0, 2)]), targets, verbose=0)
    encoder_after = [np.array(w) for w in model.encoder.trainable_variables]
    assert all((a != b).any() for a, b in zip(encoder_before[-2:], encoder_after[-2:]))
    decoder_after = [np.array(w) for w in model.decoder.model.variables]
    frozen = not model.decoder.model.trainable
    moved = any((a != b).any() for a, b in zip(decoder_before, decoder_after))
    assert moved != frozen, "the bundle's decoder is frozen or it trains, as it says"
    own.save(tmp_path / "own.keras")
    again = keras.models.load_model(tmp_path / "own.keras")
    x = voice(3.0)[np.newaxis]
    np.testing.assert_allclose(
        again.predict(x, verbose=0)["label"],
        own.predict(x, verbose=0)["label"],
        atol=1e-5,
    )


def test_exaggeration_amplifies_the_deviation_from_the_average_face(model):
    feature = np.random.default_rng(4).normal(size=(1, DIM)).astype(np.float32)
    mean = model.decoder.mean_feature
    exaggerated = model.faces(feature, exaggeration=0.5)[0]
    by_hand = model.faces(mean + 1.5 * (feature - mean))[0]
    np.testing.assert_array_equal(exaggerated.image, by_hand.image)
    np.testing.assert_array_equal(exaggerated.feature, feature[0])
    plain = model.faces(feature)[0]
    assert np.any(np.asarray(plain.image) != np.asarray(exaggerated.image))


def test_reconstruct_writes_labelled_faces(model, tmp_path):
    (tmp_path / "b").mkdir()
    for path, seed in (("a.wav", 1), ("b/a.wav", 2), ("c.flac", 3)):
        soundfile.write(tmp_path / path, voice(3.0, seed), 16_000)
    recordings = [str(tmp_path / name) for name in ("a.wav", "b/a.wav", "c.flac")]
    reconstruction.reconstruct(model, recordings, tmp_path / "out")
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {
        "a.png",
        "a_2.png",
        "c.png",
        "contact_sheet.png",
        "results.json",
    }
    picture = Image.open(tmp_path / "out/a.png")
    assert picture.info["Description"] == reconstruction.LABEL
    assert picture.size[0] == 224 and picture.size[1] > 224, "the label is visible"
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert [result["image"] for result in results] == ["a.png", "a_2.png", "c.png"]
    expected = model.voice_features([audio.load_waveform(recordings[1])])[0]
    np.testing.assert_allclose(results[1]["feature"], expected, rtol=1e-5)
    assert np.shape(results[1]["landmarks"]) == (68, 2)


def test_one_bad_recording_writes_nothing(model, tmp_path):
    soundfile.write(tmp_path / "good.wav", voice(3.0), 16_000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    recordings = [str(tmp_path / "good.wav"), str(tmp_path / "silent.wav")]
    with pytest.raises(ValueError, match="silent.wav"):
        reconstruction.reconstruct(model, recordings, tmp_path / "out")
    assert not (tmp_path / "out").exists()


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
    true = (raw - 0.1) * 0.5  # the tiny decoder's normaliser, by hand
    np.testing.assert_allclose(predictions.face_features, true, rtol=1e-5, atol=1e-7)
    voices = [audio.fit_length(example.waveform, 48_000) for example in examples]
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
    from speech2face import dataset_info

    _, info = write_voice_dataset(tmp_path)
    other = dataclasses.replace(
        info, recognizer=dataset_info.RecognizerInfo("vgg_face", DIM, "3" * 64)
    )
    dataset_info.write(tmp_path, other)
    with pytest.raises(ValueError, match="features of vgg_face .* of dlib"):
        evaluation.predict(model, tmp_path, "train")


def test_a_type_checker_sees_the_class(monkeypatch):
    monkeypatch.setattr(typing, "TYPE_CHECKING", True)
    seen = runpy.run_path(speech2face.__file__)
    assert seen["Speech2Face"] is inference.Speech2Face is speech2face.Speech2Face
    assert pathlib.Path(speech2face.__file__).with_name("py.typed").is_file()
