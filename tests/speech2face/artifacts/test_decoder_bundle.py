"""Decoders on disk: read back exactly; damaged and other versions are refused."""

import numpy as np
import pytest

from speech2face.artifacts import decoder_bundle
from speech2face.errors import UserError
from tests.helpers.records import DIM
from tests.helpers.tiny_models import make_decoder


@pytest.fixture
def folder(tmp_path):
    make_decoder().save(tmp_path / "decoder")
    return tmp_path / "decoder"


@pytest.mark.slow
@pytest.mark.parametrize("written, version", [(None, 1), (1, 1), (3, 3)])
def test_a_decoder_of_another_version_is_refused(folder, written, version):
    with np.load(folder / "assets.npz") as file:
        assets = {name: file[name] for name in file.files if name != "format_version"}
    if written is not None:
        assets["format_version"] = written
    np.savez(folder / "assets.npz", **assets)
    message = f"decoder has format version {version}, expected 2: .* train it again"
    with pytest.raises(ValueError, match=message) as error:
        decoder_bundle.load(folder)
    assert error.value.reason == "another_version"
    assert "\n" not in str(error.value)


def test_this_version_reads_what_it_wrote(folder):
    loaded, saved = decoder_bundle.load(folder), make_decoder()
    np.testing.assert_array_equal(loaded.mean_landmarks, saved.mean_landmarks)


@pytest.mark.parametrize(
    "name, value",
    [
        ("normalizer_scale", np.ones(2)),
        ("normalizer_scale", np.array("large")),
        ("normalizer_mean", np.zeros(3)),
        ("mean_feature", np.zeros([1, 1])),
        ("head_relu_input", np.zeros(2, bool)),
        ("mean_landmarks", np.array(["x"])),
    ],
)
def test_an_asset_of_another_shape_is_named(folder, name, value):
    with np.load(folder / "assets.npz") as file:
        assets = dict(file)
    np.savez(folder / "assets.npz", **{**assets, name: value})
    with pytest.raises(UserError, match=rf"assets\.npz is damaged: {name} is "):
        decoder_bundle.load(folder)


def test_decoder_bundle_round_trip(folder, tmp_path):
    decoder = decoder_bundle.load(folder)
    assert decoder.checksum() == make_decoder().checksum()
    feature = np.random.default_rng(3).normal(size=(2, DIM)).astype(np.float32)
    raw = feature / 0.5 + 0.1  # by hand: the head takes raw features
    expected = np.maximum(raw, 0) @ decoder.head.weights
    np.testing.assert_allclose(decoder.face_logits(feature), expected, rtol=1e-5)
    with pytest.raises(FileNotFoundError, match="is not a face decoder"):
        decoder_bundle.load(tmp_path)
    decoder.save(tmp_path / "d")
    (tmp_path / "d/decoder.npz").write_bytes(b"junk")
    with pytest.raises(ValueError, match="is damaged"):
        decoder_bundle.load(tmp_path / "d")
