"""Damaged files and lists: each is read or refused with one line, never worse.

    pytest tests/data_prep/clips/test_fuzz.py --fuzz_cases=2000

takes longer than the suite. What crashes or hangs ends the whole run, with a traceback.
"""

import contextlib
import faulthandler
import pathlib

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data_prep import unexpected
from data_prep.clips import avspeech, media, voxceleb
from data_prep.jobs import voice as voice_jobs
from data_prep.jobs.voice import VoiceOptions
from data_prep.options import JobOptions
from experiments.benchmarks import scenes
from speech2face import images
from speech2face.data import dataset_info, records
from speech2face.errors import UserError
from tests.helpers.damaged_media import write_clip, write_damaged

HANGS_AFTER_SECS = 120


@pytest.fixture
def n_cases(pytestconfig):
    return pytestconfig.getoption("fuzz_cases")


@contextlib.contextmanager
def no_hang():
    faulthandler.dump_traceback_later(HANGS_AFTER_SECS, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def read_or_refuse(read, path, is_good):
    """Returns whether the file was read, and checks the result."""
    try:
        with no_hang():
            result = read(path)
    except UserError as error:
        assert pathlib.Path(path).name in str(error) and "\n" not in str(error)
        return False
    assert is_good(result)
    return True


def is_sound(waveform):
    return (
        waveform.dtype == np.float32
        and waveform.ndim == 1
        and 1_600 <= len(waveform) <= 100_000
        and 1e-3 <= np.abs(waveform).max() <= 1.0
    )


def is_picture(image):
    return image.dtype == np.uint8 and image.ndim == 3 and max(image.shape) <= 1920


def fuzz_media(sources, folder, n_cases):
    """Counts of what was read, of sounds and of pictures."""
    n_sounds = n_pictures = 0
    for seed in range(n_cases):
        path = write_damaged(folder, sources[seed % len(sources)], seed)
        start_secs = seed % 3 * 0.4
        n_sounds += read_or_refuse(
            lambda p, s=start_secs: media.read_audio(p, s, s + 6.0), path, is_sound
        )
        n_pictures += read_or_refuse(
            lambda p, s=start_secs: media.read_frame(p, s), path, is_picture
        )
        pathlib.Path(path).unlink()
    return n_sounds, n_pictures


@pytest.fixture(scope="module")
def good_clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    picture = scenes.draw(240, 320, 95, 0).picture
    names = ("a.mp4", "b.mkv")
    return [write_clip(folder / name, [picture]) for name in names]


def test_generated_media(good_clips, tmp_path, n_cases):
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000)
    sounds = [tmp_path / name for name in ("e.flac", "f.ogg", "g.wav", "h.mp3")]
    for path in sounds:
        soundfile.write(path, noise, 16_000)
    n_sounds, n_pictures = fuzz_media([*good_clips, *sounds], tmp_path, n_cases)
    assert 0 < n_sounds < n_cases and 0 < n_pictures < n_cases


@pytest.mark.real_data
def test_real_media(real_data_dir, tmp_path, n_cases):
    sources = sorted((real_data_dir / "video").iterdir())
    n_sounds, n_pictures = fuzz_media(sources, tmp_path, n_cases)
    assert 0 < n_sounds < n_cases and 0 < n_pictures < n_cases


def test_images(tmp_path, n_cases):
    picture = scenes.draw(120, 160, 60, 0).picture
    sources = [tmp_path / f"a.{kind}" for kind in ("png", "jpg", "webp", "gif", "tiff")]
    for path in sources:
        Image.fromarray(picture).save(path)
    n_read = 0
    for seed in range(n_cases):
        path = write_damaged(tmp_path, sources[seed % len(sources)], seed)
        n_read += read_or_refuse(images.read_image, path, is_picture)
    assert 0 < n_read < n_cases


@pytest.mark.slow
def test_no_good_clip_is_lost_among_bad_ones(good_clips, tmp_path, n_cases):
    """The whole job: records of all good clips, and every bad one accounted for."""
    media_of = {f"good{index}": path for index, path in enumerate(good_clips)}
    for seed in range(n_cases // 4):
        source = good_clips[seed % len(good_clips)]
        media_of[f"bad{seed}"] = write_damaged(tmp_path, source, seed)
    lines = [f"{name},{path},{name}\n" for name, path in media_of.items()]
    manifest = tmp_path / "clips.csv"
    manifest.write_text("".join(["clip_id,media,speaker_id\n", *lines]))
    options = JobOptions(
        manifest=str(manifest),
        output_dir=str(tmp_path / "data"),
        recognizer="dlib",
        n_workers=1,
    )
    with no_hang():
        report = voice_jobs.build_voice_records(options, VoiceOptions())
    info = dataset_info.read(options.output_dir)
    kept = {
        example.clip_id
        for split in info.splits
        for example in records.iterate_voice_examples(options.output_dir, split)
    }
    assert {f"good{index}" for index in range(len(good_clips))} <= kept
    assert len(kept) + report["rejected"] == len(media_of)
    reasons = [name for n in report["stages"].values() for name in n["rejected"]]
    assert reasons and unexpected.REASON not in reasons


CELLS = st.one_of(
    st.sampled_from(
        ["dQw4w9WgXcQ", "0", "1.5", "-1", "nan", "inf", "1e999", "", "id10001", "m"]
    ),
    st.text(st.characters(blacklist_categories=("Cs",)), max_size=9),
)
ROWS = st.lists(st.lists(CELLS, max_size=6), max_size=5)


def write_rows(folder, rows, delimiter=","):
    # Not csv.writer: that of Python 3.10 cannot write a NUL.
    def quoted(cell):
        is_plain = cell and not set(cell) & {delimiter, '"', "\r", "\n"}
        return cell if is_plain else '"' + cell.replace('"', '""') + '"'

    path = folder / "list.csv"
    lines = [delimiter.join(map(quoted, row)) + "\r\n" for row in rows]
    path.write_bytes("".join(lines).encode())
    return str(path)


@settings(max_examples=300, deadline=None)
@given(rows=ROWS)
def test_any_avspeech_list_is_read_or_refused(tmp_path_factory, rows):
    path = write_rows(tmp_path_factory.mktemp("fuzz"), rows)
    try:
        segments = avspeech.read_list(path)
    except UserError as error:
        assert "list.csv" in str(error) and "\n" not in str(error)
    else:
        assert len(segments) == len(rows) > 0
        assert all(s.path == str(pathlib.PurePosixPath(s.path)) for s in segments)


@settings(max_examples=300, deadline=None)
@given(rows=ROWS, tabs=st.booleans(), has_header=st.booleans())
def test_any_voxceleb_metadata_is_read_or_refused(
    tmp_path_factory, rows, tabs, has_header
):
    if has_header:
        rows = [["VoxCeleb1 ID", "VGGFace1 ID", "Gender", "Nationality", "Set"], *rows]
    folder = tmp_path_factory.mktemp("fuzz")
    path = write_rows(folder, rows, "\t" if tabs else ",")
    try:
        people = voxceleb.read_metadata([path])
    except UserError as error:
        assert "list.csv" in str(error) and "\n" not in str(error)
    else:
        for person in people.values():
            texts = (*person.names, person.gender, person.nationality, person.set)
            assert all(isinstance(text, str) for text in texts)


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=200))
def test_any_bytes_are_no_list(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "list.csv"
    path.write_bytes(content)
    for read in (avspeech.read_list, lambda name: voxceleb.read_metadata([name])):
        with pytest.raises(UserError):
            read(str(path))
