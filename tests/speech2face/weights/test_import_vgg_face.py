"""Every VGG-Face file in circulation imports to one network, and nothing else does."""

import hashlib
import io
import os
import pickle
import subprocess
import sys

import h5py
import numpy as np
import pytest
from PIL import Image

from speech2face.errors import UserError
from speech2face.models import vgg_face
from speech2face.weights import (
    tensor_pickle,
    vgg_face_file,
    vgg_face_size,
)
from tests.helpers import torch_writers
from tests.helpers import vgg_face_writers as writers
from tests.helpers.vgg_face_imports import assert_refused, import_file

TINY = writers.TINY
LAYOUTS = writers.LAYOUTS


# --- The same network comes out ------------------------------------------------------


@pytest.mark.parametrize("name", LAYOUTS)
def test_outputs_equal_the_network_run_in_its_own_layout(name, files, tmp_path):
    layout = LAYOUTS[name]
    output = tmp_path / "vgg_face.weights.h5"
    info = import_file(files[name], output)
    assert info.source_format == layout.format
    assert info.channel_order == layout.order
    images = np.random.default_rng(1).uniform(0, 255, (2, 64, 64, 3)).astype("f4")
    outputs = vgg_face.load_vgg_face(str(output)).predict_on_batch(images)
    for image, *ours in zip(images, *(outputs[k] for k in ("fc6", "fc7", "fc8"))):
        expected = layout.run(layout.network(), image, layout.order)
        for key, value in zip(("fc6", "fc7", "fc8"), ours):
            scale = np.abs(expected[key]).max()
            assert np.abs(value - expected[key]).max() < 1e-4 * scale, key


def test_every_format_of_one_network_gives_one_checksum(tmp_path):
    checksums = set()
    for name, layout in LAYOUTS.items():
        layers = layout.network()
        if layout.order == "bgr":
            layers = writers.exchange_red_and_blue(layers)
        path = tmp_path / name
        layout.write(path, layers)
        checksums.add(import_file(path, tmp_path / "out.h5").checksum)
    assert len(checksums) == 1


def test_channel_order_can_be_overruled(files, tmp_path):
    as_bgr = import_file(files["keras_deepface"], tmp_path / "a.h5")
    as_rgb = import_file(
        files["keras_deepface"], tmp_path / "b.h5", channel_order="rgb"
    )
    a, _ = vgg_face_file.read_weights(str(tmp_path / "a.h5"))
    b, _ = vgg_face_file.read_weights(str(tmp_path / "b.h5"))
    np.testing.assert_array_equal(
        a["conv1_1"].kernel, b["conv1_1"].kernel[:, :, [2, 1, 0]]
    )
    assert (as_bgr.channel_order, as_rgb.channel_order) == ("bgr", "rgb")


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name.startswith("mat")])
def test_class_names_of_matconvnet_files(name, files, tmp_path):
    info = import_file(files[name], tmp_path / "out.h5")
    assert list(info.class_names) == writers.NAMES


def test_output_says_where_it_came_from(files, tmp_path):
    output = tmp_path / "out.h5"
    import_file(files["torch7"], output, class_names=writers.NAMES)
    with h5py.File(output) as file:
        source = files["torch7"].read_bytes()
        assert file.attrs["source_sha256"] == hashlib.sha256(source).hexdigest()
        assert file.attrs["source_format"] == "Torch7"
        assert len(file.attrs["checksum"]) == 64
        assert [n.decode() for n in file["class_names"]] == writers.NAMES


def test_ordered_dict_as_python_2_pickled_it():
    # OrderedDict([["a", 1]]), protocol 2
    pickled = b"\x80\x02ccollections\nOrderedDict\n]](U\x01aK\x01ea\x85R."
    assert pickle.loads(pickled) == {"a": 1}
    assert tensor_pickle.evaluate(io.BytesIO(pickled), "x") == {"a": 1}


# --- What is not VGG-Face ------------------------------------------------------------


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("fraction", [0.05, 0.5, 0.9, 0.999])
def test_truncated_files(name, fraction, files, tmp_path):
    data = files[name].read_bytes()
    path = tmp_path / "truncated"
    path.write_bytes(data[: int(len(data) * fraction)])
    assert_refused(path, ".", tmp_path)


@pytest.mark.parametrize("name", LAYOUTS)
def test_vgg16_of_imagenet(name, tmp_path):
    size = vgg_face_size.VggFaceSize(**{**TINY.__dict__, "n_classes": 1000})
    layout = LAYOUTS[name]
    layout.write(tmp_path / "vgg16", layout.network(size))
    assert_refused(tmp_path / "vgg16", "not VGG-Face.*ImageNet", tmp_path)


@pytest.mark.parametrize("name", LAYOUTS)
def test_network_without_its_head(name, tmp_path):
    layout = LAYOUTS[name]
    layout.write(tmp_path / "notop", layout.network()[:13])
    assert_refused(tmp_path / "notop", "13 layers.*notop", tmp_path)


def test_vggface2_resnet_of_keras(tmp_path):
    kernel, scale = np.zeros((7, 7, 3, 8)), np.zeros(8)
    batch_norm = [(f"bn/{i}", scale) for i in range(4)]
    groups = [
        ("conv1/7x7_s2", [("conv1/7x7_s2/kernel:0", kernel)]),
        ("conv1/7x7_s2/bn", batch_norm),
    ]
    writers._write_keras(tmp_path / "resnet.h5", groups)
    assert_refused(tmp_path / "resnet.h5", "not VGG-Face.*ResNet", tmp_path)


