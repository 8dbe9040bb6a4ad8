"""The detector against dlib's own, on faces that are drawn and on real ones."""

import dlib
import numpy as np
import pytest

from data_prep.clips import media
from experiments.benchmarks import scenes
from speech2face.faces import boxes, mmod_pyramid, mmod_search
from speech2face.models import mmod
from speech2face.weights import dlib as dlib_weights


@pytest.fixture(scope="module")
def dlibs():
    return dlib.cnn_face_detection_model_v1(
        dlib_weights.package_file(dlib_weights.DETECTOR_FILE)
    )


def boxes_of(found):
    return np.array(
        [
            (
                d.rect.left(),
                d.rect.top(),
                d.rect.right() + 1,
                d.rect.bottom() + 1,
                d.confidence,
            )
            for d in found
        ]
    ).reshape(-1, 5)


def assert_same(found, expected, score_atol=5e-3):
    """Same faces: dlib's corners are whole pixels, rounded twice."""
    assert len(found) == len(expected) > 0
    for box in expected:
        overlaps = boxes.overlap(found, box)
        mine = found[overlaps.argmax()]
        np.testing.assert_allclose(mine[:4], box[:4], atol=1.6)
        assert mine[4] == pytest.approx(box[4], abs=score_atol)


@pytest.mark.slow
@pytest.mark.parametrize("n_doublings", [0, 1])
@pytest.mark.parametrize("size", [(240, 320), (301, 203), (190, 431)])
def test_finds_what_dlib_finds(dlibs, size, n_doublings):
    picture = scenes.draw(*size, 85, 0).picture
    found = mmod_search.search(picture, n_doublings)
    assert_same(found, boxes_of(dlibs(picture, n_doublings)))


def test_nothing_where_dlib_finds_nothing(dlibs):
    noise = np.random.default_rng(1).integers(0, 255, [120, 160, 3], np.uint8)
    assert len(boxes_of(dlibs(noise, 1))) == len(mmod_search.search(noise, 1)) == 0
    assert [len(f) for f in mmod_search.search_at([noise], [(80, 60)])] == [0]


@pytest.mark.slow
@pytest.mark.parametrize("face_px", [45, 70, 130])
def test_at_a_place_finds_what_the_whole_search_finds(face_px):
    picture = scenes.draw(360, 480, face_px, 1).picture
    everything = mmod_search.search(picture, 1)
    assert len(everything) >= 1
    left, top, right, bottom, score = everything[0]
    for share in (0.35, 0.5, 0.65):
        point = (left + share * (right - left), top + share * (bottom - top))
        (found,) = mmod_search.search_at([picture], [point])
        assert len(found) == 1
        assert boxes.overlap(found, everything[0])[0] > 0.98
        assert found[0, 4] == pytest.approx(score, abs=1e-3)


@pytest.mark.slow
def test_recall_at_a_place_is_that_of_the_whole_frame():
    """Frames as videos have them: as many faces, the same boxes, on the true faces."""
    for seed, share in enumerate(np.linspace(0.14, 0.4, 3)):
        scene = scenes.draw(360, 640, share * 360, seed)
        (found,) = mmod_search.search_at([scene.picture], [in_pixels(scene)])
        everything = mmod_search.search(scene.picture, 1)
        assert len(found) >= min(len(everything), 1), seed
        assert boxes.overlap(everything, found[0]).max() >= 0.9, seed
        assert_covers(found[0], scene)


@pytest.mark.slow
def test_faces_in_1080p_are_found_at_their_place():
    for seed, face_px in enumerate((60, 200)):
        scene = scenes.draw(1080, 1920, face_px, seed)
        (found,) = mmod_search.search_at([scene.picture], [in_pixels(scene)])
        assert len(found) == 1, seed
        assert_covers(found[0], scene)


def in_pixels(scene):
    return tuple(np.array(scene.place) * scene.picture.shape[1::-1])


