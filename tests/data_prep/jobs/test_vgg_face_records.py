"""Voice data sets with the paper's recognizer, in both precisions."""

import numpy as np
import pytest

from data_prep.jobs import voice as voice_jobs
from data_prep.jobs.voice import VoiceOptions
from speech2face import images
from speech2face.data import dataset_info
from speech2face.errors import UserError
from speech2face.models import vgg_face
from speech2face.weights import vgg_face_file, vgg_face_size
from tests.helpers.record_jobs import examples_of, options_for
from tests.helpers.vgg_face_writers import random_weights

VOICE = VoiceOptions()


def vgg_face_file_of(folder):
    """Writes a small VGG-Face."""
    size = vgg_face_size.VggFaceSize(
        blocks=((4,), (4,), (6,), (8,), (8,)), fc_units=24, n_classes=7
    )
    weights = str(folder / "vgg.h5")
    values = random_weights(size)
    vgg_face_file.write(weights, values, size=size, source_format="random")
    return weights


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "precision"),
    [("vgg_face", "float32"), ("vgg_face", "bfloat16"), ("vgg_face_relu", "float32")],
)
def test_features_of_vgg_face(name, precision, sample, tmp_path):
    """The paper's recognizer, with few channels and generated weights."""
    weights = vgg_face_file_of(tmp_path)
    manifest = (sample / "manifest.csv").read_text().splitlines()
    (tmp_path / "two.csv").write_text("\n".join(manifest[:3]) + "\n")
    options = options_for(
        tmp_path / "two.csv",
        sample,
        tmp_path / "data",
        recognizer=name,
        recognizer_precision=precision,
        vgg_face_weights=weights,
    )
    voice_jobs.build_voice_records(options, VOICE)
    info = dataset_info.read(options.output_dir)
    checksum = vgg_face_file.read_info(weights).checksum
    assert info.recognizer == dataset_info.RecognizerInfo(name, 24, checksum)
    assert info.config["recognizer_precision"] == precision
    model = vgg_face.load_vgg_face(weights)
    for example in examples_of(options.output_dir).values():
        crop = images.decode_image(example.face_jpeg).astype(np.float32)
        fc7 = np.asarray(model(crop[None])["fc7"])[0]
        expected = np.maximum(fc7, 0) if name == "vgg_face_relu" else fc7
        # The record's feature is of the crop before it became a JPEG.
        cosine = np.corrcoef(example.face_feature, expected)[0, 1]
        assert cosine > 0.95
        assert (example.face_feature.min() < 0) == (name == "vgg_face")


def test_dlib_in_bfloat16_is_refused(sample, tmp_path):
    options = options_for(
        sample / "manifest.csv",
        sample,
        tmp_path / "data",
        recognizer_precision="bfloat16",
    )
    with pytest.raises(UserError, match="--recognizer_precision=bfloat16 is for VGG"):
        voice_jobs.build_voice_records(options, VOICE)
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_the_precision_reaches_the_network(sample, tmp_path):
    """Features differ in the last digits, and by no more."""
    weights = vgg_face_file_of(tmp_path)
    features = []
    for precision in ("float32", "bfloat16"):
        options = options_for(
            sample / "manifest.csv",
            sample,
            tmp_path / precision,
            recognizer="vgg_face",
            recognizer_precision=precision,
            vgg_face_weights=weights,
        )
        voice_jobs.build_voice_records(options, VOICE)
        examples = examples_of(options.output_dir)
        features.append([examples[name].face_feature for name in sorted(examples)])
    one, two = map(np.array, features)
    assert (one != two).any()
    np.testing.assert_allclose(two, one, rtol=0, atol=0.02 * np.abs(one).max())