def test_vggface2_resnet_of_pytorch(tmp_path):
    layers = [("conv1_7x7_s2", np.zeros((8, 3, 7, 7), "f4"), np.zeros(8, "f4"))] * 54
    layers = [(f"{name}_{i}", *rest) for i, (name, *rest) in enumerate(layers)]
    torch_writers.write_pytorch(tmp_path / "resnet.pth", layers)
    assert_refused(tmp_path / "resnet.pth", "54 layers.*ResNet", tmp_path)


def test_values_that_are_not_finite(tmp_path):
    layers = writers.oihw_network()
    layers[5][1].flat[3] = np.nan
    torch_writers.write_torch7(tmp_path / "nan.t7", layers)
    assert_refused(
        tmp_path / "nan.t7", "conv3_2 holds values that are not finite", tmp_path
    )


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\x1f\x8b\x08\0rest", "gzip archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "LFS pointer"),
        (b"MATLAB 7.3 MAT-file, Platform: GLNXA64" + bytes(200), "'-v7'"),
        (b"4\n1\n3\nV 1\n13\nnn.Sequential\n", "ASCII"),
        (b"\x93NUMPY\x01\0v\0{}", "not a VGG-Face weights file"),
        (bytes(4000), "not a VGG-Face weights file"),
        (pickle.dumps({"conv1_1": 1}, protocol=2), "not a PyTorch file"),
    ],
)
def test_other_files(content, match, tmp_path):
    (tmp_path / "file.t7").write_bytes(content)
    assert_refused(tmp_path / "file.t7", match, tmp_path)


def test_own_output_is_not_imported_twice(files, tmp_path):
    import_file(files["caffe"], tmp_path / "once.h5")
    assert_refused(tmp_path / "once.h5", "already an imported", tmp_path)


def test_only_an_imported_file_is_overwritten(files, tmp_path):
    import_file(files["caffe"], tmp_path / "out.h5")
    import_file(files["torch7"], tmp_path / "out.h5")
    for name in ("torch7", "keras_vggface"):
        other = tmp_path / name
        other.write_bytes(files[name].read_bytes())
        with pytest.raises(UserError, match="exists and is not an imported"):
            import_file(files["caffe"], other)
        assert other.read_bytes() == files[name].read_bytes()


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        import_file(tmp_path / "missing.t7", tmp_path / "out.h5")


def test_wrong_number_of_class_names(files, tmp_path):
    with pytest.raises(UserError, match="2 class names for 9 classes"):
        import_file(files["torch7"], tmp_path / "out.h5", class_names=["a", "b"])


# --- The command ---------------------------------------------------------------------

_AS_TINY = (
    "import runpy, sys, tests_size\n"
    "from speech2face.weights import vgg_face_size\n"
    "vgg_face_size.PAPER_SIZE = tests_size.SIZE\n"
    "runpy.run_module('speech2face.import_vgg_face', run_name='__main__')\n"
)


def _command(tmp_path, *arguments):
    (tmp_path / "tests_size.py").write_text(
        "from speech2face.weights.vgg_face_size import VggFaceSize\n"
        f"SIZE = VggFaceSize(**{TINY.__dict__!r})\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), "."])}
    return subprocess.run(
        [sys.executable, "-c", _AS_TINY, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_command_imports_and_names_faces(files, tmp_path):
    faces = tmp_path / "faces"
    faces.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (80, 70, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(faces / "someone.png")
    output = tmp_path / "vgg_face.weights.h5"
    result = _command(
        tmp_path,
        f"--weights={files['mat_vlfeat']}",
        f"--output={output}",
        f"--check_images={faces}",
    )
    assert result.returncode == 0, result.stderr
    assert vgg_face_file.read_info(str(output)).checksum in result.stdout
    line = next(s for s in result.stdout.splitlines() if s.startswith("someone.png"))
    square = Image.fromarray(pixels).crop((0, 5, 70, 75)).resize((64, 64), 3)
    logits = writers.run_hwio(writers.hwio_network(), np.asarray(square), "rgb")["fc8"]
    best = [writers.NAMES[i] for i in np.argsort(-logits)[:5]]
    assert [entry.rsplit(" ", 1)[0] for entry in line[13:].split(", ")] == best
    assert "red and blue exchanged" in result.stdout


def test_command_ends_in_one_line_on_a_wrong_file(tmp_path):
    (tmp_path / "x.t7").write_bytes(b"nothing")
    result = _command(tmp_path, f"--weights={tmp_path / 'x.t7'}")
    assert result.returncode == 1
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("flag", "match"),
    [
        ("--weights=nowhere.t7", "--weights=nowhere.t7: no such file"),
        ("--class_names=nowhere.txt", "--class_names=nowhere.txt: no such file"),
        ("--check_images=nowhere", "--check_images=nowhere: no such file or folder"),
    ],
)
def test_command_names_a_path_that_does_not_exist(flag, match, files, tmp_path):
    result = _command(
        tmp_path,
        f"--weights={files['caffe']}",
        f"--output={tmp_path / 'out.h5'}",
        flag,
    )
    assert result.returncode == 1 and match in result.stderr
    assert not (tmp_path / "out.h5").exists()


def test_command_takes_names_from_a_file(files, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(writers.NAMES) + "\n")
    output = tmp_path / "out.h5"
    result = _command(
        tmp_path,
        f"--weights={files['caffe']}",
        f"--output={output}",
        f"--class_names={tmp_path / 'names.txt'}",
    )
    assert result.returncode == 0, result.stderr
    assert list(vgg_face_file.read_info(str(output)).class_names) == writers.NAMES


def test_help_loads_no_network_library():
    code = (
        "import sys, runpy\n"
        "sys.argv[1:] = ['--help']\n"
        "try:\n"
        "    runpy.run_module('speech2face.import_vgg_face', run_name='__main__')\n"
        "except SystemExit:\n"
        "    pass\n"
        "assert not {'keras', 'tensorflow', 'scipy'} & set(sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "--check_images" in result.stdout
