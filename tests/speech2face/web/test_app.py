"""The parts of the web page, without a browser."""

import itertools
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest
import scipy.signal
import soundfile

from speech2face import app
from speech2face.audio import decoding, voice_activity
from speech2face.errors import UserError
from speech2face.images import MARGIN_PX
from speech2face.inference.model import Speech2Face
from speech2face.paper import FACE_PX
from speech2face.web import private_folder, spectrograms, texts, views, voices
from speech2face.web.limits import Limits
from tests.helpers.paths import REPOSITORY
from tests.helpers.voices import buzz
from tests.helpers.web import EXAMPLES, free_port, pictures_in

LIMITS = Limits(max_mb=1, max_secs=4.0)


def cosine(a, b):
    return np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)


@pytest.fixture(scope="module")
def model():
    return Speech2Face.load()


@pytest.fixture(scope="module")
def voice(model):
    *_, recorder = voices.record_file(model, EXAMPLES / "man_24.ogg", Limits(1, 60.0))
    return recorder.finish()


@pytest.mark.slow
def test_a_voice_in_blocks_equals_the_voice_of_the_file(model, voice):
    waveform = decoding.load_waveform(str(EXAMPLES / "man_24.ogg"))
    whole = model(waveform)
    np.testing.assert_allclose(voice.waveform, waveform, atol=1e-4)
    assert cosine(voice.feature, whole.feature) > 0.9999
    speech = np.concatenate(list(voice_activity.trim([waveform])))
    assert voice.speech_secs == len(speech) / 16_000
    for feature, secs in ((voice.short_feature, 3), (voice.long_feature, 6)):
        expected = model(speech[: secs * 16_000]).feature
        np.testing.assert_allclose(feature, expected, atol=2e-3)


def test_a_silent_start_is_not_one_of_the_three_seconds(model, voice, tmp_path):
    silence = np.zeros(3 * 16_000, np.float32)
    late = np.concatenate([silence, voice.waveform])
    soundfile.write(tmp_path / "late.wav", late, 16_000)
    *_, recorder = voices.record_file(model, tmp_path / "late.wav", Limits(5, 60.0))
    heard = recorder.finish().short_feature
    # Up to 0.3 s before the speech are heard, too; 3 s of silence would give 0.4.
    assert cosine(heard, voice.short_feature) > 0.9


def test_each_block_changes_the_face_so_far(model):
    faces = [
        recorder.face_so_far()
        for recorder in voices.record_file(model, EXAMPLES / "man_24.ogg", LIMITS)
    ]
    assert len(faces) == 4 and all(faces)
    changes = [
        np.abs(a.feature - b.feature).sum() for a, b in itertools.pairwise(faces)
    ]
    assert min(changes) > 0


def test_long_files_have_longer_blocks(model, tmp_path):
    sound, rate_hz = soundfile.read(EXAMPLES / "man_24.ogg")
    soundfile.write(tmp_path / "long.wav", np.resize(sound, 20 * rate_hz), rate_hz)
    limits = Limits(max_mb=10, max_secs=60.0)
    heard = [
        recorder.secs
        for recorder in voices.record_file(model, tmp_path / "long.wav", limits)
    ]
    assert heard == [1, 2, 3, 4, 5, 6, 12, 18, 20]


def test_sound_after_the_limit_is_ignored(model):
    *_, recorder = voices.record_file(model, EXAMPLES / "man_24.ogg", LIMITS)
    cut = recorder.finish()
    assert cut.secs == pytest.approx(4.0, abs=0.01) and cut.is_cut
    assert "The rest of the recording was not used" in views.one_voice(model, cut, 0.0)


def test_one_voice_shows_the_faces_of_the_model(model, voice):
    shown = pictures_in(views.one_voice(model, voice, 0.5))
    features = [voice.feature, voice.short_feature, voice.long_feature]
    face, short, long = (
        np.asarray(result.image) for result in model.faces(np.stack(features), 0.5)
    )
    np.testing.assert_array_equal(shown[0], face)
    np.testing.assert_array_equal(shown[2], short)
    np.testing.assert_array_equal(shown[3], long)
    assert len(shown) == 5, "face, cartoon, 3 s, 6 s, spectrogram"
    assert "Exaggerated by 0.5: not what the model predicts" in views.one_voice(
        model, voice, 0.5
    )
    assert "Exaggerated" not in views.one_voice(model, voice, 0.0)


@pytest.mark.slow
def test_two_voices_show_the_way_between_them(model, voice):
    page = views.two_voices(model, voice, voice, 0.0)
    still = pictures_in(page)[2]
    step = FACE_PX + MARGIN_PX
    assert still.shape[:2] == (step + MARGIN_PX, 5 * step + MARGIN_PX)
    assert "data:image/gif;base64," in page


@pytest.mark.slow
def test_warming_up_shows_a_whole_voice(model, monkeypatch):
    pytest.importorskip("gradio")
    from speech2face.web.handlers import Handlers

    shown = []
    real = views.one_voice
    monkeypatch.setattr(views, "one_voice", lambda *args: shown.append(real(*args)))
    Handlers(model, LIMITS, {}, uploads=None).warm_up()
    assert len(pictures_in(shown[0])) > 1


@pytest.mark.slow
def test_equal_voices_are_0_degrees_apart(model, voice):
    shown = views.two_voices(model, voice, voice, 0.0)
    assert "are 0° apart" in shown and len(pictures_in(shown)) == 7


