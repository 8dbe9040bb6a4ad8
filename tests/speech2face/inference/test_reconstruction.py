"""The reconstruct command: its faces, the way between two, its folder, its graphs."""

import json

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from PIL import Image

from speech2face import images
from speech2face.audio import decoding
from speech2face.inference import model as inference_model
from speech2face.inference import reconstruction
from tests.helpers.tiny_models import make_model
from tests.helpers.voices import noise


@pytest.fixture(scope="module")
def model():
    return make_model()


def test_unoptimized_graphs_give_the_same(model):
    def off():
        options = tf.config.optimizer.get_experimental_options()
        return options.get("disable_meta_optimizer", False)

    waveform = noise(3.0)
    expected = model(waveform)
    with reconstruction.without_graph_optimization():
        assert off()
        other = inference_model.Speech2Face(model.encoder, model.decoder, model.config)
        result = other(waveform)
    assert not off()
    np.testing.assert_allclose(result.feature, expected.feature, atol=1e-5)
    pictures = [np.asarray(one.image, np.int16) for one in (result, expected)]
    assert np.abs(np.subtract(*pictures)).max() <= 1


def test_operation_by_operation_gives_the_same(model):
    expected = model(noise(3.0))
    with reconstruction.for_a_single_run(1):
        assert tf.config.functions_run_eagerly()
        result = model(noise(3.0))
    assert not tf.config.functions_run_eagerly()
    np.testing.assert_allclose(result.feature, expected.feature, atol=1e-5)
    pictures = [np.asarray(one.image, np.int16) for one in (result, expected)]
    assert np.abs(np.subtract(*pictures)).max() <= 1


def test_the_way_between_two_voices(model, tmp_path):
    paths = [tmp_path / "a.wav", tmp_path / "b.wav"]
    for seed, path in enumerate(paths):
        soundfile.write(path, noise(3.0, seed), 16_000)
    out = tmp_path / "out"
    results = reconstruction.reconstruct(model, [], out, between=paths)
    n_faces, n_between = reconstruction.N_BETWEEN, 2
    with Image.open(out / "between.gif") as animation:
        assert animation.n_frames == 2 * n_faces - n_between  # there and back
        assert images.is_made_by_model(out / "between.gif")
        first = np.asarray(animation.convert("RGB"), np.float32)[:224, :224]
        animation.seek(n_faces - 1)
        last = np.asarray(animation.convert("RGB"), np.float32)[:224, :224]
    for shown, result in zip((first, last), results):
        # 256 colors: near the picture, and nearer than to the other one.
        assert np.abs(shown - np.asarray(result.image)).mean() < 8
    middle = reconstruction.faces_between(
        model, results[0].feature, results[1].feature, n_faces=3
    )[1]
    mean = (results[0].feature + results[1].feature) / 2
    (expected,) = model.faces(mean[None])
    assert np.abs(middle.astype(int) - np.asarray(expected.image, int)).max() <= 1


def test_reconstruct_writes_labeled_faces(model, tmp_path):
    (tmp_path / "b").mkdir()
    for path, seed in (("a.wav", 1), ("b/a.wav", 2), ("c.flac", 3)):
        soundfile.write(tmp_path / path, noise(3.0, seed), 16_000)
    recordings = [str(tmp_path / name) for name in ("a.wav", "b/a.wav", "c.flac")]
    reconstruction.reconstruct(model, recordings, tmp_path / "out")
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert reconstruction._unique_names(["A.wav", "x/a.wav", "a_2.wav"]) == [
        "A",
        "a_2",
        "a_2_3",
    ]
    assert written == {
        ".speech2face",
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
    expected = model.voice_features([decoding.load_waveform(recordings[1])])[0]
    np.testing.assert_allclose(results[1]["feature"], expected, rtol=1e-5)
    assert np.shape(results[1]["landmarks"]) == (68, 2)


def test_one_bad_recording_writes_nothing(model, tmp_path):
    soundfile.write(tmp_path / "good.wav", noise(3.0), 16_000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    recordings = [str(tmp_path / "good.wav"), str(tmp_path / "silent.wav")]
    with pytest.raises(ValueError, match=r"silent.wav"):
        reconstruction.reconstruct(model, recordings, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a.png", "contact_sheet.png", "results.json"])
def test_reconstruct_replaces_no_file_of_the_user(model, tmp_path, name):
    soundfile.write(tmp_path / "a.wav", noise(3.0, 1), 16_000)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(ValueError, match=f"{name} exists"):
        reconstruction.reconstruct(model, [tmp_path / "a.wav"], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]
    assert (tmp_path / "out" / name).read_text() == "mine"
