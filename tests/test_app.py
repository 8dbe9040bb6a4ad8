"""The parts of the web page, without a browser."""

import base64
import io
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import scipy.signal
import soundfile
from conftest import REPOSITORY
from PIL import Image
from test_pretrained import voice as buzz

from speech2face import app, audio
from speech2face.inference import Speech2Face
from speech2face.web import server, spectrograms, texts, views, voices

EXAMPLES = REPOSITORY / "speech2face" / "examples"
LIMITS = voices.Limits(max_mb=1, max_secs=4.0)


@pytest.fixture(scope="module")
def model():
    return Speech2Face.load()


@pytest.fixture(scope="module")
def voice(model):
    *_, listener = voices.listen_to_file(
        model, EXAMPLES / "man_24.ogg", voices.Limits(1, 60.0)
    )
    return listener.finish()


def pictures_in(page):
    """The pictures inside HTML, as arrays."""
    found = re.findall(r"data:image/png;base64,([^\"]+)", page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(f)))) for f in found]


def test_a_voice_heard_second_by_second_is_the_voice_of_the_file(model, voice):
    waveform = audio.load_waveform(str(EXAMPLES / "man_24.ogg"))
    whole = model(waveform)
    np.testing.assert_allclose(voice.waveform, waveform, atol=1e-4)
    cosine = np.dot(voice.feature, whole.feature) / (
        np.linalg.norm(voice.feature) * np.linalg.norm(whole.feature)
    )
    assert cosine > 0.9999
    for feature, secs in ((voice.short_feature, 3), (voice.long_feature, 6)):
        expected = model(waveform[: secs * 16_000]).feature
        np.testing.assert_allclose(feature, expected, atol=2e-3)


def test_a_face_is_there_before_the_end(model):
    faces = [
        listener.face()
        for listener in voices.listen_to_file(model, EXAMPLES / "man_24.ogg", LIMITS)
    ]
    assert len(faces) == 4 and all(faces)
    changes = [np.abs(a.feature - b.feature).sum() for a, b in zip(faces, faces[1:])]
    assert min(changes) > 0


def test_long_files_do_not_show_every_second(model, tmp_path):
    sound, rate_hz = soundfile.read(EXAMPLES / "man_24.ogg")
    soundfile.write(tmp_path / "long.wav", np.resize(sound, 20 * rate_hz), rate_hz)
    limits = voices.Limits(max_mb=10, max_secs=60.0)
    heard = [
        listener.secs
        for listener in voices.listen_to_file(model, tmp_path / "long.wav", limits)
    ]
    assert heard == [1, 2, 3, 4, 5, 6, 12, 18, 20]


def test_what_comes_after_the_limit_is_not_heard(model):
    *_, listener = voices.listen_to_file(model, EXAMPLES / "man_24.ogg", LIMITS)
    cut = listener.finish()
    assert cut.secs == pytest.approx(4.0, abs=0.01) and cut.is_cut
    assert "What came later was not used" in views.whole(model, cut, 0.0)


def test_a_view_shows_the_faces_of_the_model(model, voice):
    shown = pictures_in(views.whole(model, voice, 0.5))
    features = [voice.feature, voice.short_feature, voice.long_feature]
    face, short, long = (
        np.asarray(result.image) for result in model.faces(np.stack(features), 0.5)
    )
    np.testing.assert_array_equal(shown[0], face)
    np.testing.assert_array_equal(shown[2], short)
    np.testing.assert_array_equal(shown[3], long)
    assert len(shown) == 5, "face, cartoon, 3 s, 6 s, spectrogram"
    assert "Exaggerated by 0.5: not what the model predicts" in views.whole(
        model, voice, 0.5
    )
    assert "Exaggerated" not in views.whole(model, voice, 0.0)


def test_two_equal_voices_are_at_0_degrees(model, voice):
    shown = views.comparison(model, voice, voice, 0.0)
    assert "are 0° apart" in shown and len(pictures_in(shown)) == 6


def test_names_are_escaped():
    shown = views.error(ValueError("<script>alert(1)</script> is silent"))
    assert "<script>" not in shown and "muted" in shown


def test_spectrogram_levels_equal_scipys():
    waveform = buzz()
    window = scipy.signal.get_window("hann", 400)  # periodic
    frames = np.lib.stride_tricks.sliding_window_view(waveform, 400)[::160]
    power = np.abs(np.fft.rfft(frames * window, 512)) ** 2
    expected = 10 * np.log10(power / power.max())
    levels = spectrograms.decibels(waveform)
    loud = expected > -60
    np.testing.assert_allclose(levels[loud], expected[loud], atol=0.05)