def test_names_are_escaped():
    name = "<script>alert(1)</script>"
    shown = views.error(UserError(f"{name} is silent", reason="silent"))
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
        (
            0.1 * np.sin(np.arange(1600)),
            "0.10 s of sound; at least 0.5 s",
            "six are best",
        ),
        (None, "unreadable as audio or video", "plays on your computer"),
    ],
)
def test_unusable_recordings_are_explained(model, tmp_path, content, reason, advice):
    path = tmp_path / "try.wav"
    if content is None:
        path.write_text("no sound at all")
    else:
        soundfile.write(path, content, 16_000)
    with pytest.raises(ValueError) as caught:
        *_, recorder = voices.record_file(model, path, LIMITS)
        recorder.finish()
    shown = views.error(caught.value)
    assert "try.wav" in shown and reason in shown and advice in shown
    assert str(tmp_path) not in shown


def test_a_file_over_the_limit_is_not_read(model, tmp_path):
    with (tmp_path / "huge.wav").open("wb") as file:
        file.truncate(2 << 30)  # sparse
    with pytest.raises(ValueError, match=r"huge\.wav is 2048 MB large; up to 1 MB"):
        next(voices.record_file(model, tmp_path / "huge.wav", LIMITS))


def test_the_examples_are_generated_voices(tmp_path):
    """The files that ship are what tools.example_voices speaks."""
    pytest.importorskip("espeakng_loader")
    from data_prep.sample import voices as sample_voices

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


def test_what_is_no_recording_is_no_example(tmp_path):
    for name in ("man_24.ogg", "Talk.MP4", "._man_24.ogg", ".DS_Store", "README.md"):
        (tmp_path / name).touch()
    assert list(app.examples_in(tmp_path)) == ["Talk", "Man 24"]
    for path in tmp_path.glob("[Tm]*"):
        path.unlink()
    with pytest.raises(ValueError, match="has no recordings"):
        app.examples_in(tmp_path)


@pytest.mark.parametrize(
    "change, complaint",
    [
        ({"examples_dir": "nowhere"}, "no folder of examples"),
        ({"model_dir": "nowhere"}, "is not a run folder or a bundle"),
        ({"max_secs": 0.5}, "max_secs=0.5: expected a number from 1 to"),
    ],
)
def test_a_wrong_option_is_one_line(change, complaint):
    pytest.importorskip("gradio")
    with pytest.raises((FileNotFoundError, ValueError), match=complaint):
        app.main(app.AppOptions(**change))


@pytest.mark.parametrize("port", ["99999", "0", "busy"])
def test_a_port_that_cannot_be_served_is_one_line(port):
    pytest.importorskip("gradio")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        if port == "busy":
            port = str(listening.getsockname()[1])
        ended = subprocess.run(
            [sys.executable, "-m", "speech2face.app", f"--port={port}"],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode == 1 and ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ") and port in line and "port" in line


def test_addresses_are_checked_before_the_model_is_loaded():
    app.check_address("127.0.0.1", free_port())
    app.check_address("0.0.0.0", free_port())
    for host in ("no.such.host.invalid", "192.0.2.1"):  # reserved for documentation
        with pytest.raises(OSError, match=f"cannot serve at {host}:7860"):
            app.check_address(host, 7860)


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("is_serving", [False, True])
def test_a_stopped_server_leaves_nothing(fork_server, tmp_path, is_serving, end):
    """Even if it was killed: the next one deletes what was left."""
    pytest.importorskip("gradio")
    others = tmp_path / "speech2face_app_of_somebody"
    others.symlink_to(REPOSITORY)
    port = f"--port={free_port()}"
    started = fork_server.start("speech2face.app", port, TMPDIR=str(tmp_path))
    try:
        while is_serving and "open http://127.0.0.1:" not in started.stdout:
            assert started.poll() is None, started.stderr
            time.sleep(0.05)
        while not list(tmp_path.glob("speech2face_app_[0-9]*")):
            assert started.poll() is None
            time.sleep(0.01)
        started.send_signal(end)
        assert started.wait(120) == (0 if end == signal.SIGTERM else -end)
    finally:
        started.kill()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path))
        if end == signal.SIGKILL:
            assert list(tmp_path.glob("speech2face_app_[0-9]*"))
            private_folder.sweep_abandoned()
    assert list(tmp_path.iterdir()) == [others] and (REPOSITORY / "setup.py").exists()


def test_a_folder_that_is_in_use_is_not_swept(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    foreign = tmp_path / "notes"
    foreign.mkdir()
    with private_folder.private_folder() as first:
        os.utime(first, (0, 0))  # served for long
        with private_folder.private_folder() as second:
            assert pathlib.Path(first).is_dir() and first != second
            assert pathlib.Path(second).stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == [foreign]


def test_the_options_reach_the_model(monkeypatch):
    pytest.importorskip("gradio")
    from speech2face.web import server

    asked = []

    def load(*arguments):
        asked.append(arguments)
        raise UserError("enough")

    monkeypatch.setattr(server.Speech2Face, "load", load)
    monkeypatch.setattr(server, "exit_on_signals", lambda: None)
    options = app.AppOptions(image_size="448", precision="bfloat16", port=free_port())
    with pytest.raises(UserError, match="enough"):
        app.main(options)
    assert asked == [(None, 448, "bfloat16")]


@pytest.mark.parametrize("listed", ["http://a.org", "a.org:80", "a.org/x", "a b", "*"])
def test_a_public_host_is_a_name(listed):
    assert app.host_names("a.org, b-c.example,") == ["a.org", "b-c.example"]
    with pytest.raises(UserError, match="is not the name of a host"):
        app.host_names(f"localhost,{listed}")
