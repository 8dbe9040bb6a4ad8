"""Imports of tiny VGG-Face files, and of files that must be refused."""

import pytest

from speech2face.errors import UserError
from speech2face.weights import vgg_face_import
from tests.helpers.vgg_face_writers import TINY


def import_file(path, output, **options):
    return vgg_face_import.import_weights(str(path), str(output), size=TINY, **options)


def assert_refused(path, match, tmp_path):
    """Asserts that a file is refused in one line and that nothing is written."""
    output = tmp_path / "refused.h5"
    with pytest.raises(UserError, match=match) as error:
        import_file(path, output)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    assert not output.exists()
