"""Faces ranked by a voice and recordings by a face, on generated people."""

import json
import pathlib
import shutil

import numpy as np
import pytest
import soundfile
from PIL import Image
from scipy.spatial import distance

from data_prep.sample import dataset as sample_dataset
from speech2face import images, retrieve
from speech2face.audio import decoding
from speech2face.faces import detection
from speech2face.inference import reconstruction, retrieval
from speech2face.inference.model import Speech2Face
from speech2face.recognizers.dlib import DlibFace
from tests.helpers.slow import takes_seconds

pytest.importorskip("espeakng_loader")


@pytest.fixture(scope="module")
def model():
    return Speech2Face.load()


@pytest.fixture(scope="module")
@takes_seconds
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("retrieval") / "people"
    config = sample_dataset.SampleConfig(3, 1, 0, photographs_per_person=2)
    sample_dataset.generate(config, str(folder))
    return folder


@pytest.fixture(scope="module")
def photographs(people, tmp_path_factory):
    """Three faces, one of them large and in a subfolder, and files without a face."""
    folder = tmp_path_factory.mktemp("photographs")
    (folder / "more").mkdir()
    for name in ("p0000_0.png", "p0001_normalized.png"):
        shutil.copy(people / "faces" / name, folder)
    large = Image.open(people / "faces/p0002_1.png").resize((1500, 1500))
    large.save(folder / "more/large.jpg", quality=92)
    Image.new("RGB", (90, 120), (90, 120, 150)).save(folder / "wall.png")
    (folder / "notes.txt").write_text("not a picture")
    cut = (folder / "p0000_0.png").read_bytes()[:5000]
    (folder / "cut.png").write_bytes(cut)
    (folder / ".hidden.png").write_bytes(cut)
    return folder


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def sources(model, cache_dir):
    return (
        retrieval.VoiceSource(model, cache_dir),
        retrieval.FaceSource(model, cache_dir),
    )


@pytest.fixture(scope="module")
@takes_seconds
def by_voice(sources, people, photographs):
    query = people / "media/p0000_0.mp4"
    return retrieval.rank(query, sources[0], photographs, sources[1], "l2")


def names(ranking):
    return [match.path.name for match in ranking.matches]


def test_faces_are_ranked_by_their_distance_to_the_voice(
    by_voice, model, people, photographs
):
    """Against the steps by hand: detector, recognizer, normalizer, scipy."""
    waveform = decoding.load_waveform(str(people / "media/p0000_0.mp4"))
    voice = model.voice_features([waveform])
    recognizer = DlibFace()
    expected = {}
    for path in photographs.rglob("p*.png"):
        crop = detection.find_face(images.read_image(str(path))).crop
        raw = recognizer.features(crop[np.newaxis])
        feature = (raw - model.decoder.normalizer.mean) * model.decoder.normalizer.scale
        expected[path.name] = distance.cdist(voice, feature)[0, 0]
    found = {m.path.name: m.distance for m in by_voice.matches}
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-4)
    distances = [match.distance for match in by_voice.matches]
    assert len(distances) == 3 and distances == sorted(distances)


def test_files_without_a_face_are_named_with_their_reasons(by_voice):
    reasons = {path.name: reason for path, reason in by_voice.skipped.items()}
    assert set(reasons) == {"wall.png", "notes.txt", "cut.png"}
    assert reasons["wall.png"] == "no face found"
    assert "not readable as an image" in reasons["notes.txt"]


@pytest.mark.slow
def test_a_large_photograph_is_cropped_at_full_size(people):
    small = images.read_image(str(people / "faces/p0002_1.png"))
    large = np.asarray(Image.fromarray(small).resize((1536, 1536), Image.BICUBIC))
    expected = detection.find_face(
        np.asarray(Image.fromarray(large).resize((640, 640)))
    )
    found = detection.find_largest_face(large, 640)
    np.testing.assert_allclose(found.box.center, np.multiply(expected.box.center, 2.4))
    assert found.box.size_px == pytest.approx(2.4 * expected.box.size_px)
    assert found.crop.shape == (224, 224, 3)
    eyes = found.landmarks[36:48].mean(0)
    np.testing.assert_allclose(eyes, 2.4 * expected.landmarks[36:48].mean(0), atol=6)