def test_spectrogram_has_time_to_the_right_and_pitch_upwards():
    time = np.arange(32_000) / 16_000
    tone = np.where(time < 1, np.sin(2 * np.pi * 6000 * time), 0)
    tone += np.where(time >= 1, np.sin(2 * np.pi * 1000 * time), 0)
    picture = spectrograms.draw(tone.astype(np.float32)).astype(int).sum(axis=2)
    left, right = picture[:200, 150], picture[:200, 450]
    assert left.argmax() == pytest.approx(200 * (1 - 6 / 8), abs=3)
    assert right.argmax() == pytest.approx(200 * (1 - 1 / 8), abs=3)


@pytest.mark.parametrize(
    "content, reason, advice",
    [
        (np.zeros(32_000), "is silent", "muted"),
        (np.ones(160) * 0.1, "0.010 s of sound", "six are best"),
        (np.ones(1600) * 0.1, "0.10 s of sound; 0.5 s is the", "six are best"),
        (None, "unreadable as audio or video", "plays on your computer"),
    ],
)
def test_what_is_no_voice_is_explained(model, tmp_path, content, reason, advice):
    path = tmp_path / "try.wav"
    if content is None:
        path.write_text("no sound at all")
    else:
        soundfile.write(path, content, 16_000)
    with pytest.raises(ValueError) as caught:
        *_, listener = voices.listen_to_file(model, path, LIMITS)
        listener.finish()
    shown = views.error(caught.value)
    assert "try.wav" in shown and reason in shown and advice in shown
    assert str(tmp_path) not in shown


def test_a_file_over_the_limit_is_not_read(model, tmp_path):
    with open(tmp_path / "huge.wav", "wb") as file:
        file.truncate(2 << 30)  # sparse
    with pytest.raises(ValueError, match="huge.wav is 2048 MB large; up to 1 MB"):
        next(voices.listen_to_file(model, tmp_path / "huge.wav", LIMITS))


def test_an_uploaded_file_is_deleted_whatever_happens(tmp_path):
    for is_good in (True, False):
        path = tmp_path / "0123abcd" / "voice.wav"
        path.parent.mkdir()
        path.write_bytes(b"sound")
        try:
            with voices.uploaded(str(path)) as uploaded:
                assert uploaded.read_bytes() == b"sound"
                if not is_good:
                    raise ValueError
        except ValueError:
            pass
        assert list(tmp_path.iterdir()) == []


def test_stale_uploads_are_swept(tmp_path):
    (tmp_path / "a").mkdir()
    for name, age_secs in (("a/old", 400), ("a/new", 1)):
        (tmp_path / name).write_bytes(b"sound")
        then = time.time() - age_secs
        os.utime(tmp_path / name, (then, then))
    server.sweep(str(tmp_path), 300)
    assert not (tmp_path / "a/old").exists() and (tmp_path / "a/new").exists()


def test_the_examples_are_generated_voices(tmp_path):
    """The files that ship are what data_prep.example_voices speaks."""
    pytest.importorskip("espeakng_loader")
    from data_prep import sample_voices

    names = sample_voices.write_examples(tmp_path)
    assert {path.name for path in EXAMPLES.iterdir()} == set(names)
    for name in names:
        ours, _ = soundfile.read(EXAMPLES / name)
        again, _ = soundfile.read(tmp_path / name)
        n = min(len(ours), len(again))
        assert n > 6 * 22_050 and abs(len(ours) - len(again)) < 100
        assert np.corrcoef(ours[:n], again[:n])[0, 1] > 0.98


def test_the_page_says_what_it_is_not():
    assert "not the\nspeaker" in texts.NOTE and "Not identification" in texts.ABOUT


@pytest.mark.parametrize(
    "change, complaint",
    [
        ({"examples_dir": "nowhere"}, "no folder of examples"),
        ({"model_dir": "nowhere"}, "there is no model"),
        ({"max_secs": 0.5}, "must be at least 1"),
    ],
)
def test_a_wrong_option_is_one_line(change, complaint):
    pytest.importorskip("gradio")
    with pytest.raises((FileNotFoundError, ValueError), match=complaint):
        app.main(app.AppOptions(**change))


@pytest.mark.parametrize("is_serving", [False, True])
def test_a_stopped_server_leaves_nothing(tmp_path, is_serving):
    pytest.importorskip("gradio")
    started = subprocess.Popen(
        [sys.executable, "-m", "speech2face.app", f"--port={free_port()}"],
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if is_serving:
            assert "open http://127.0.0.1:" in started.stdout.readline()
        while not list(tmp_path.glob("speech2face_app_*")):
            assert started.poll() is None
            time.sleep(0.01)
        started.send_signal(signal.SIGTERM)
        assert started.wait(120) == 0
    finally:
        started.kill()
        started.stdout.close()
    assert list(tmp_path.glob("speech2face_app_*")) == []


def free_port():
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def temporary_files():
    """What the page that runs in this process has on the disk."""
    folder = pathlib.Path(os.environ["GRADIO_TEMP_DIR"])
    return [path for path in folder.rglob("*") if path.is_file()]
