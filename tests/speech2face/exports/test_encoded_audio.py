"""Encoded audio in an exported graph: what FFmpeg decodes, and what is refused."""

import concurrent.futures
import io

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from speech2face.audio import decoding, resampling
from speech2face.exports import encoded_audio
from tests.helpers.exported import skip_without_tensorflow_io
from tests.helpers.paths import REPOSITORY

EXAMPLE = REPOSITORY / "speech2face" / "examples" / "man_24.ogg"


@pytest.mark.slow
@pytest.mark.parametrize(
    "subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"]
)
@pytest.mark.parametrize(("n_samples", "n_channels"), [(4_001, 1), (4_003, 3)])
def test_wav_files_of_every_type_and_odd_length(subtype, n_samples, n_channels):
    file = io.BytesIO()
    samples = np.random.default_rng(0).uniform(-0.9, 0.9, [n_samples, n_channels])
    soundfile.write(file, samples, 16_000, subtype, format="WAV")
    file.seek(0)
    expected = soundfile.read(file, dtype="float32", always_2d=True)[0].mean(axis=1)
    content = file.getvalue()
    decode = tf.function(encoded_audio.decode, [tf.TensorSpec([], tf.string)])
    at = content.index(b"data") + 4
    for size in (content[at : at + 4], b"\0" * 4, b"\xff" * 4):  # 0, -1: of a pipe
        changed = content[:at] + size + content[at + 4 :]
        heard = decode(changed).numpy()[:n_samples]
        np.testing.assert_allclose(heard, expected, atol=1e-6)


@pytest.fixture(scope="module")
def decode():
    skip_without_tensorflow_io()
    return tf.function(encoded_audio.decode, [tf.TensorSpec([], tf.string)])


@pytest.mark.parametrize(
    "container, subtype",
    [
        *(("WAV", kind) for kind in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT")),
        *(("FLAC", kind) for kind in ("PCM_S8", "PCM_16", "PCM_24")),
        ("WAVEX", "PCM_16"),
        ("MP3", "MPEG_LAYER_III"),
        ("OGG", "VORBIS"),
    ],
)
def test_files_decode_as_ffmpeg_decodes_them(decode, container, subtype):
    sound, rate_hz = soundfile.read(EXAMPLE, dtype="float32")
    for to_hz in (8_000, 16_000, 44_100):
        samples = resampling.resample(sound[:50_000], rate_hz, to_hz)
        file = io.BytesIO()
        stereo = np.stack([samples, 0.5 * samples], axis=1)
        soundfile.write(file, stereo, to_hz, subtype, format=container)
        ours = decode(file.getvalue()).numpy()
        channels, found_hz = decoding.decode_segment(file, "sound")
        theirs = resampling.resample(channels.mean(axis=0), found_hz, 16_000)
        assert found_hz == to_hz and abs(len(ours) - len(theirs)) <= 1
        n = min(len(ours), len(theirs))
        noise = np.square(ours[:n] - theirs[:n]).mean() / np.square(theirs).mean()
        assert noise < (1e-9 if to_hz == 16_000 else 3e-3)  # else two resamplers


def test_concurrent_callers_get_their_own_sound(decode):
    """tensorflow-io's readers, which are not used, are shared between callers."""

    def is_own_sound(index):
        file, level = io.BytesIO(), (index % 50 + 1) / 100
        n_samples = 3_000 + index % 50
        soundfile.write(file, np.full(n_samples, level), 16_000, "FLOAT", format="WAV")
        waveform = decode(file.getvalue()).numpy()
        return len(waveform) == n_samples and np.allclose(waveform, level)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(is_own_sound, range(400)))


@pytest.mark.parametrize(
    "contents", [b"", b"no sound at all" * 9, b"RIFF", b"fLaC", b"OggS" + bytes(60)]
)
def test_other_files_are_an_invalid_argument(decode, contents):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(contents)
