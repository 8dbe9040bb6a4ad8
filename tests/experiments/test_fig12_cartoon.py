"""Fig. 12: a sheet of faces and their cartoons."""

from experiments import fig12_cartoon
from speech2face import images
from tests.helpers.tiny_material import shared_material


def test_a_sheet_of_a_model():
    result = fig12_cartoon.run(shared_material(), n_shown=2)
    assert images.decode_image(result.picture).shape[1] == 5 * 168 + 8