def test_a_known_content_is_not_measured_again(
    by_voice, model, photographs, cache_dir, monkeypatch, tmp_path
):
    renamed = tmp_path / "gallery"
    shutil.copytree(photographs, renamed)
    (renamed / "p0000_0.png").rename(renamed / "somebody.png")
    monkeypatch.setattr(detection, "find_largest_face", None)  # calling it would fail
    monkeypatch.setattr(Speech2Face, "voice_features", None)
    voices = retrieval.VoiceSource(model, cache_dir)
    photos = retrieval.FaceSource(model, cache_dir)
    again = retrieval.rank(by_voice.query, voices, renamed, photos, "l2")
    # Not bit by bit: the renamed file changes the order of the matrix product.
    np.testing.assert_allclose(
        [match.distance for match in again.matches],
        [match.distance for match in by_voice.matches],
        rtol=1e-14,
    )
    assert "somebody.png" in names(again)


def test_a_changed_or_damaged_entry_is_measured_again(sources, people, tmp_path):
    photos = retrieval.FaceSource(sources[0]._model, tmp_path / "cache")
    path = tmp_path / "face.png"
    shutil.copy(people / "faces/p0000_normalized.png", path)
    first = photos.feature(path)
    (entry,) = (tmp_path / "cache").rglob("*.npz")
    for damage in (b"", b"junk", entry.read_bytes()[:200]):
        entry.write_bytes(damage)
        np.testing.assert_array_equal(photos.feature(path), first)
    shutil.copy(people / "faces/p0001_normalized.png", path)
    assert np.abs(photos.feature(path) - first).max() > 0.01


@pytest.mark.slow
def test_another_model_does_not_share_voices(model, cache_dir, people):
    weights = model.encoder.get_weights()
    path = people / "media/p0001_0.mp4"
    before = retrieval.VoiceSource(model, cache_dir).feature(path)
    try:
        model.encoder.set_weights([1.1 * w + 0.01 for w in weights])
        after = retrieval.VoiceSource(model, cache_dir).feature(path)
    finally:
        model.encoder.set_weights(weights)
    assert not np.allclose(before, after)
    np.testing.assert_array_equal(
        retrieval.VoiceSource(model, cache_dir).feature(path), before
    )


def test_recordings_are_ranked_by_a_face(model, sources, people):
    voices, photos = sources
    query = people / "faces/p0002_0.png"
    ranking = retrieval.rank(query, photos, people / "media", voices)
    waveforms = [decoding.load_waveform(str(m.path)) for m in ranking.matches]
    expected = distance.cdist(
        photos.feature(query)[np.newaxis], model.voice_features(waveforms), "cosine"
    )[0]
    np.testing.assert_allclose([m.distance for m in ranking.matches], expected, 1e-4)
    assert list(expected) == sorted(expected) and len(expected) == 3


def test_what_cannot_be_ranked_is_one_line(sources, people, photographs, tmp_path):
    voices, photos = sources
    voice, face = people / "media/p0000_0.mp4", people / "faces/p0000_0.png"
    (tmp_path / "empty").mkdir()
    (tmp_path / "walls").mkdir()
    shutil.copy(photographs / "wall.png", tmp_path / "walls")
    with pytest.raises(ValueError, match="empty is empty"):
        retrieval.rank(voice, voices, tmp_path / "empty", photos)
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        retrieval.rank(voice, voices, tmp_path / "nowhere", photos)
    with pytest.raises(ValueError, match=r"none of the 1 files .* has a face"):
        retrieval.rank(voice, voices, tmp_path / "walls", photos)
    with pytest.raises(FileNotFoundError, match=r"no such file: .*gone.wav"):
        retrieval.rank(tmp_path / "gone.wav", voices, photographs, photos)
    with pytest.raises(ValueError, match=r"wall.png: no face found"):
        retrieval.rank(photographs / "wall.png", photos, people / "media", voices)
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    with pytest.raises(ValueError, match=r"silent.wav is silent"):
        retrieval.rank(tmp_path / "silent.wav", voices, photographs, photos)
    with pytest.raises(ValueError, match="has a voice"):
        retrieval.rank(face, photos, tmp_path / "walls", voices)


