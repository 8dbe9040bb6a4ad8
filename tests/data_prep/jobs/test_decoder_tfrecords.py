"""Face records: measures, alignment, filters, averages, morphs."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from data_prep.clips.manifest import Clip
from data_prep.jobs import face as face_jobs
from data_prep.stages import face as face_stages
from data_prep.stages import face_filter, face_normalization, morphs
from data_prep.stages.face_filter import FilterOptions
from data_prep.stages.stage import Item
from speech2face.faces import detection
from tests.helpers.landmarks import FACE


def placed(face=FACE, scale=55.0, degrees=0.0, center=(112.0, 104.0)):
    a = np.radians(degrees)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    return face @ turn.T * scale + center


def changed(index, dx=0.0, dy=0.0):
    face = FACE.copy()
    face[index] += (dx, dy)
    return face


@pytest.mark.parametrize("degrees", [-25.0, 0.0, 40.0])
@pytest.mark.parametrize("scale", [20.0, 300.0])
def test_measures_do_not_depend_on_size_and_roll(scale, degrees):
    m = face_filter.measure(placed(scale=scale, degrees=degrees, center=(7, 9)))
    assert m.eye_distance_px == pytest.approx(scale)
    assert m.roll_degrees == pytest.approx(degrees)
    assert m.yaw == pytest.approx(0.0, abs=1e-9)
    assert m.pitch == pytest.approx(0.75 / 1.8)
    assert m.mouth_opening == pytest.approx(0.02)
    assert m.mouth_width == pytest.approx(0.84)
    assert m.corner_lift == pytest.approx(0.0, abs=1e-9)


def noisy_crop(seed=0, blur=0.0, gray=False):
    crop = np.random.default_rng(seed).uniform(0, 255, [224, 224, 3])
    crop = ndimage.gaussian_filter(crop, (1 + blur, 1 + blur, 0))
    crop = crop + np.array([30, 0, -30])
    if gray:
        crop = crop.mean(-1, keepdims=True).repeat(3, -1)
    return np.clip(crop, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "face, scale, degrees, crop, reason",
    [
        (FACE, 80, 5, noisy_crop(), None),
        (FACE, 20, 5, noisy_crop(), "too_small"),
        (FACE, 80, 35, noisy_crop(), "tilted"),
        (changed(30, dx=0.2), 80, 5, noisy_crop(), "not_frontal"),
        (changed(30, dx=-0.2), 80, -5, noisy_crop(), "not_frontal"),
        (changed(33, dy=0.2), 80, 5, noisy_crop(), "not_frontal"),
        (changed(33, dy=-0.3), 80, 5, noisy_crop(), "not_frontal"),
        (changed(66, dy=0.2), 80, 5, noisy_crop(), "mouth_open"),
        (changed(54, dx=0.25), 80, 5, noisy_crop(), "smiling"),
        (changed([48, 54], dy=-0.1), 80, 5, noisy_crop(), "smiling"),
        (FACE, 80, 5, noisy_crop(blur=7), "blurred"),
        (FACE, 80, 5, noisy_crop(gray=True), "monochrome"),
    ],
)
def test_filters(face, scale, degrees, crop, reason):
    landmarks = placed(face, scale, degrees)
    limits = FilterOptions(max_bridge_edge=0)  # noise crosses the bridge like glasses
    found = face_filter.find_broken_limit(
        face_filter.measure(landmarks), crop, landmarks, limits
    )
    assert (found and found[0]) == reason


def test_glasses_draw_a_line_across_the_bridge():
    landmarks = placed(scale=70)
    bare = np.full([224, 224, 3], 180, np.uint8)
    bare[:, :90] = 140  # some contrast in the face
    worn = bare.copy()
    worn[104:108] = 20
    limits = FilterOptions(min_sharpness=0, min_chroma=0)
    measures = face_filter.measure(landmarks)
    assert face_filter.find_broken_limit(measures, bare, landmarks, limits) is None
    reason, _ = face_filter.find_broken_limit(measures, worn, landmarks, limits)
    assert reason == "glasses"


def dotted(landmarks, size):
    """A white picture with a dark blot at each landmark, by the exact formula."""
    y, x = np.mgrid[: size[0], : size[1]]
    picture = np.full(size, 255.0)
    for px, py in landmarks:
        picture -= 200 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 2.5**2))
    return np.clip(picture, 0, 255).astype(np.uint8)[..., None].repeat(3, -1)


@pytest.mark.parametrize("scale, degrees", [(140.0, 20.0), (60.0, -12.0), (40.0, 0.0)])
def test_alignment_levels_the_eyes_55_px_apart(scale, degrees):
    landmarks = placed(scale=scale, degrees=degrees, center=(260.0, 210.0))
    blots = landmarks[[30, 8, 39, 42, 48, 54]]
    aligned, moved = face_normalization.align(dotted(blots, (520, 500)), landmarks)
    assert aligned.shape == (224, 224, 3) and aligned.dtype == np.uint8
    measures = face_filter.measure(moved)
    assert measures.eye_distance_px == pytest.approx(55.0, abs=1e-3)
    assert measures.roll_degrees == pytest.approx(0.0, abs=1e-3)
    right, left = face_filter.eye_centers(moved)
    np.testing.assert_allclose((right + left) / 2, (112, 104), atol=1e-3)
    np.testing.assert_allclose(moved, placed(), atol=1e-3)
    # The picture moved along: the blots' centers of mass are at the moved landmarks.
    dark = 255.0 - aligned[..., 0]
    for x, y in moved[[30, 8, 39, 42, 48, 54]]:
        rows = slice(round(y) - 6, round(y) + 7)
        columns = slice(round(x) - 6, round(x) + 7)
        cy, cx = ndimage.center_of_mass(dark[rows, columns])
        assert (columns.start + cx, rows.start + cy) == pytest.approx((x, y), abs=0.2)


def test_alignment_is_white_outside_the_picture():
    landmarks = placed(scale=30.0, center=(30.0, 25.0))
    aligned, _ = face_normalization.align(np.zeros([60, 60, 3], np.uint8), landmarks)
    assert (aligned[:10] == 255).all() and (aligned[100:110, 100:120] == 0).all()


def test_where_the_picture_ends_the_aligned_face_fades():
    """A rotated dark picture fades into white: its edges do not show as lines."""
    landmarks = placed(scale=60.0, degrees=9.0, center=(60.0, 60.0))
    aligned, _ = face_normalization.align(np.full([150, 120, 3], 20, "u1"), landmarks)
    steps = [np.abs(np.diff(aligned.astype(int), axis=axis)).max() for axis in (0, 1)]
    assert aligned.min() == 20 and aligned.max() == 255
    assert max(steps) < 235 / 6  # the step in 12 px is at most 1.5 / 12 of the whole


def test_a_face_in_a_wide_picture_does_not_fade():
    landmarks = placed(scale=60.0, degrees=9.0, center=(300.0, 300.0))
    aligned, _ = face_normalization.align(np.full([600, 600, 3], 20, "u1"), landmarks)
    assert (aligned == 20).all()


def test_a_nearly_canonical_face_keeps_its_pixels_and_gets_its_place():
    noise = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    landmarks = placed(scale=56, center=(108.3, 109.0))
    moved, points = face_normalization.move_to_place(noise, landmarks)
    np.testing.assert_array_equal(moved[:-5, 4:], noise[5:, :-4])
    assert (moved[:, :4] == 255).all() and (moved[-5:] == 255).all()
    np.testing.assert_allclose(points, landmarks + np.array([4, -5]), atol=1e-4)
    right, left = face_filter.eye_centers(points)
    np.testing.assert_allclose((right + left) / 2, (112.3, 104.0), atol=1e-3)


def test_a_nearly_canonical_face_is_not_resampled():
    picture = np.zeros([224, 224, 3], np.uint8)
    assert face_normalization.is_aligned(picture, placed(scale=58, degrees=1))
    assert not face_normalization.is_aligned(picture, placed(scale=80))
    assert not face_normalization.is_aligned(picture, placed(degrees=9))
    assert not face_normalization.is_aligned(picture[:200], placed())


def test_background_becomes_white_and_the_face_stays():
    picture = np.full([224, 224, 3], 60, np.uint8)
    white = face_normalization.whiten_background(picture, placed())
    assert (white[:, :8] == 255).all() and (white[:, -8:] == 255).all()
    assert (white[:25, :25] == 255).all() and (white[-25:, -25:] == 255).all()
    inside = placed(changed(0, 0))[17:].round().astype(int)  # all but the jaw
    assert (white[inside[:, 1], inside[:, 0]] == 60).all()


def test_warp_moves_the_landmarks():
    source = placed()
    random = np.random.default_rng(0)
    target = source + random.uniform(-1.5, 1.5, source.shape) + (2, -1)
    chosen = [30, 8, 48, 54]
    warped = face_stages.warp_to(dotted(source[chosen], (224, 224)), source, target)
    for x, y in target[chosen]:
        rows = slice(round(y) - 6, round(y) + 7)
        columns = slice(round(x) - 6, round(x) + 7)
        cy, cx = ndimage.center_of_mass(255.0 - warped[rows, columns, 0])
        assert (columns.start + cx, rows.start + cy) == pytest.approx((x, y), abs=0.7)


@dataclasses.dataclass
class FakeExample:
    landmarks: np.ndarray
    texture: np.ndarray


def test_average_of_an_identity():
    pictures = [np.full([224, 224, 3], v, np.uint8) for v in (10, 20, 60)]
    shapes = [placed() + d for d in (-1, 0, 4)]
    average = face_stages.average_face(
        [FakeExample(s, p) for s, p in zip(shapes, pictures)], placed()
    )
    np.testing.assert_allclose(average["landmarks"], placed() + 1)
    assert (average["texture"] == 30).all() and (average["normalized"] == 30).all()


def test_landmarks_in_the_crop():
    image = dotted([(100.0, 90.0)], (200, 220))
    box = detection.Box(70, 60, 130, 120)
    face = detection.Face(
        box, np.array([[100.0, 90.0]]), detection.crop_face(image, box)
    )
    (x, y), *_ = face_stages.landmarks_in_crop(face)
    cy, cx = ndimage.center_of_mass(255.0 - face.crop[..., 0])
    assert (cx, cy) == pytest.approx((x, y), abs=0.1)


def test_plan_keeps_the_photographs_of_a_speaker_together():
    clips = [
        Clip(f"{speaker}{i}", speaker, face="f", split=split)
        for speaker, split, n in [
            ("anna", "train", 5),
            ("ben", "train", 2),
            ("carl", "val", 3),
            ("dora", "train", 1),
        ]
        for i in range(n)
    ]
    chunks = face_jobs.plan_by_speaker(clips, 3)
    assert sorted(c.clip_id for k in chunks for c in k) == sorted(
        c.clip_id for c in clips
    )
    for speaker in ("anna", "ben", "carl", "dora"):
        assert sum(any(c.speaker_id == speaker for c in k) for k in chunks) == 1
    assert all(len({c.split for c in chunk}) == 1 for chunk in chunks)
    assert chunks == face_jobs.plan_by_speaker(clips[::-1], 3)


def test_neighbors_by_the_distance_of_cole_et_al():
    """10 |difference of landmarks| + |difference of textures|, by hand."""
    landmarks = np.array([[0.0, 0.0], [0.3, 0.4], [0.0, 0.1], [9.0, 0.0]])
    textures = np.array([[0.0], [0.0], [6.0], [0.0]])
    # From the first: 10 x .5 + 0 = 5, 10 x .1 + 6 = 7, 10 x 9 = 90.
    assert list(morphs.nearest(landmarks, textures, 10, 3)[0]) == [1, 2, 3]
    # With a weight of 20: 10, 8 and 180.
    assert list(morphs.nearest(landmarks, textures, 20, 2)[0]) == [2, 1]
    assert morphs.nearest(landmarks, textures, 10, 200).shape == (4, 3)


def test_neighbors_do_not_depend_on_the_blocks(monkeypatch):
    random = np.random.default_rng(0)
    landmarks, textures = random.normal(size=(20, 6)), random.normal(size=(20, 30))
    whole = morphs.nearest(landmarks, textures, 2, 5)
    monkeypatch.setattr(morphs, "_BLOCK", 7)
    np.testing.assert_array_equal(morphs.nearest(landmarks, textures, 2, 5), whole)
    for face in range(20):
        distances = [
            2 * np.linalg.norm(landmarks[face] - landmarks[other])
            + np.linalg.norm(textures[face] - textures[other])
            for other in range(20)
        ]
        np.testing.assert_array_equal(whole[face], np.argsort(distances)[1:6])


def test_gradient_composite_has_the_inner_laplacian_and_the_outer_edge():
    y, x = np.mgrid[:224, :224]
    around = np.stack([x * 0.5 + 60, y * 0.4 + 70, (x + y) * 0.2 + 90], -1)
    bump = 40 * np.exp(-((x - 110) ** 2 + (y - 120) ** 2) / 400.0)
    inside = np.clip(around * 0.2 + 20 + bump[..., None], 0, 255)
    mask = morphs.outline_mask(placed())
    result = morphs.gradient_composite(
        around.astype(np.uint8), inside.astype(np.uint8), mask
    )
    np.testing.assert_array_equal(result[~mask], around.astype(np.uint8)[~mask])
    # Exact solution: around is harmonic (linear) as is inside but for the bump, which
    # vanishes at the edge; so the result is around plus the bump.
    expected = around + bump[..., None]
    assert np.abs(result[mask] - expected[mask]).max() < 6
    assert np.abs(result[mask] - expected[mask]).mean() < 2


def test_gradient_composite_of_shifted_colors_is_the_surroundings():
    picture = noisy_crop(3).astype(int).clip(0, 200)
    result = morphs.gradient_composite(
        picture.astype(np.uint8),
        (picture + 50).astype(np.uint8),
        morphs.outline_mask(placed()),
    )
    np.testing.assert_array_equal(result, picture)


def test_outline_mask_is_the_hull():
    mask = morphs.outline_mask(placed())
    inside = placed().round().astype(int)
    assert mask[inside[:, 1], inside[:, 0]].all()
    assert not mask[:70].any() and not mask[:, :35].any() and not mask[-8:].any()


def test_a_closed_mouth_is_not_folded_over():
    """Inner lips that lie together in the mean, and 6 px apart, crossed, in the face.

    The image says its own y; a warp without folds lets it only grow downwards.
    """
    mean = placed().astype(float)
    upper, lower = [61, 62, 63], [67, 66, 65]
    mean[lower] = mean[upper] + (0.0, 0.3)
    face = mean.copy()
    face[upper] += (0.0, 3.0)
    face[lower] -= (0.0, 3.0)
    heights = np.arange(224, dtype=np.uint8)[:, None, None]
    image = np.broadcast_to(heights, [224, 224, 3])
    warped = face_stages.warp_to(image, face, mean)[..., 0].astype(int)
    assert np.diff(warped, axis=0).min() >= -1  # rounding


def test_landmarks_of_the_manifest_take_the_place_of_dlib_s(monkeypatch):
    """Of a ready face on which dlib finds nothing, and only if they can be a face's."""
    photograph, target = np.zeros([300, 300, 3], "u1"), np.zeros([224, 224, 3], "u1")
    box = detection.Box(90, 90, 200, 200)
    seen = detection.Face(box, placed(scale=60).astype("f4"), target)
    monkeypatch.setattr(
        detection, "find_face", lambda image, *_: seen if len(image) == 300 else None
    )
    given = {
        "good": placed(),
        "": None,
        "torn": placed(changed([61, 62, 63], dy=0.3)),
        "nan": placed() * np.nan,
    }
    items = [
        Item(
            Clip(
                name,
                "anna",
                face="photograph.png",
                normalized_face="normalized.png",
                normalized_landmarks=() if points is None else (*points.ravel(),),
            ),
            values={"image": photograph, "target": target},
        )
        for name, points in given.items()
    ]
    face_stages.FindFaces().process_all(items)
    assert [item.rejection and item.rejection.reason for item in items] == [
        None,
        "no_normalized_face",
        "implausible_landmarks",
        "implausible_landmarks",
    ]
    points = items[0].values["target_landmarks"]
    np.testing.assert_allclose(points, placed(), atol=1e-4)
