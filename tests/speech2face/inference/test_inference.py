"""From recordings to faces: the loaded model and its folders."""

import os
import pathlib
import pickle
import runpy
import threading
import typing

import keras
import numpy as np
import pytest
import soundfile
from PIL import Image

import speech2face
from speech2face.audio import decoding, resampling
from speech2face.errors import UserError
from speech2face.inference import model as inference_model
from tests.helpers.paths import REPOSITORY
from tests.helpers.records import DIM, write_voice_dataset
from tests.helpers.tiny_models import make_decoder, make_model, tiny_config, train
from tests.helpers.voices import noise


@pytest.fixture(scope="module")
def model():
    return make_model()


def test_a_bundle_is_read_back_exactly(model, tmp_path):
    model.save(tmp_path / "bundle")
    loaded = inference_model.Speech2Face.load(tmp_path / "bundle")
    waveforms = [noise(3.0), noise(2.8)]
    np.testing.assert_array_equal(
        loaded.voice_features(waveforms), model.voice_features(waveforms)
    )
    assert loaded.decoder.checksum() == model.decoder.checksum()
    (tmp_path / "bundle/voice_encoder.npz").write_bytes(b"junk")
    with pytest.raises(ValueError, match="is damaged"):
        inference_model.Speech2Face.load(tmp_path / "bundle")
    with pytest.raises(FileNotFoundError, match="there is no model"):
        inference_model.Speech2Face.load(tmp_path / "nothing")


@pytest.mark.parametrize(
    "waveform, rate_hz, advice",
    [
        (None, 16_000, "neither the path of a file nor an array"),
        (np.ones(16_000, complex), 16_000, "has the type complex128; expected"),
        ([0.1, 0.2, 0.3], 16_000, "one path or array per recording"),
        (np.zeros((2, 16_000)), 16_000, r"give waveform\.T"),
        (np.zeros(16_000, bool), 16_000, "has the type bool; expected numbers"),
        (np.zeros((3, 2, 1)), 16_000, "expected .n. or .n, channels."),
        (np.zeros(16_000), 0, "sample_rate_hz is 0"),
    ],
)
def test_other_values_are_refused_with_advice(model, waveform, rate_hz, advice):
    with pytest.raises(ValueError, match=advice):
        model(waveform, rate_hz)


@pytest.mark.slow
def test_a_run_folder_is_the_model_it_ended_with(tmp_path):
    write_voice_dataset(tmp_path / "voices", n=13, n_shards=3, splits=("train", "val"))
    make_decoder().save(tmp_path / "decoder")
    with pytest.raises(FileNotFoundError, match="not a run folder"):
        inference_model.Speech2Face.load(tmp_path / "voices")
    train(tmp_path, tmp_path / "run", tiny_config(epochs=0.5, validate_every=0))
    loaded = inference_model.Speech2Face.load(tmp_path / "run")
    loaded.save(tmp_path / "bundle")
    bundle = inference_model.Speech2Face.load(tmp_path / "bundle")
    np.testing.assert_array_equal(
        loaded.voice_features([noise(3.0)]), bundle.voice_features([noise(3.0)])
    )
    fresh = make_model().voice_features([noise(3.0)])
    assert not np.allclose(loaded.voice_features([noise(3.0)]), fresh)


def test_short_recordings_are_tiled_and_long_ones_used_whole(model):
    short = noise(1.0)
    tiled = np.tile(short, 3)[: round(2.7 * 16_000)]
    np.testing.assert_array_equal(
        model.voice_features([short]), model.voice_features([tiled])
    )
    long = noise(5.0)
    whole, start = model.voice_features([long]), model.voice_features([long[:43_200]])
    assert not np.allclose(whole, start)


def test_the_call_resamples_and_mixes_down(model):
    soundtrack = noise(3.0)
    direct = model(soundtrack)
    stereo_48k = resampling.resample(soundtrack, 16_000, 48_000)
    stereo_48k = np.stack([stereo_48k, stereo_48k], axis=1)
    result = model(stereo_48k, sample_rate_hz=48_000)
    assert result.image.size == (224, 224) and result.landmarks.shape == (68, 2)
    cosine = np.dot(result.feature, direct.feature) / (
        np.linalg.norm(result.feature) * np.linalg.norm(direct.feature)
    )
    assert cosine > 0.99
    with pytest.raises(ValueError, match="silent"):
        model(np.zeros(16_000))


