"""The face decoder: sheets, rows and groups by hand, walks between faces."""

import numpy as np
import pytest
from PIL import Image

from experiments import supp_face_decoder
from experiments.lib import face_walks, picture_sets, plots
from experiments.lib.attributes import AgeAndGender, Attributes
from experiments.lib.results import NotApplicable
from speech2face.images import MARGIN_PX, decode_image
from tests.helpers.face_sheets import STEP, TITLE_PX
from tests.helpers.tiny_material import shared_material

pytestmark = pytest.mark.slow


class MeanColors:
    """A recognizer that sees mean colors in different places."""

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


def test_sheet_shows_photograph_and_every_set_of_the_same_clip(folder, monkeypatch):
    monkeypatch.setattr(supp_face_decoder, "AgeAndGender", Seen)
    material = shared_material()
    predictions = material.predictions()
    result = supp_face_decoder.run(
        material,
        compared_dirs=[f"other={folder}"],
        n_shown=3,
        recognizer=MeanColors(predictions.face_features.shape[1]),
    )
    sheet = decode_image(result.picture)
    for line, index in enumerate(material.shown(3)):
        top = TITLE_PX + MARGIN_PX + line * STEP

        def shown(column, top=top):
            x = MARGIN_PX + column * STEP
            return sheet[top : top + plots.SHEET_FACE_PX, x : x + plots.SHEET_FACE_PX]

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
    result = supp_face_decoder.run(
        material,
        compared_dirs=[f"other={folder}"],
        recognizer=MeanColors(true.shape[1]),
    )
    rows = {tuple(row.keys.values()): row.ours for row in result.rows}
    images = picture_sets.read_folder(folder, material.predictions().clip_ids)
    raw = MeanColors(true.shape[1]).features(images)
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
    monkeypatch.setattr(supp_face_decoder, "AgeAndGender", TwoKinds)
    material = shared_material()
    predictions, mean = material.predictions(), material.model.decoder.mean_feature
    recognizer = MeanColors(predictions.face_features.shape[1])
    result = supp_face_decoder.run(material, recognizer=recognizer)
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
        supp_face_decoder.run(shared_material(), compared_dirs=["nolabel"])
    with pytest.raises(FileNotFoundError, match="there is no folder /no/such"):
        supp_face_decoder.run(shared_material(), compared_dirs=["a=/no/such"])
    with pytest.raises(FileNotFoundError, match="no picture of clip absent"):
        picture_sets.read_folder(folder, ["absent"])


def test_walks_begin_and_end_where_they_should():
    material = shared_material()
    sheet = decode_image(supp_face_decoder.run_space(material).picture)
    indices = material.shown(face_walks.N_STEPS)
    features = material.predictions().face_features[indices]
    faces = material.faces(features).images

    def cell(row, column):
        y, x = MARGIN_PX + row * STEP, MARGIN_PX + column * STEP
        return sheet[y : y + plots.SHEET_FACE_PX, x : x + plots.SHEET_FACE_PX]

    def small(image):
        return plots._resized(image, plots.SHEET_FACE_PX)

    np.testing.assert_array_equal(cell(0, 0), small(faces[0]))
    np.testing.assert_array_equal(cell(0, 6), small(faces[len(features) // 2]))
    mean = material.model.decoder.mean_feature[np.newaxis]
    np.testing.assert_array_equal(cell(1, 0), small(material.faces(mean).images[0]))
    np.testing.assert_array_equal(cell(5, 1), small(faces[1]))
    landmarks_alone, texture_alone = cell(6, 1), cell(7, 1)
    assert not np.array_equal(landmarks_alone, texture_alone)
