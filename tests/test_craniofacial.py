"""Fig. 5: measures by hand, correlations against scipy, the authors' own faces."""

import numpy as np
import pytest
import scipy.stats
from PIL import Image
from tiny_material import shared_material

from experiments import common, craniofacial, fig05_craniofacial, published
from speech2face import files


def face(**moved):
    """Landmarks on a circle, some of them moved."""
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    points = 112 + 60 * np.stack([np.cos(angle), np.sin(angle)], 1)
    for name, place in moved.items():
        points[int(name[1:])] = place
    return points[np.newaxis]


def random_faces(n, seed=0):
    generator = np.random.default_rng(seed)
    return face() + generator.normal(0, 3, (n, 68, 2))


def test_measures_by_hand():
    points = face(
        **{"p27": (100, 50), "p33": (100, 90), "p31": (85, 88), "p35": (115, 88)},
        **{"p62": (100, 120), "p66": (100, 124), "p51": (100, 117), "p57": (100, 130)},
        **{"p48": (70, 122), "p54": (130, 122), "p8": (100, 182)},
        **{"p4": (40, 150), "p12": (160, 150), "p0": (20, 70), "p16": (180, 70)},
        **{"p32": (90, 92), "p50": (90, 110), "p34": (110, 92), "p52": (110, 112)},
        **{"p39": (85, 60), "p42": (115, 60), "p36": (60, 60), "p45": (140, 60)},
    )
    expected = {
        "upper lip height": 32.0,
        "lateral upper lip heights": 19.0,
        "jaw width": 120.0,
        "nose height": 40.0,
        "nose width": 30.0,
        "labio oral region": 60.0,
        "mandibular idx": 60 / 120,
        "intercanthal idx": 30 / 80,
        "nasal index": 30 / 40,
        "vermilion height idx": 3 / 6,
        "mouth face width idx": 60 / 160,
        "nose area": 1200.0,
    }
    assert list(expected) == list(craniofacial.MEASURES) == list(published.FIG_5)
    for name, value in expected.items():
        assert craniofacial.MEASURES[name](points)[0] == pytest.approx(value), name


def test_correlations_equal_scipys_and_random_pairs_have_none():
    f2f = random_faces(300)
    s2f = 0.7 * (f2f - face()) + random_faces(300, seed=1)
    measured = craniofacial.compute(f2f, s2f)
    for name, measure in craniofacial.MEASURES.items():
        expected = scipy.stats.pearsonr(measure(f2f), measure(s2f))
        assert measured[name]["r"] == pytest.approx(expected.statistic)
        assert measured[name]["p"] == pytest.approx(expected.pvalue)
        assert measured[name]["n"] == 300
        assert abs(measured[name]["random"]) < 0.2 < measured[name]["r"]


def test_random_pairs_are_never_a_pair():
    for n in (2, 3, 50):
        order = craniofacial._derangement(n, seed=n)
        assert sorted(order) == list(range(n)) and (order != np.arange(n)).all()


def test_a_model_that_draws_one_face_has_no_correlation():
    f2f = random_faces(10)
    measured = craniofacial.compute(f2f, np.repeat(face(), 10, axis=0))
    result = craniofacial.render(measured, [str(i) for i in range(10)], [], [], {})
    assert [row.ours for row in result.rows] == [None] * 13
    assert "| nose width | – |" in common.to_markdown(result)


def test_a_model_by_the_decoders_own_landmarks():
    result = craniofacial.run(shared_material(), "decoder")
    assert len(result.rows) == 13 and result.rows[0].n == 8
    assert files.decode_image(result.picture).shape[2] == 3
    assert [row.paper for row in result.rows] == [*published.FIG_5.values(), 0.02]


def test_a_decoder_without_faces_is_named():
    with pytest.raises(common.NotApplicable, match="in 0 of 8 pairs"):
        craniofacial.run(shared_material(), "detected")


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
    with pytest.raises(ValueError, match="cannot read the image .*a.jpg"):
        fig05_craniofacial.main(options)
    with pytest.raises(ValueError, match="give --data_dir, or both"):
        fig05_craniofacial.main(fig05_craniofacial.CraniofacialOptions(f2f_dir="x"))


@pytest.mark.real_data
def test_the_authors_own_faces_correlate_as_published(real_data_dir, tmp_path):
    data = real_data_dir / "avspeech"
    for name in ("face_normalized", "face_from_voice_authors"):
        (tmp_path / name).mkdir()
        for path in sorted((data / name).iterdir())[::3]:
            (tmp_path / name / path.name).symlink_to(path)
    result = craniofacial.run_on_folders(
        tmp_path / "face_normalized", tmp_path / "face_from_voice_authors"
    )
    rows = {row.keys["face measurement"]: row for row in result.rows}
    assert rows["nose width"].n == 251
    for name in ("nose width", "nasal index"):
        assert 0.22 < rows[name].ours < 0.45 and rows[name].p < 1e-3
        assert rows[name].ci95[0] < rows[name].paper < rows[name].ci95[1]
    assert abs(rows["random baseline (nasal index)"].ours) < 0.15
