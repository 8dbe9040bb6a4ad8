"""SF2F's protocol: distances, recalls and the score by hand and by brute force."""

import math

import numpy as np
import pytest
import scipy.stats
from PIL import Image

from experiments import supp_sf2f_protocol
from experiments.lib import sf2f_measures
from experiments.lib.inputs import RecognizerFile
from experiments.lib.results import NotApplicable
from experiments.supp_sf2f_protocol import ProtocolOptions
from speech2face import images
from speech2face.errors import UserError
from tests.helpers.tiny_material import labeled_example, make_material, shared_material

EIGHT = [0, 0, 1, 1, 2, 2, 3, 3]  # the people of the tiny material


class Colors:
    """A recognizer whose embedding is the mean color, and a constant."""

    name = "colors"

    def features(self, pictures):
        colors = np.asarray(pictures, np.float32).mean((1, 2))
        return np.hstack([colors, np.full((len(colors), 1), 9, np.float32)])


def cosine(a, b):
    return math.fsum(a * b) / math.sqrt(math.fsum(a * a) * math.fsum(b * b))


def test_means_are_of_unit_embeddings_and_are_not_scaled_again():
    embeddings = np.array([[3.0, 4.0], [0.0, 7.0], [5.0, 0.0]])
    means = sf2f_measures.compute_means(embeddings, np.array([0, 0, 1]))
    np.testing.assert_allclose(means, [[0.3, 0.9], [1.0, 0.0]])
    distances = sf2f_measures.compute_distances(np.array([[0.0, 2.0]]), means)
    # |(0, 1) - (.3, .9)| = .3 + .1: to the mean as it is.
    np.testing.assert_allclose(distances.l1, [[0.4, 2.0]])
    np.testing.assert_allclose(distances.cosine, [[0.9 / math.hypot(0.3, 0.9), 0.0]])


def test_a_person_counts_once_however_many_clips_speak():
    values = np.array([[1.0, 0.1], [0.5, 0.3], [0.2, 0.9]])
    measured = sf2f_measures.compute_own_and_others(values, np.array([0, 0, 1]))
    np.testing.assert_allclose(measured.own, [0.75, 0.9])
    assert measured.others == pytest.approx((0.1 + 0.3 + 0.2) / 3)


def test_recalls_equal_an_expectation_over_all_galleries():
    # Of 6 people with one clip each, how many others are nearer than the true one:
    random = np.random.default_rng(3)
    table = random.normal(size=(6, 6)) + 0.8 * np.eye(6)
    nearer = np.sum(table > np.diagonal(table)[:, np.newaxis], 1)
    recalls = sf2f_measures.compute_recalls(table, np.arange(6), 3, 4_000, seed=1)
    # Recall@1 of 3: none of the two others drawn of five is nearer.
    expected = scipy.stats.hypergeom.pmf(0, 5, nearer, 2).mean()
    spread = recalls[1].std() / math.sqrt(4_000)
    assert 0.2 < expected < 0.9
    assert recalls[1].mean() == pytest.approx(100 * expected, abs=4 * spread)
    np.testing.assert_array_equal(recalls[5], 100)
    again = sf2f_measures.compute_recalls(table, np.arange(6), 3, 4_000, seed=1)
    np.testing.assert_array_equal(recalls[1], again[1])


def test_recalls_by_hand_of_galleries_that_hold_everybody():
    # Clips 0 and 1 are of person 0: one finds it, the other never does.
    table = np.array([[0.9, 0.1, 0.2], [0.1, 0.9, 0.8], [0.3, 0.5, 0.4], [0, 0.5, 0.5]])
    person = np.array([0, 0, 1, 2])
    recalls = sf2f_measures.compute_recalls(table, person, 3, 500, seed=0)[1]
    # Person 1 is found; person 2 is tied with one other, which counts as rank 1.5.
    assert set(np.round(recalls, 3)) == {33.333, 66.667}
    assert np.mean(recalls) == pytest.approx(50, abs=3)


def test_the_score_by_hand():
    sure = np.full((50, 5), -1e4)
    sure[np.arange(50), np.arange(50) % 5] = 1e4
    # Each part of ten pictures has classes of some shares: exp of their entropy.
    order = np.random.default_rng(0).permutation(50)
    expected = [
        math.exp(scipy.stats.entropy(np.bincount(part % 5)))
        for part in order.reshape(5, 10)
    ]
    mean, sd = sf2f_measures.compute_vggface_score(sure, seed=0)
    assert mean == pytest.approx(np.mean(expected))
    assert sd == pytest.approx(np.std(expected))
    same = np.tile(np.random.default_rng(0).normal(size=(1, 8)), (20, 1))
    assert sf2f_measures.compute_vggface_score(same, 0) == pytest.approx((1, 0))
    mixed = np.random.default_rng(0).normal(size=(5, 4))  # parts of one: their own mean
    assert sf2f_measures.compute_vggface_score(mixed, 0) == pytest.approx((1, 0))


