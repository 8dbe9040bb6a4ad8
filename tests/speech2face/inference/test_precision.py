"""The voice encoder in bfloat16: near to float32, and nothing else changes."""

import json
import pickle

import keras
import numpy as np
import pytest
import soundfile

import speech2face
from speech2face import app, errors, reconstruct, system
from speech2face.exports import comparison, export_job
from speech2face.inference import reconstruction, streaming
from speech2face.models import campplus, voice_encoder
from tests.helpers.records import write_voice_dataset
from tests.helpers.tiny_models import make_decoder, make_model, tiny_config, train
from tests.helpers.voices import noise

NETWORKS = ("encoder", "decoder", "config")


@pytest.fixture(scope="module")
def models():
    return {
        precision: speech2face.load(precision=precision)
        for precision in ("float32", "bfloat16")
    }


@pytest.fixture(scope="module")
def voices():
    examples = app.examples_in(app.EXAMPLES_DIR)
    return [speech2face.load_waveform(path) for path in examples.values()]


@pytest.mark.slow
def test_faces_differ_slightly(models, voices):
    results = {name: model(voices) for name, model in models.items()}
    features = {
        name: np.stack([result.feature for result in of_model])
        for name, of_model in results.items()
    }
    cosine = comparison.smallest_cosine(features["float32"], features["bfloat16"])
    assert 0.998 < cosine < 0.9999999, "alike, and not the same arithmetic"
    for pair in zip(results["float32"], results["bfloat16"]):
        pictures = [np.asarray(result.image, int) for result in pair]
        assert np.abs(np.subtract(*pictures)).mean() < 2  # gray levels of 255


@pytest.mark.slow
def test_together_and_one_by_one_are_the_same(models, voices):
    model = models["bfloat16"]
    together = model.voice_features(voices)
    one_by_one = np.concatenate([model.voice_features([voice]) for voice in voices])
    assert comparison.smallest_cosine(together, one_by_one) > 0.9999


@pytest.mark.slow
def test_with_and_without_graphs_are_nearly_the_same(models, voices):
    """The optimizer joins bias and ReLU to a product, which saves a rounding."""
    optimized = models["bfloat16"].voice_features(voices)
    networks = (getattr(models["bfloat16"], name) for name in NETWORKS)
    with reconstruction.without_graph_optimization():
        as_traced = speech2face.Speech2Face(*networks).voice_features(voices)
    with reconstruction.for_a_single_run(1):
        without = models["bfloat16"].voice_features(voices)
    assert comparison.smallest_cosine(optimized, as_traced) > 0.999
    assert comparison.smallest_cosine(optimized, without) > 0.999


@pytest.mark.slow
def test_live_sound_is_the_whole(models, voices):
    live = streaming.StreamingSpeech2Face(models["bfloat16"])
    whole = np.tile(voices[0], 3)
    for start in range(0, len(whole), 8_000):
        live.push(whole[start : start + 8_000])
    expected = models["bfloat16"](whole).feature
    np.testing.assert_allclose(live.finish().feature, expected, atol=1e-6)