def assert_covers(box, scene):
    """The box has eyes and mouth in it, up to 5 %, and is no larger than a head."""
    first, last = scene.eyes_and_mouth.min(0), scene.eyes_and_mouth.max(0)
    margin = 0.05 * (last - first)
    assert (box[:2] < first + margin).all() and (last - margin < box[2:4]).all()
    assert (box[2:4] - box[:2]).max() < 3 * (last - first).max()


@pytest.mark.slow
def test_several_pictures_at_once_and_places_without_a_face():
    pictures = [
        scenes.draw(240, 320, 90, 2).picture,
        scenes.draw(300, 500, 70, 3).picture,
        np.full([200, 200, 3], 120, np.uint8),
    ]
    points = []
    for picture in pictures[:2]:
        box = mmod_search.search(picture, 1)[0]
        points.append(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
    points += [(100, 100)]
    together = mmod_search.search_at(pictures, points)
    for picture, point, found in zip(pictures, points, together):
        (alone,) = mmod_search.search_at([picture], [point])
        np.testing.assert_allclose(found, alone, atol=1e-4)
    assert [len(found) for found in together] == [1, 1, 0]
    (aside,) = mmod_search.search_at(pictures[1:2], [(20, 280)])
    assert len(aside) == 0


def test_canvas_is_dlibs(dlibs):
    """Sizes by hand: 5/6 each, rounded down, in two columns that never touch."""
    sizes = mmod_pyramid.levels(100, 160, 0)
    assert [(s.height_px, s.width_px) for s in sizes[:4]] == [
        (100, 160), (83, 133), (69, 110), (57, 91),
    ]  # fmt: skip
    for first in sizes:
        for second in sizes[first.n_reductions + 1 :]:
            gap = np.maximum(
                first.corner - second.corner - second.shape,
                second.corner - first.corner - first.shape,
            ).max()
            assert gap >= 0, (first, second)


def test_levels_map_there_and_back_as_dlib_does():
    point = np.array([37.0, 91.0])
    (level,) = [s for s in mmod_pyramid.levels(200, 300, 1) if s.n_reductions == 3]
    np.testing.assert_allclose(level.to_picture(level.from_picture(point)), point)
    up = dlib.pyramid_down(6).point_up(dlib.dpoint(10, 20), 3)
    expected = dlib.pyramid_down(2).point_down(up)
    found = level.to_picture(np.array([10.0, 20.0]))
    np.testing.assert_allclose(found, [expected.x, expected.y])


def test_memory_is_bounded_by_strips(monkeypatch):
    picture = scenes.draw(240, 320, 95, 4).picture
    expected = mmod_search.search(picture, 1)
    monkeypatch.setattr(mmod_search, "STRIP_ROWS", 8)
    np.testing.assert_allclose(mmod_search.search(picture, 1), expected, atol=1e-4)


def test_another_network_is_refused():
    path = dlib_weights.package_file(dlib_weights.NETWORK_FILE)
    with pytest.raises(ValueError, match="its loss is 'loss_metric_2'"):
        dlib_weights.read_detector(path)
    path = dlib_weights.package_file(dlib_weights.DETECTOR_FILE)
    network = dlib_weights.read_detector(path)
    network.layers.pop()
    with pytest.raises(ValueError, match="another network than dlib's face detector"):
        mmod.load_mmod(path, network)


@pytest.mark.slow
@pytest.mark.real_data
def test_real_videos_give_dlibs_boxes(real_data_dir, dlibs):
    """Whole and at the place; the smallest two, since dlib takes seconds for each."""
    for name in ("grid_lrwp9a.mpg", "grid_lbbc2a.mpg"):
        picture = media.read_frame(str(real_data_dir / "video" / name), 0.0)
        expected = boxes_of(dlibs(picture, 1))
        found = mmod_search.search(picture, 1)
        assert_same(found, expected)
        for box in expected:
            point = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
            (at,) = mmod_search.search_at([picture], [point])
            assert boxes.overlap(at, box)[0] > 0.95