def test_rows_of_a_model_by_hand(tmp_path):
    material = shared_material()
    predictions = material.predictions()
    for clip_id in predictions.clip_ids:
        color = np.random.default_rng(len(clip_id)).integers(0, 256, 3, np.uint8)
        Image.new("RGB", (90, 90), tuple(map(int, color))).save(
            tmp_path / f"{clip_id}.png"
        )
    options = ProtocolOptions(compared_dirs=(f"other={tmp_path}",), n_galleries=5)
    result = supp_sf2f_protocol.run(material, None, options, Colors())
    rows = {(r.keys["method"], r.keys["measure"]): r for r in result.rows}
    jpegs = [labeled_example(index).face_jpeg for index in range(8)]
    photographs = Colors().features(np.stack([images.decode_image(j) for j in jpegs]))
    scaled = photographs / np.linalg.norm(photographs, axis=1, keepdims=True)
    means = scaled.reshape(4, 2, -1).mean(1)  # each has a photograph of its own
    for method, features in (
        ("our S2F", predictions.voice_features),
        ("our F2F", predictions.face_features),
    ):
        faces = Colors().features(material.faces(features).images).astype(float)
        own = [cosine(face, means[p]) for face, p in zip(faces, EIGHT)]
        l1 = [
            np.abs(face / math.sqrt(face @ face) - means[p]).sum()
            for face, p in zip(faces, EIGHT)
        ]
        if method == "our S2F":
            assert rows[method, "cosine"].ours == pytest.approx(np.mean(own), abs=1e-6)
            assert rows[method, "L1"].ours == pytest.approx(np.mean(l1), abs=1e-6)
            others = [
                cosine(face, means[p])
                for face, own_p in zip(faces, EIGHT)
                for p in range(4)
                if p != own_p
            ]
            assert rows[method, "cosine"].chance == pytest.approx(np.mean(others))
        else:
            ceiling = rows["our S2F", "cosine"].ceiling
            assert ceiling == pytest.approx(np.mean(own), abs=1e-6)
    assert rows["other", "cosine"].keys["compares with"] == "rows read here"
    assert rows["SF2F, 128 px", "VGGFace score"].paper == 20.10
    assert rows["Vox2Face, by Vox2Face", "recall@10, %"].paper == 32.1
    assert all(row.ours is None for row in rows.values() if row.paper is not None)
    assert "4 people are too few for a gallery of 100" in result.notes
    assert any("not VoxCeleb's" in note for note in result.notes)
    assert "8 photographs of 4 people, read by colors" in result.notes[0]


def test_galleries_of_both_sizes_have_their_chance():
    person = np.repeat(np.arange(120), 2)
    random = np.random.default_rng(0)
    means = random.normal(size=(120, 16))
    faces = means[person] + 3 * random.normal(size=(240, 16))
    distances = sf2f_measures.compute_distances(faces, means)
    rows = supp_sf2f_protocol.render_rows("ours", distances, person, 50, seed=0)
    found = {row.keys["measure"]: row for row in rows}
    assert {m for m in found if m.startswith("recall")} == {
        f"recall@{k} of {size}, %" for k in (1, 5, 10) for size in (50, 100)
    }
    assert found["recall@5 of 50, %"].chance == 10
    assert found["recall@5 of 100, %"].chance == 5
    one, other = found["recall@5 of 50, %"], found["recall@5 of 100, %"]
    assert one.ours > other.ours > other.chance and other.sd > 0
    assert found["cosine"].ci95[0] < found["cosine"].ours < found["cosine"].ci95[1]


def test_the_score_is_of_one_clip_of_each_person(monkeypatch):
    read = []

    def logits(batches, weights):
        assert weights == "vgg.h5"
        pictures = np.concatenate(list(batches))
        read.append(len(pictures))
        return pictures.reshape(len(pictures), -1)[:, :7].astype(float)

    monkeypatch.setattr(supp_sf2f_protocol, "read_logits", logits)
    monkeypatch.setattr(supp_sf2f_protocol, "N_PARTS", 2)
    monkeypatch.setattr(sf2f_measures, "N_PARTS", 2)
    file = RecognizerFile(vgg_face_weights="vgg.h5")
    result = supp_sf2f_protocol.run(shared_material(), file, None, Colors())
    assert read == [4, 4]  # of F2F and S2F
    rows = [row for row in result.rows if row.keys["measure"] == "VGGFace score"]
    assert rows[0].keys["method"] == "our S2F" and rows[0].n == 4


def test_one_person_cannot_be_compared(tmp_path):
    material = make_material(tmp_path, n_examples=1)
    with pytest.raises(NotApplicable, match="of one person"):
        supp_sf2f_protocol.run(material, None, None, Colors())


def test_a_recognizer_of_ones_own_choice_reads_the_pictures():
    # The tiny model takes features of no network, and dlib's network reads it.
    with pytest.raises(UserError, match="the model takes features of dlib"):
        supp_sf2f_protocol.run(shared_material())
    options = ProtocolOptions(read_by="dlib", n_galleries=2)
    result = supp_sf2f_protocol.run(shared_material(), options=options)
    assert "read by dlib;" in result.notes[0]
    assert "VGGFace score: needs --vgg_face_weights" in result.notes