@pytest.mark.slow
def test_live_sound_does_not_wait_for_many_windows(models, voices, monkeypatch):
    encoder = models["float32"].piecewise_encoder
    sums, n_windows = encoder.sums, []

    def counted(pieces):
        n_windows.extend(piece.end for piece in pieces)
        return sums(pieces)

    monkeypatch.setattr(encoder, "sums", counted)
    live = streaming.StreamingSpeech2Face(models["float32"])
    sound = np.tile(voices[0], 40 * 16_000 // len(voices[0]) + 1)[: 40 * 16_000]
    for start in range(0, len(sound), 8_000):
        live.push(sound[start : start + 8_000])
    assert n_windows == [1] * 6  # of 6 s each, as soon as they are there


@pytest.mark.slow
def test_the_encoder_tells_its_precision(models):
    for name, model in models.items():
        networks = [getattr(model, attribute) for attribute in NETWORKS]
        assert speech2face.Speech2Face(*networks).precision == name


@pytest.mark.rehearsal
@pytest.mark.parametrize("trained_in", ["float32", "mixed_bfloat16"])
def test_a_run_folder_in_another_precision(tmp_path, trained_in):
    write_voice_dataset(tmp_path / "voices", n=13, n_shards=3, splits=("train", "val"))
    make_decoder().save(tmp_path / "decoder")
    config = tiny_config(precision=trained_in, epochs=0.5, validate_every=0)
    train(tmp_path, tmp_path / "run", config)
    features = []
    for precision in ("float32", "bfloat16"):
        model = speech2face.load(tmp_path / "run", precision=precision)
        assert model.precision == precision
        features.append(model.voice_features([noise(3.0)]))
    assert 0.99 < comparison.smallest_cosine(*features) < 0.9999999


@pytest.mark.slow
def test_only_the_large_kernels_are_narrow(models):
    layer = models["bfloat16"].encoder.get_layer("speaker_embedding")
    narrow = {w.name for w in layer.weights if w.dtype == "bfloat16"}
    assert narrow == campplus.large_kernels()
    n_narrow = sum(np.prod(campplus.packed_shapes()[name]) for name in narrow)
    assert n_narrow / 6_841_568 > 0.8
    learned = voice_encoder.learned_variables(models["bfloat16"].encoder)
    assert {variable.dtype for variable in learned} == {"float32"}


@pytest.mark.slow
def test_a_pickled_model_keeps_its_precision(models, voices):
    copy = pickle.loads(pickle.dumps(models["bfloat16"]))
    assert copy.precision == "bfloat16"
    pair = [model.voice_features(voices[:1]) for model in (copy, models["bfloat16"])]
    np.testing.assert_allclose(*pair, atol=1e-6)


@pytest.mark.slow
def test_a_saved_encoder_keeps_its_precision(models, voices, tmp_path):
    encoder = models["bfloat16"].encoder
    encoder.save(tmp_path / "encoder.keras")
    read = keras.saving.load_model(tmp_path / "encoder.keras")
    pair = [np.asarray(model(voices[0][None])) for model in (read, encoder)]
    np.testing.assert_allclose(*pair, atol=1e-6)


@pytest.mark.slow
def test_a_bundle_does_not_depend_on_the_precision(models, tmp_path):
    files = {}
    for name, model in models.items():
        model.save(tmp_path / name)
        files[name] = {
            path.name: path.read_bytes()
            for path in (tmp_path / name).iterdir()
            if path.is_file()
        }
    assert files["float32"] == files["bfloat16"]


@pytest.mark.slow
def test_other_runtimes_are_given_float32(models, tmp_path):
    with pytest.raises(errors.UserError, match="one in float32"):
        export_job.export(models["bfloat16"], tmp_path / "a", ["tflite"], ["float32"])
    assert not (tmp_path / "a").exists()


def test_table_1_computes_in_it(tmp_path):
    make_model().save(tmp_path / "bundle")
    models = [
        speech2face.load(tmp_path / "bundle", precision=precision)
        for precision in ("float32", "bfloat16")
    ]
    layers = models[1].encoder.get_layer("table_1").layers
    assert "bfloat16" in {layer.compute_dtype for layer in layers}
    features = [model.voice_features([noise(3.0)]) for model in models]
    assert features[1].dtype == np.float32
    assert 0.99 < comparison.smallest_cosine(*features) < 0.9999999


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "", None, np.ones(2)])
def test_another_precision_is_refused(precision):
    with pytest.raises(errors.UserError, match="expected one of float32, bfloat16"):
        speech2face.load(precision=precision)


@pytest.mark.parametrize("flags", ["avx2 fma", "avx512f avx512_bf16"])
def test_the_command_writes_its_precision_down(tmp_path, monkeypatch, capsys, flags):
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
    is_fast = system.has_fast_bfloat16(str(tmp_path / "cpuinfo"))
    monkeypatch.setattr(reconstruct, "has_fast_bfloat16", lambda: is_fast)
    make_model().save(tmp_path / "bundle")
    soundfile.write(tmp_path / "a.wav", noise(3.0), 16_000)
    options = reconstruct.ReconstructOptions(
        output_dir=str(tmp_path / "out"),
        audio=(str(tmp_path / "a.wav"),),
        model_dir=str(tmp_path / "bundle"),
        precision="bfloat16",
    )
    reconstruct.main(options)
    (row,) = json.loads((tmp_path / "out" / "results.json").read_text())
    assert row["precision"] == "bfloat16"
    note = "--precision=bfloat16: this hardware emulates it"
    assert (note in capsys.readouterr().out) == ("avx512_bf16" not in flags)
