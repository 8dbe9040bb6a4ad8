"""Pictures compared: ranks by hand, folders, and what the sheets show."""

import itertools

import numpy as np
import pytest
from PIL import Image
from tiny_material import shared_material

from experiments import decoder_views, picture_sets, plots
from experiments.attributes import AgeAndGender, Attributes
from experiments.common import NotApplicable
from speech2face import files

STEP = plots.FACE_PX + 4


class Colours:
    """A recognizer that sees mean colours in different places."""

    def __init__(self, dim):
        self.dim = dim

    def features(self, images):
        patches = np.asarray(images, np.float32).reshape(len(images), -1)
        return np.stack([p.mean(1) for p in np.array_split(patches, self.dim, 1)], 1)


class Seen:
    """A classifier that calls every face female, or sees none."""

    def attributes(self, images):
        return [Attributes(gender="female") for _ in images]


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for clip_id in shared_material().predictions().clip_ids:
        picture = rng.integers(0, 256, (100, 100, 3), np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{clip_id}.png")
    return tmp_path


def recall_by_drawing(n_nearer, n, k, size):
    """Of all galleries of `size` with the true face, in how many is it among k?"""
    others = [True] * n_nearer + [False] * (n - 1 - n_nearer)
    drawn = list(itertools.product(others, repeat=size - 1))
    return np.mean([sum(gallery) < k for gallery in drawn])


def test_recall_in_galleries_equals_drawing_them(monkeypatch):
    monkeypatch.setattr(picture_sets, "GALLERY", 5)
    true = np.eye(5)
    found = np.array([[1, 0.5, 0.2, 0, 0], [0.9, 1, 0.1, 0, 0], [0.9, 1.0, 0.5, 0, 0]])
    result = picture_sets.retrieval(found, true[:3], gallery=true)
    np.testing.assert_allclose(result.rank_percent, [20, 20, 60])
    expected = [recall_by_drawing(nearer, 5, 1, 5) for nearer in (0, 0, 2)]
    np.testing.assert_allclose(result.recall_1, expected)
    norms = np.linalg.norm(found, axis=1)
    np.testing.assert_allclose(result.cosine, found[[0, 1, 2], [0, 1, 2]] / norms)


def test_the_first_ten_of_215():
    """Ten of the hundred other faces are nearer: each of 214 is, with chance 0.1."""
    angles = np.radians([20.0, *range(1, 11), *range(30, 120)])
    faces = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    voice = np.array([[1.0, 0.0]])
    result = picture_sets.retrieval(voice, faces[:1], gallery=faces)
    assert result.rank_percent == pytest.approx([100 * 11 / 101])
    drawn = np.random.default_rng(0).binomial(214, 0.1, 200_000)
    assert result.recall_10[0] == pytest.approx(np.mean(drawn <= 9), abs=0.002)


def test_sheet_shows_photograph_and_every_set_of_the_same_clip(folder, monkeypatch):
    monkeypatch.setattr(decoder_views, "AgeAndGender", Seen)
    material = shared_material()
    predictions = material.predictions()
    result = decoder_views.run(
        material,
        [f"other={folder}"],
        n_shown=3,
        recognizer=Colours(predictions.face_features.shape[1]),
    )
    sheet = files.decode_image(result.picture)
    for line, index in enumerate(material.shown(3)):
        top = 17 + 4 + line * STEP

        def shown(column, top=top):
            x = 4 + column * STEP
            return sheet[top : top + plots.FACE_PX, x : x + plots.FACE_PX]

        other = Image.open(folder / f"{predictions.clip_ids[index]}.png")
        expected = np.asarray(other.resize((224, 224), Image.Resampling.BICUBIC))
        np.testing.assert_array_equal(shown(2), plots._resized(expected, 160))
        features = predictions.voice_features[[index]]
        expected = plots._resized(material.faces(features).images[0], 160)
        np.testing.assert_array_equal(shown(3), expected)
    gender = [r for r in result.rows if r.keys["measure"].startswith("gender")]
    assert [row.ours for row in gender] == [1.0] * 6  # of all, and of women: all


def test_rows_by_hand(folder, monkeypatch):
    def nobody():
        raise NotApplicable("no package")

    monkeypatch.setattr(AgeAndGender, "attributes", lambda *_: nobody())
    material = shared_material()
    true = material.predictions().face_features - material.model.decoder.mean_feature
    result = decoder_views.run(
        material, [f"other={folder}"], recognizer=Colours(true.shape[1])
    )
    rows = {tuple(row.keys.values()): row.ours for row in result.rows}
    images = picture_sets.read_folder(folder, material.predictions().clip_ids)
    raw = Colours(true.shape[1]).features(images)
    own = raw - raw.mean(0)
    cosines = np.sum(own * true, 1) / np.linalg.norm(own, axis=1)
    cosines /= np.linalg.norm(true, axis=1)
    key = ("other", "own", "cosine to the true face")
    assert rows[key] == pytest.approx(cosines.mean(), abs=1e-5)
    f2f = material.faces(material.predictions().face_features).images
    ratio = images.astype(float).var(0).mean() / f2f.astype(float).var(0).mean()
    key = ("other", "-", "variance about the mean face, of our F2F's")
    assert rows[key] == pytest.approx(ratio, rel=1e-6)
    assert "gender: no package" in result.notes


class TwoKinds:
    """Sees no face in the first picture, then women of 25 and men of 41 in turn."""

    calls = 0

    def attributes(self, images):
        TwoKinds.calls += 1
        kinds = [Attributes("female", 25.0), Attributes("male", 41.0)]
        if TwoKinds.calls > 1:  # of the first set: men only
            kinds[0] = kinds[1]
        return [Attributes(), *(kinds[i % 2] for i in range(1, len(images)))]


def test_groups_by_hand(folder, monkeypatch):
    monkeypatch.setattr(decoder_views, "AgeAndGender", TwoKinds)
    material = shared_material()
    predictions, mean = material.predictions(), material.model.decoder.mean_feature
    recognizer = Colours(predictions.face_features.shape[1])
    result = decoder_views.run(material, recognizer=recognizer)
    rows = {tuple(row.keys.values()): row for row in result.rows}
    one, two = predictions.voice_features - mean, predictions.face_features - mean
    cosines = np.sum(one * two, 1) / np.linalg.norm(one, axis=1)
    cosines /= np.linalg.norm(two, axis=1)
    for group, expected in (
        ("gender male", cosines[1::2]),
        ("gender female", cosines[2::2]),
        ("age 40", cosines[1::2]),
        ("age 20", cosines[2::2]),
    ):
        key = ("our S2F, features", "training", f"cosine to the true face, {group}")
        assert rows[key].ours == pytest.approx(expected.mean(), abs=1e-5)
        assert rows[key].n == len(expected)
    key = ("our F2F", "-", "gender as in the photograph")
    assert rows[(*key[:2], f"{key[2]}, male")].ours == 1.0
    assert rows[(*key[:2], f"{key[2]}, female")].ours == 0.0
    n_men, n = len(cosines[1::2]), len(cosines) - 1
    assert rows[key].ours == pytest.approx(n_men / n)


def test_wrong_folders_are_one_clear_line(folder):
    with pytest.raises(ValueError, match="'nolabel' is not label=folder"):
        decoder_views.run(shared_material(), ["nolabel"], recognizer=Colours(3))
    with pytest.raises(FileNotFoundError, match="no picture of clip absent"):
        picture_sets.read_folder(folder, ["absent"])


def test_walks_begin_and_end_where_they_should():
    material = shared_material()
    sheet = files.decode_image(decoder_views.run_space(material).picture)
    indices = material.shown(decoder_views.N_STEPS)
    features = material.predictions().face_features[indices]
    faces = material.faces(features).images

    def cell(row, column):
        y, x = 4 + row * STEP, 4 + column * STEP
        return sheet[y : y + plots.FACE_PX, x : x + plots.FACE_PX]

    def small(image):
        return plots._resized(image, plots.FACE_PX)

    np.testing.assert_array_equal(cell(0, 0), small(faces[0]))
    np.testing.assert_array_equal(cell(0, 6), small(faces[len(features) // 2]))
    mean = material.model.decoder.mean_feature[np.newaxis]
    np.testing.assert_array_equal(cell(1, 0), small(material.faces(mean).images[0]))
    np.testing.assert_array_equal(cell(5, 1), small(faces[1]))
    landmarks_alone, texture_alone = cell(6, 1), cell(7, 1)
    assert not np.array_equal(landmarks_alone, texture_alone)


def test_principal_directions_equal_scikit_learns():
    from sklearn.decomposition import PCA

    features = np.random.default_rng(1).normal(size=(40, 6)) * [5, 3, 1, 1, 1, 1] + 2
    directions, spread = decoder_views.principal_directions(features, 2)
    pca = PCA(2).fit(features)
    np.testing.assert_allclose(
        np.abs(directions @ pca.components_.T), np.eye(2), atol=1e-6
    )
    np.testing.assert_allclose(spread**2, pca.explained_variance_)
