"""Face records: measures, alignment, filters, averages, morphs."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from data_prep import face_jobs, face_normalization, face_stages, morphs
from data_prep.manifest import Clip
from data_prep.options import FilterOptions
from speech2face import faces

# A frontal, neutral face of unit eye distance, eyes' middle at (0, 0); x right, y down.
_JAW = [(np.cos(a) * -1.25, 0.15 + np.sin(a) * 1.65) for a in np.linspace(0, np.pi, 17)]
_BROWS = [(x, -0.45) for x in np.linspace(-0.85, -0.25, 5)]
_BROWS += [(-x, y) for x, y in reversed(_BROWS)]
_NOSE = [(0, y) for y in (-0.05, 0.17, 0.38, 0.6)]
_NOSE += [(x, 0.75) for x in (-0.22, -0.11, 0, 0.11, 0.22)]
_EYE = [
    (-0.22, 0),
    (-0.08, -0.08),
    (0.08, -0.08),
    (0.22, 0),
    (0.08, 0.08),
    (-0.08, 0.08),
]
_EYES = [(x - 0.5, y) for x, y in _EYE] + [(x + 0.5, y) for x, y in _EYE]
_LIPS = [(-0.42, 1.15), (-0.2, 1.05), (-0.1, 1.03), (0, 1.05), (0.1, 1.03), (0.2, 1.05)]
_LIPS += [(0.42, 1.15), (0.2, 1.3), (0.1, 1.32), (0, 1.32), (-0.1, 1.32), (-0.2, 1.3)]
_LIPS += [(-0.35, 1.15), (-0.1, 1.14), (0, 1.14), (0.1, 1.14), (0.35, 1.15)]
_LIPS += [(0.1, 1.16), (0, 1.16), (-0.1, 1.16)]
FACE = np.array(_JAW + _BROWS + _NOSE + _EYES + _LIPS)
assert FACE.shape == (68, 2)


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
    m = face_normalization.measure(placed(scale=scale, degrees=degrees, center=(7, 9)))
    assert m.eye_distance_px == pytest.approx(scale)
    assert m.roll_degrees == pytest.approx(degrees)
    assert m.yaw == pytest.approx(0.0, abs=1e-9)
    assert m.pitch == pytest.approx(0.75 / 1.8)
    assert m.mouth_opening == pytest.approx(0.02)
    assert m.mouth_width == pytest.approx(0.84)
    assert m.corner_lift == pytest.approx(0.0, abs=1e-9)


def noisy_crop(seed=0, blur=0.0, grey=False):
    crop = np.random.default_rng(seed).uniform(0, 255, [224, 224, 3])
    crop = ndimage.gaussian_filter(crop, (1 + blur, 1 + blur, 0)) + [30, 0, -30]
    if grey:
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
        (FACE, 80, 5, noisy_crop(grey=True), "monochrome"),
    ],
)
def test_filters(face, scale, degrees, crop, reason):
    landmarks = placed(face, scale, degrees)
    limits = FilterOptions(max_bridge_edge=0)  # noise crosses the bridge like glasses
    found = face_normalization.why_rejected(
        face_normalization.measure(landmarks), crop, landmarks, limits
    )
    assert (found and found[0]) == reason


def test_glasses_draw_a_line_across_the_bridge():
    landmarks = placed(scale=70)
    bare = np.full([224, 224, 3], 180, np.uint8)
    bare[:, :90] = 140  # some contrast in the face
    worn = bare.copy()
    worn[104:108] = 20
    limits = FilterOptions(min_sharpness=0, min_chroma=0)
    measures = face_normalization.measure(landmarks)
    assert face_normalization.why_rejected(measures, bare, landmarks, limits) is None
    reason, _ = face_normalization.why_rejected(measures, worn, landmarks, limits)
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
    measures = face_normalization.measure(moved)
    assert measures.eye_distance_px == pytest.approx(55.0, abs=1e-3)
    assert measures.roll_degrees == pytest.approx(0.0, abs=1e-3)
    right, left = face_normalization.eye_centers(moved)
    np.testing.assert_allclose((right + left) / 2, (112, 104), atol=1e-3)
    np.testing.assert_allclose(moved, placed(), atol=1e-3)
    # The picture moved along: the blots' centres of mass are at the moved landmarks.
    dark = 255.0 - aligned[..., 0]
    for x, y in moved[[30, 8, 39, 42, 48, 54]]:
        rows = slice(int(round(y)) - 6, int(round(y)) + 7)
        columns = slice(int(round(x)) - 6, int(round(x)) + 7)
        cy, cx = ndimage.center_of_mass(dark[rows, columns])
        assert (columns.start + cx, rows.start + cy) == pytest.approx((x, y), abs=0.2)


def test_alignment_is_white_outside_the_picture():
    landmarks = placed(scale=30.0, center=(30.0, 25.0))
    aligned, _ = face_normalization.align(np.zeros([60, 60, 3], np.uint8), landmarks)
    assert (aligned[:10] == 255).all() and (aligned[100:110, 100:120] == 0).all()


def test_where_the_picture_ends_the_aligned_face_fades():
    """A dark picture, turned, on white: no edge of it shows as a line."""
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
    np.testing.assert_array_equal(moved[:, :4], moved[:, 4:5].repeat(4, axis=1))
    np.testing.assert_allclose(points, landmarks + [4, -5], atol=1e-4)
    right, left = face_normalization.eye_centers(points)
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
        rows = slice(int(round(y)) - 6, int(round(y)) + 7)
        columns = slice(int(round(x)) - 6, int(round(x)) + 7)
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
    box = faces.Box(70, 60, 130, 120)
    face = faces.Face(box, np.array([[100.0, 90.0]]), faces.crop_face(image, box))
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


def test_gradient_composite_of_shifted_colours_is_the_surroundings():
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