def test_a_file_is_the_sound_in_it(model, tmp_path):
    path = tmp_path / "voice.wav"
    soundfile.write(path, resampling.resample(noise(3.0), 16_000, 22_050), 22_050)
    expected = model(decoding.load_waveform(path)).feature
    for voice in (path, str(path)):
        np.testing.assert_array_equal(model(voice).feature, expected)
    both = model([path, noise(3.0)])
    np.testing.assert_allclose(both[0].feature, expected, atol=1e-5)
    with pytest.raises(FileNotFoundError, match=r"gone\.wav"):
        model("gone.wav")
    for call in (model, speech2face.load):
        with pytest.raises(UserError, match="the path is empty"):
            call("")


@pytest.mark.slow
def test_load_is_the_three_lines_of_the_readme(tmp_path):
    model = speech2face.load()
    result = model(REPOSITORY / "speech2face" / "examples" / "woman_27.ogg")
    result.image.save(tmp_path / "face.png")
    assert Image.open(tmp_path / "face.png").size == (224, 224)


@pytest.mark.parametrize("dtype", ["int16", "int32", "uint8"])
def test_integers_are_scaled_by_their_full_range(model, dtype):
    scale = 2.0 ** (8 * np.dtype(dtype).itemsize - 1)
    middle = scale if dtype[0] == "u" else 0
    integers = np.round(noise(3.0) * (scale - 1) + middle).astype(dtype)
    expected = model((integers.astype(np.float64) - middle) / scale)
    np.testing.assert_allclose(model(integers).feature, expected.feature, atol=1e-4)


@pytest.mark.parametrize(
    "features, message",
    [
        (np.zeros(DIM, np.float32), r"expected numbers \[b, 8\]: give x\[None\]"),
        (np.zeros([2, DIM + 1], np.float32), r"float32 \[2, 9\]; expected"),
        (np.full([1, DIM], np.nan, np.float32), "NaN or infinite"),
        (np.full([1, DIM], "x"), "expected numbers"),
    ],
)
def test_a_wrong_feature_is_refused_and_other_threads_go_on(features, message):
    # A new model: TensorFlow traces it, and kept its lock where that failed.
    model = make_model()
    with pytest.raises(UserError, match=message):
        model.faces(features)
    faces = []
    thread = threading.Thread(
        target=lambda: faces.extend(model.faces(np.zeros([1, DIM]))), daemon=True
    )
    thread.start()
    thread.join(120)
    assert len(faces) == 1


def test_a_fork_of_the_process_is_refused_at_once(model):
    model(noise(3.0))
    process = os.fork()
    if not process:
        try:
            model(noise(3.0))
        except UserError as error:
            os._exit(3 if error.reason == "forked" else 4)
        os._exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 3


def test_a_model_is_pickled_with_its_weights(model):
    copy = pickle.loads(pickle.dumps(model))
    assert copy.config == model.config
    np.testing.assert_array_equal(copy(noise(3.0)).feature, model(noise(3.0)).feature)
    np.testing.assert_array_equal(copy(noise(3.0)).image, model(noise(3.0)).image)


def test_other_shapes_of_waveforms_are_refused(model):
    with pytest.raises(UserError, match=r"expected numbers \[b, n\]"):
        model.encode(noise(3.0))
    with pytest.raises(UserError, match=r"expected numbers \[n\]"):
        model.voice_features([noise(3.0)[None]])


def test_a_list_of_voices_is_a_list_of_results(model):
    waveforms = [noise(3.0, 1), noise(5.2, 2), noise(1.0, 3), noise(3.0, 4)]
    results = model(waveforms, exaggeration=0.5)
    for result, waveform in zip(results, waveforms):
        alone = model(waveform, exaggeration=0.5)
        np.testing.assert_allclose(result.feature, alone.feature, atol=1e-6)
        np.testing.assert_allclose(result.landmarks, alone.landmarks, atol=1e-3)
        difference = np.asarray(result.image, int) - np.asarray(alone.image, int)
        assert np.abs(difference).max() <= 1
    assert model([]) == [] and len(model((waveforms[0],))) == 1
    with pytest.raises(ValueError, match="recording 1 is silent"):
        model([noise(1.0), np.zeros(16_000)])