def test_features_of_other_weights_are_refused(model, cache_dir, monkeypatch):
    monkeypatch.setattr(
        DlibFace,
        "checksum",
        property(lambda _: "1" * 64),
        raising=False,
    )
    monkeypatch.setattr(DlibFace, "__init__", lambda self, weights: None)
    with pytest.raises(ValueError, match="give the same weights"):
        retrieval.FaceSource(model, cache_dir)


def test_command(by_voice, cache_dir, photographs, tmp_path, capsys):
    options = retrieve.RetrieveOptions(
        gallery=str(photographs),
        output_dir=str(tmp_path / "out"),
        audio=str(by_voice.query),
        top_k=2,
        metric="l2",
        cache_dir=str(cache_dir),
    )
    retrieve.main(options)
    results = json.loads((tmp_path / "out/results.json").read_text())
    ranked = [pathlib.Path(row["file"]).name for row in results["ranking"]]
    assert ranked == names(by_voice)
    assert (results["n_ranked"], results["n_skipped"]) == (3, 3)
    assert "does not identify" in results["note"]
    printed = capsys.readouterr().out
    assert printed.index(ranked[0]) < printed.index(ranked[1])
    assert ranked[2] not in printed and "3 files ranked, 3 skipped" in printed
    picture = Image.open(tmp_path / "out/retrieval.png")
    margin, face = images.MARGIN_PX, 224
    assert picture.width == 3 * (face + margin) + margin, "the query and two faces"
    assert picture.info["Description"] == retrieval.NOTE
    left = 2 * margin + face
    first = np.asarray(picture)[margin : margin + face, left : left + face]
    photograph = images.read_image(str(by_voice.matches[0].path))
    crop = detection.find_largest_face(photograph, retrieval.SEARCH_PX).crop
    np.testing.assert_array_equal(first, crop)


@pytest.mark.slow
def test_a_gallery_that_holds_the_output(people, cache_dir, tmp_path, monkeypatch):
    """Two runs rank the same; neither faces of a model nor the output are ranked."""
    shutil.copytree(people / "faces", tmp_path / "gallery")
    picture = np.asarray(Image.open(people / "faces/p0000_0.png"))
    reconstruction.write_labeled(
        tmp_path / "made" / "a.png", Image.fromarray(picture).convert("RGB")
    )
    shutil.copy(tmp_path / "made" / "a.png", tmp_path / "gallery" / "copied.png")
    monkeypatch.chdir(tmp_path / "gallery")
    rankings = []
    for output_dir in (".", "out", "."):
        retrieve.main(
            retrieve.RetrieveOptions(
                gallery=".",
                output_dir=output_dir,
                audio=str(people / "media/p0000_0.mp4"),
            )
        )
        results = json.loads(pathlib.Path(output_dir, "results.json").read_text())
        rankings.append([row["file"] for row in results["ranking"]])
        skipped = {row["file"]: row["reason"] for row in results["skipped"]}
        assert "a model made it" in skipped["copied.png"]
        cached = {why for name, why in skipped.items() if name.endswith(".npz")}
        assert cached == ({"this project wrote it"} if rankings[1:] else set())
    assert rankings[0] and rankings == [rankings[0]] * 3
    photographs = {path.name for path in (people / "faces").iterdir()}
    assert set(rankings[0]) <= photographs


def test_linked_folders_are_followed_and_circles_end(sources, people, tmp_path):
    (tmp_path / "outside").mkdir()
    shutil.copy(people / "faces/p0000_0.png", tmp_path / "outside" / "in_link.png")
    (tmp_path / "gallery").mkdir()
    (tmp_path / "gallery" / "linked").symlink_to(tmp_path / "outside")
    (tmp_path / "outside" / "circle").symlink_to(tmp_path / "gallery")
    voices, photos = sources
    query = people / "media/p0000_0.mp4"
    ranking = retrieval.rank(query, voices, tmp_path / "gallery", photos)
    (match,) = ranking.matches
    assert match.path == tmp_path / "gallery" / "linked" / "in_link.png"


@pytest.mark.parametrize("queries", [{}, {"audio": "a.wav", "face": "b.png"}])
def test_command_takes_one_query(queries):
    with pytest.raises(ValueError, match="either --audio or --face"):
        retrieve.main(retrieve.RetrieveOptions("gallery", "out", **queries))
