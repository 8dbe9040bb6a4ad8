"""Fig. 5: correlations against scipy, pairs, folders, the authors' own faces."""

import numpy as np
import pytest
import scipy.stats
from PIL import Image

from experiments import fig05_craniofacial
from experiments.lib import published, results
from experiments.lib.authors_pictures import FIG_5_OUR_LANDMARKS
from experiments.lib.face_measures import MEASURES, evaluate
from speech2face import images
from tests.helpers.landmarks import face, random_faces
from tests.helpers.slow import takes_seconds
from tests.helpers.tiny_material import shared_material

pytestmark = pytest.mark.slow


def test_correlations_equal_scipys_and_random_pairs_have_none():
    f2f = random_faces(300)
    s2f = 0.7 * (f2f - face()) + random_faces(300, seed=1)
    correlations = fig05_craniofacial.compute_correlations(f2f, s2f)
    for measure, measured in zip(MEASURES, correlations):
        expected = scipy.stats.pearsonr(evaluate(measure, f2f), evaluate(measure, s2f))
        assert measured.measure == measure.name
        assert measured.pearson["r"] == pytest.approx(expected.statistic)
        assert measured.pearson["p"] == pytest.approx(expected.pvalue)
        assert measured.pearson["n"] == 300
        assert abs(measured.random_r) < 0.2 < measured.pearson["r"]


def test_random_pairs_are_never_a_pair():
    for n in (2, 3, 50):
        order = fig05_craniofacial.derangement(n, seed=n)
        assert sorted(order) == list(range(n)) and (order != np.arange(n)).all()


def test_a_model_that_draws_one_face_has_no_correlation():
    f2f = random_faces(10)
    correlations = fig05_craniofacial.compute_correlations(
        f2f, np.repeat(face(), 10, axis=0)
    )
    speakers = [str(i) for i in range(10)]
    result = fig05_craniofacial.render(correlations, speakers, [], "", {})
    assert [row.ours for row in result.rows] == [None] * 13
    assert "| nose width | – |" in results.to_markdown(result)


@pytest.fixture(scope="module")
@takes_seconds
def result():
    """Of a tiny model, by the decoder's own landmarks."""
    return fig05_craniofacial.run(shared_material(), "decoder")


def test_a_model_by_the_decoders_own_landmarks(result):
    assert len(result.rows) == 13 and result.rows[0].n == 8
    assert images.decode_image(result.picture).shape[2] == 3
    assert [row.paper for row in result.rows] == [*published.FIG_5.values(), 0.02]


def test_every_row_has_the_authors_pictures_beside_it(result):
    rows = {row.keys["face measurement"]: row for row in result.rows}
    others = rows["mouth face width idx"].others
    assert others["authors, e = 0"] == 0.109
    assert others["authors, e = 0.7"] == 0.166
    assert rows["mouth face width idx"].paper == 0.20
    names = {measure.name for measure in MEASURES}
    for title, numbers in FIG_5_OUR_LANDMARKS.items():
        assert set(numbers) <= names, title
    assert "770,001" in results.to_markdown(result)


def test_exaggeration_moves_s2f_and_not_f2f():
    material = shared_material()
    mean = material.model.decoder.mean_feature
    voices = np.random.default_rng(0).normal(0, 100, (3, len(mean)))
    expected = material.model.faces(voices, exaggeration=0.7)
    found = material.faces(voices, 0.7)
    np.testing.assert_allclose(
        found.landmarks, [face.landmarks for face in expected], atol=1e-4
    )
    assert not np.allclose(found.landmarks, material.faces(voices).landmarks)
    result = fig05_craniofacial.run(material, "decoder", exaggeration=0.7)
    assert result.provenance["exaggeration of S2F"] == "0.7"


def test_a_decoder_without_faces_is_named():
    with pytest.raises(results.NotApplicable, match="in 0 of 8 pairs"):
        fig05_craniofacial.run(shared_material(), "detected")


def test_folders_are_paired_by_name(tmp_path):
    for name in ("f2f", "s2f"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "f2f/a.png")
    options = fig05_craniofacial.CraniofacialOptions(
        f2f_dir=str(tmp_path / "f2f"), s2f_dir=str(tmp_path / "s2f")
    )
    with pytest.raises(ValueError, match="no file name in common"):
        fig05_craniofacial.main(options)
    (tmp_path / "s2f/a.jpg").write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"cannot read the image .*a\.jpg"):
        fig05_craniofacial.main(options)
    with pytest.raises(ValueError, match="give --data_dir, or both"):
        fig05_craniofacial.main(fig05_craniofacial.CraniofacialOptions(f2f_dir="x"))


@pytest.mark.rehearsal
@pytest.mark.real_data
def test_the_authors_own_faces_correlate_as_published(real_data_dir, tmp_path):
    data = real_data_dir / "avspeech"
    for name in ("face_normalized", "face_from_voice_authors"):
        (tmp_path / name).mkdir()
        for path in sorted((data / name).iterdir())[::3]:
            (tmp_path / name / path.name).symlink_to(path)
    result = fig05_craniofacial.run_on_folders(
        tmp_path / "face_normalized", tmp_path / "face_from_voice_authors"
    )
    rows = {row.keys["face measurement"]: row for row in result.rows}
    assert rows["nose width"].n == 251
    for name in ("nose width", "nasal index"):
        assert 0.22 < rows[name].ours < 0.45 and rows[name].p < 1e-3
        assert rows[name].ci95[0] < rows[name].paper < rows[name].ci95[1]
    assert abs(rows["random baseline (nasal index)"].ours) < 0.15