def test_many_voices_are_computed_in_groups(model, monkeypatch):
    """Of at most the limits, in their order: memory does not grow with their number."""
    waveforms = [noise(1.0 + 0.3 * i, i) for i in range(5)]
    together = model(waveforms)
    sizes = []
    features, decode = model.piecewise_encoder.features, model._decode

    def counted(name, function):
        def call(items):
            sizes.append((name, len(items)))
            return function(items)

        return call

    encoder = model.piecewise_encoder
    monkeypatch.setattr(encoder, "features", counted("features", features))
    monkeypatch.setattr(model, "_decode", counted("decode", decode))
    monkeypatch.setattr(inference_model, "_RECORDINGS_AT_ONCE", 3)
    monkeypatch.setattr(inference_model, "_FACES_AT_ONCE", 2)
    for one, other in zip(model(waveforms), together):
        np.testing.assert_allclose(one.feature, other.feature, atol=1e-6)
        np.testing.assert_allclose(one.landmarks, other.landmarks, atol=1e-3)
    assert sizes == [
        *(("features", n) for n in (3, 2)),
        *(("decode", n) for n in (2, 2, 1)),
    ]


@pytest.mark.slow
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
    own.fit(np.stack([noise(3.0, 1), noise(3.0, 2)]), targets, verbose=0)
    encoder_after = [np.array(w) for w in model.encoder.trainable_variables]
    assert all((a != b).any() for a, b in zip(encoder_before[-2:], encoder_after[-2:]))
    decoder_after = [np.array(w) for w in model.decoder.model.variables]
    frozen = not model.decoder.model.trainable
    moved = any((a != b).any() for a, b in zip(decoder_before, decoder_after))
    assert moved != frozen, "the bundle's decoder is frozen or it trains, as it says"
    own.save(tmp_path / "own.keras")
    again = keras.models.load_model(tmp_path / "own.keras")
    x = noise(3.0)[np.newaxis]
    np.testing.assert_allclose(
        again.predict(x, verbose=0)["label"],
        own.predict(x, verbose=0)["label"],
        atol=1e-5,
    )


@pytest.mark.parametrize("factor", [np.nan, np.inf, 1e99, -11, True, "1"])
def test_exaggeration_out_of_bounds(model, factor):
    feature = model.decoder.mean_feature[np.newaxis]
    with pytest.raises(UserError, match=r"exaggeration=.*: expected a number from -10"):
        model.faces(feature, exaggeration=factor)


@pytest.mark.parametrize("factor", [-10, 10, np.float32(0.5)])
def test_exaggeration_within_its_bounds_is_a_face(model, factor):
    feature = model.decoder.mean_feature[np.newaxis] + 0.1
    (face,) = model.faces(feature, exaggeration=factor)
    assert np.isfinite(face.landmarks).all() and face.image.size == (224, 224)


def test_exaggeration_amplifies_the_deviation_from_the_average_face(model):
    feature = np.random.default_rng(4).normal(size=(1, DIM)).astype(np.float32)
    mean = model.decoder.mean_feature
    exaggerated = model.faces(feature, exaggeration=0.5)[0]
    by_hand = model.faces(mean + 1.5 * (feature - mean))[0]
    np.testing.assert_array_equal(exaggerated.image, by_hand.image)
    np.testing.assert_array_equal(exaggerated.feature, feature[0])
    plain = model.faces(feature)[0]
    assert np.any(np.asarray(plain.image) != np.asarray(exaggerated.image))


def test_a_type_checker_sees_the_class(monkeypatch):
    monkeypatch.setattr(typing, "TYPE_CHECKING", True)
    seen = runpy.run_path(speech2face.__file__)
    assert seen["Speech2Face"] is inference_model.Speech2Face is speech2face.Speech2Face
    assert pathlib.Path(speech2face.__file__).with_name("py.typed").is_file()


def test_a_bundle_replaces_a_bundle_and_nothing_else(model, tmp_path):
    model.save(tmp_path / "bundle")
    model.save(tmp_path / "bundle")
    (tmp_path / "bundle" / "notes.txt").write_text("mine")
    (tmp_path / "thesis.txt").write_text("mine")
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "config.json").write_text("mine")
    for name in ("bundle", "thesis.txt", "photographs"):
        with pytest.raises(UserError) as error:
            model.save(tmp_path / name)
        assert error.value.reason == "foreign_files"
    for name in ("bundle/notes.txt", "thesis.txt", "photographs/config.json"):
        assert (tmp_path / name).read_text() == "mine"
