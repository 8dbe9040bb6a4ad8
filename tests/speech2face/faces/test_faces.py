"""Detection, choice, crop and landmarks of faces."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from data_prep.clips import media
from speech2face import images
from speech2face.faces import detection

BOXES = [
    detection.Box(10, 10, 30, 30),
    detection.Box(60, 50, 100, 90),
    detection.Box(150, 20, 180, 50),
]


def test_choose_the_largest_without_a_position():
    assert detection.choose_face(BOXES, (None, None), 200, 100) is BOXES[1]
    assert detection.choose_face(BOXES, (0.5, None), 200, 100) is BOXES[1]


@pytest.mark.parametrize("x, y, index", [(0.1, 0.2, 0), (0.5, 0.9, 1), (1.0, 0.0, 2)])
def test_choose_the_nearest(x, y, index):
    assert detection.choose_face(BOXES, (x, y), 200, 100) is BOXES[index]


def test_crop_is_the_enlarged_square_about_the_center():
    """On a linear ramp resampling is exact, so every pixel's place can be checked."""
    y, x = np.mgrid[0:240, 0:240]
    ramp = np.dstack([x, y, np.zeros_like(x)]).astype(np.uint8)
    crop = detection.crop_face(
        ramp, detection.Box(70, 90, 130, 150), scale=1.65, size_px=99
    )
    # The square is 99 px about (100, 120): 50.5 .. 149.5, so pixels fall on pixels
    # half a pixel off: crop pixel k is at 50.5 + k (center 51 + k).
    assert crop.shape == (99, 99, 3)
    np.testing.assert_allclose(crop[50, :, 0], 50.5 + np.arange(99), atol=1)
    np.testing.assert_allclose(crop[:, 50, 1], 70.5 + np.arange(99), atol=1)


def test_crop_against_bilinear_map_coordinates():
    random = np.random.default_rng(0)
    image = ndimage.gaussian_filter(random.uniform(0, 255, [80, 120]), 4)
    image = (255 * (image - image.min()) / np.ptp(image)).astype(np.uint8)
    box = detection.Box(40, 20, 70, 50)
    crop = detection.crop_face(np.dstack([image] * 3), box, scale=1.65, size_px=224)
    side = 1.65 * 30
    steps = (np.arange(224) + 0.5) * side / 224 - side / 2 - 0.5
    rows, columns = np.meshgrid(35 + steps, 55 + steps, indexing="ij")
    expected = ndimage.map_coordinates(
        image.astype(float), [rows, columns], order=1, mode="nearest"
    )
    assert np.abs(crop[..., 0] - expected).max() < 4


def test_crop_repeats_the_edge_outside_the_picture():
    image = np.zeros([50, 60, 3], np.uint8)
    image[:] = np.arange(50, dtype=np.uint8)[:, None, None] * 4 + 20
    crop = detection.crop_face(image, detection.Box(-10, -20, 20, 10), size_px=66)
    # Rows of the crop reach from -29.75 to 19.75; all above 0 are the first row.
    np.testing.assert_array_equal(crop[:36], 20)
    assert crop[-1, 0, 0] == pytest.approx(20 + 4 * 19, abs=4)


def test_nothing_in_noise_and_flat_pictures():
    noise = np.random.default_rng(0).integers(0, 255, [60, 80, 3], dtype=np.uint8)
    assert detection.find_face(noise) is None
    assert detection.find_face(np.full([40, 40, 3], 127, np.uint8)) is None


@pytest.mark.parametrize("height, width", [(1, 1), (3, 200), (19, 30), (21, 20)])
def test_tiny_pictures_have_no_face(height, width):
    assert detection.find_face(np.zeros([height, width, 3], np.uint8)) is None


@pytest.mark.real_data
def test_released_crops_have_the_face_in_their_middle(real_data_dir):
    """Crops are 1.65 x the detector's box: so it finds 224 / 1.65 = 136 px."""
    paths = sorted((real_data_dir / "avspeech" / "face").iterdir())[::75]
    sizes, centers = [], []
    for path in paths:
        face = detection.find_face(images.read_image(str(path)))
        assert face is not None
        sizes.append(face.box.size_px)
        centers.append(face.box.center)
        # Eyes above the nose tip above the mouth, left to right in the picture.
        eyes = face.landmarks[36:48].mean(0)
        assert eyes[1] < face.landmarks[30, 1] < face.landmarks[48:].mean(0)[1]
        assert face.landmarks[36:42].mean(0)[0] < face.landmarks[42:48].mean(0)[0]
    assert np.median(sizes) == pytest.approx(224 / 1.65, rel=0.06)
    np.testing.assert_allclose(np.median(centers, 0), [112, 112], atol=6)


@pytest.mark.real_data
def test_small_faces_need_the_upsampling(real_data_dir):
    path = sorted((real_data_dir / "avspeech" / "face").iterdir())[0]
    small = Image.open(path).resize((70, 70), Image.Resampling.BOX)
    picture = np.full([140, 160, 3], 128, np.uint8)
    picture[35:105, 45:115] = np.asarray(small)
    assert not detection.detect_faces(picture, 0)
    face = detection.find_face(picture)
    np.testing.assert_allclose(face.box.center, [80, 70], atol=8)
    assert face.box.size_px == pytest.approx(70 / 1.65, rel=0.2)


@pytest.mark.real_data
def test_a_wrong_place_still_finds_the_nearest_face(real_data_dir):
    path = real_data_dir / "video" / "grid_bbaf2n.mpg"
    image = media.read_frame(str(path), 0.0)
    anywhere, misplaced = (
        detection.find_face(image),
        detection.find_face(image, 0.02, 0.98),
    )
    assert misplaced.box == anywhere.box
