"""Fixtures of the tests of training."""

import pytest

from tests.helpers.records import write_voice_dataset
from tests.helpers.tiny_models import make_decoder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A voice data set and a decoder for `tiny_models.train`."""
    root = tmp_path_factory.mktemp("training")
    write_voice_dataset(root / "voices", n=13, n_shards=3, splits=("train", "val"))
    make_decoder().save(root / "decoder")
    return root
