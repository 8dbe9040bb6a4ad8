"""Every rejection is counted under its own reason, whatever the files are called."""

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from data_prep.clips import media
from data_prep.clips.manifest import Clip
from data_prep.jobs.voice import VoiceOptions
from data_prep.options import RecognizerChoice
from data_prep.stages.stage import Item, reason_of
from data_prep.stages.voice import ReadPicture, ReadSound, voice_stages
from speech2face.errors import UserError
from tests.helpers.damaged_media import write_clip

RATE_HZ = 16_000
# Words that messages about other mistakes contain.
FOLDERS = (
    "people",
    "NaNcy",
    "Sam is silent",
    "has no audio track",
    "at least 0.1 s is needed",
    "has no sound between",
    "no such file",
    "the file is empty",
    "no video track",
    "readable and unreadable",
)


@pytest.fixture(params=FOLDERS)
def folder(request, tmp_path):
    """A folder of damaged files, whose name must not matter."""
    folder = tmp_path / request.param
    folder.mkdir()
    tone = 0.3 * np.sin(np.arange(RATE_HZ) / 10)
    soundfile.write(folder / "tone.wav", tone, RATE_HZ)
    soundfile.write(folder / "silent.wav", 0 * tone, RATE_HZ)
    soundfile.write(folder / "short.wav", tone[:160], RATE_HZ)
    soundfile.write(folder / "nan.wav", tone * np.nan, RATE_HZ, "FLOAT")
    soundfile.write(folder / "loud.wav", tone * 1000, RATE_HZ, "FLOAT")
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("no sound " * 99)
    Image.new("RGB", (64, 64)).save(folder / "picture.png")
    (folder / "cut.png").write_bytes((folder / "picture.png").read_bytes()[:60])
    (folder / "empty.png").touch()
    write_clip(folder / "clip.mp4", [np.zeros([64, 64, 3], np.uint8)])
    write_silent_film(folder / "film.mp4")
    return folder


def write_silent_film(path):
    """A second of black pictures, without a track of sound."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        for _ in range(10):
            black = av.VideoFrame.from_ndarray(np.zeros([64, 64, 3], np.uint8))
            out.mux(stream.encode(black))
        out.mux(stream.encode())


def reasons_after(stage, clips):
    items = [Item(clip, values={"waveform": np.zeros(RATE_HZ)}) for clip in clips]
    stage.process_all(items)
    return [item.rejection and item.rejection.reason for item in items]


def test_reasons_of_sounds(folder):
    expected = {
        "tone.wav": None,
        "silent.wav": "silent",
        "short.wav": "too_short",
        "nan.wav": "nan_samples",
        "loud.wav": "not_scaled",
        "empty.wav": "empty_file",
        "text.wav": "unreadable",
        "picture.png": "unreadable",  # not a container of media
        "film.mp4": "no_audio_track",
        "missing.wav": "missing_file",
    }
    clips = [Clip(name, "anna", media=str(folder / name)) for name in expected]
    assert reasons_after(ReadSound(6.0), clips) == list(expected.values())


def test_reasons_of_segments(folder):
    path = str(folder / "tone.wav")
    segments = {
        (0.0, 1.0): None,
        (9.0, None): "beyond_the_end",
        (0.5, 5.0): "beyond_the_end",
        (0.5, 0.2): "bad_times",
        (-1.0, None): "bad_times",
        (0.0, np.inf): "bad_times",
    }
    clips = [
        Clip(str(times), "anna", media=path, start_secs=times[0], end_secs=times[1])
        for times in segments
    ]
    assert reasons_after(ReadSound(6.0), clips) == list(segments.values())


def test_a_file_that_may_be_cut_is_the_segment_or_reaches_its_end(tmp_path):
    """A file of 3 s under the name of a video does not hold what ends at 3.4 s."""
    path = str(tmp_path / "video.wav")
    soundfile.write(path, 0.3 * np.sin(np.arange(3 * RATE_HZ) / 10), RATE_HZ)
    segments = {
        (10.0, 13.1, True): None,  # lasts as long as its row: the segment itself
        (1.0, 3.4, False): None,
        (1.0, 3.4, True): "beyond_the_end",
        (1.0, 3.1, True): None,
    }
    clips = [
        Clip(
            f"{start}-{end}",
            "anna",
            path,
            start_secs=start,
            end_secs=end,
            may_be_cut=cut,
        )
        for start, end, cut in segments
    ]
    assert reasons_after(ReadSound(6.0), clips) == list(segments.values())


@pytest.mark.parametrize(("channel", "amplitude"), [(-1, 0.2), (0, 0.1), (1, 0.3)])
def test_the_papers_single_channel_by_flag(tmp_path, channel, amplitude):
    """By default the mean of two channels; with --channel one of them."""
    wave = np.sin(np.arange(RATE_HZ) / 10)
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([0.1 * wave, 0.3 * wave], -1), RATE_HZ, "FLOAT")
    item = Item(Clip("clip", "anna", media=str(path)))
    dlib = RecognizerChoice("dlib", "")
    stage, *_ = voice_stages(dlib, "pcm", 6.0, VoiceOptions(channel=channel).channel)
    stage.process(item)
    np.testing.assert_allclose(item.values["waveform"], amplitude * wave, atol=1e-4)


def test_a_channel_that_is_not_there_rejects_its_clip(folder):
    clip = Clip("tone", "anna", media=str(folder / "tone.wav"))
    assert reasons_after(ReadSound(6.0, 1), [clip]) == ["no_such_channel"]


def test_reasons_of_photographs(folder):
    expected = {
        "picture.png": None,
        "cut.png": "unreadable",
        "empty.png": "empty_file",
        "text.wav": "unreadable",
        "missing.png": "missing_file",
    }
    clips = [Clip(name, "anna", face=str(folder / name)) for name in expected]
    assert reasons_after(ReadPicture(), clips) == list(expected.values())


def test_reasons_of_videos(folder):
    expected = {
        ("clip.mp4", 0.0): None,
        ("clip.mp4", 50.0): "beyond_the_end",
        ("tone.wav", 0.0): "no_picture",
        ("text.wav", 0.0): "unreadable",
        ("missing.mp4", 0.0): "missing_file",
    }
    clips = [
        Clip(name, "anna", media=str(folder / name), start_secs=start_secs)
        for name, start_secs in expected
    ]
    assert reasons_after(ReadPicture(), clips) == list(expected.values())
    with pytest.raises(UserError) as error:
        media.read_frame(str(folder / "tone.wav"), 0.0)
    assert error.value.reason == "no_video_track"


@pytest.mark.parametrize(
    "error, reason",
    [
        (UserError("a sentence", reason="odd"), "odd"),
        (UserError("a.wav is silent"), "bad_data"),
        (ValueError("a.wav is silent"), "unexpected_error"),
        (RuntimeError("a.wav is silent"), "unexpected_error"),
        (OSError("unreadable"), "bad_data"),
        (FileNotFoundError("a.wav"), "missing_file"),
        # It has an attribute `reason`, which is a sentence.
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "unreadable"), "unexpected_error"),
    ],
)
def test_a_reason_is_never_read_out_of_a_message(error, reason):
    assert reason_of(error) == reason
