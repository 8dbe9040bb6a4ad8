"""Exports: each file gives in its own runtime what the Keras models give."""

import json
import os
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import soundfile
import tensorflow as tf

from speech2face import export
from speech2face.audio import decoding
from speech2face.errors import UserError
from speech2face.exports import (
    comparison,
    export_job,
    network,
    onnx_model,
    tflite,
)
from speech2face.inference.model import Speech2Face
from tests.helpers.exported import skip_without_tensorflow_io
from tests.helpers.paths import REPOSITORY
from tests.helpers.slow import takes_seconds
from tests.helpers.tiny_models import make_model
from tests.helpers.voices import noise

TUTORIAL = REPOSITORY / "docs" / "tutorials" / "exporting.md"
EXAMPLES = sorted((pathlib.Path(export.__file__).parent / "examples").glob("*.ogg"))


@pytest.fixture(scope="module")
def shipped():
    return Speech2Face.load()


@pytest.fixture(scope="module")
@takes_seconds
def exported(tmp_path_factory, shipped):
    """The shipped model's files."""
    pytest.importorskip("tf2onnx")
    skip_without_tensorflow_io()
    folder = tmp_path_factory.mktemp("runs") / "exported"
    formats = ("bundle", "savedmodel", "savedmodel_io", "tflite", "onnx")
    export_job.export(shipped, folder, formats, ["float32"])
    return folder


def examples_of_tutorial():
    """Exported file -> the Python block of the tutorial that opens it."""
    blocks = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(), re.DOTALL)
    found = {}
    for block in blocks:
        for name in re.findall(r'"exported/([\w.]+)"', block):
            found[name] = block
    return found


_FRESH = """
import sys
import numpy as np
waveform = np.load("waveform.npy")
{code}
ours = ("speech2face", "data_prep", "experiments", "tests")
assert not [name for name in sys.modules if name.split(".")[0] in ours]
np.save("face.npy", np.asarray(face))
"""


@pytest.mark.rehearsal
def test_examples_of_the_tutorial_draw_the_face(exported, shipped):
    """Each block alone, in a process that imports nothing of this project."""
    folder = exported.parent
    sound = [decoding.load_waveform(str(path))[:70_000] for path in EXAMPLES[:2]]
    np.save(folder / "waveform.npy", np.stack(sound))
    soundfile.write(folder / "my_voice.mp3", sound[0], 16_000)
    lossy = decoding.load_waveform(folder / "my_voice.mp3")
    without = {n: v for n, v in os.environ.items() if n != "PYTHONPATH"}
    examples = examples_of_tutorial()
    assert len(examples) == 4
    for name, code in examples.items():
        assert len(code.strip().splitlines()) <= 7, name
        run = subprocess.run(
            [sys.executable, "-c", _FRESH.format(code=code)],
            cwd=folder, env={**without, "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert run.returncode == 0, f"{name}: {run.stderr[-2000:]}"
        heard = lossy if name == "saved_model_io" else sound[0]
        expected = np.asarray(shipped(heard).image, float) / 255  # of 8 bits
        face = np.load(folder / "face.npy")
        np.testing.assert_allclose(face, expected, atol=0.003, err_msg=name)


@pytest.mark.rehearsal
def test_exports_check_their_input(exported):
    """What is no sound is an error of a SavedModel, and NaN where there are none."""
    good = np.stack([noise(1.0, seed) for seed in range(2)])
    integers, damaged = good.copy(), good.copy()
    integers[1] *= 32_768
    damaged[1, 99] = np.nan
    run = tf.saved_model.load(str(exported / "saved_model")).signatures
    for bad in (integers, damaged):
        with pytest.raises(tf.errors.InvalidArgumentError, match="float32 in"):
            run["serving_default"](waveform=tf.constant(bad))
        for module, name in ((tflite, "tflite"), (onnx_model, "onnx")):
            outputs = module.load(exported / f"speech2face.{name}")(bad)
            for values in outputs.values():
                assert np.isfinite(values[0]).all() and np.isnan(values[1]).all()


@pytest.mark.rehearsal
def test_table_has_each_file(exported):
    rows = json.loads((exported / export_job.RESULTS_FILE).read_text())
    files = ["saved_model", "saved_model_io", "speech2face.tflite", "speech2face.onnx"]
    assert [row["file"] for row in rows] == files
    table = (exported / export_job.TABLE_FILE).read_text()
    for row in rows:
        assert row["cosine"] > 0.9999 and row["grey_levels"] < 0.1
        assert 49 < row["megabytes"] < 58, "4 bytes for 12.4 million weights"
        assert f"| {row['file']} | float32 |" in table
    assert Speech2Face.load(exported).config == Speech2Face.load().config


@pytest.mark.rehearsal
def test_tflite_has_builtin_operations_only(exported):
    from tensorflow.lite.python import schema_py_generated as schema

    content = (exported / "speech2face.tflite").read_bytes()
    model = schema.ModelT.InitFromPackedBuf(content)
    assert len(model.operatorCodes) > 20
    assert all(code.customCode is None for code in model.operatorCodes)


@pytest.mark.rehearsal
def test_one_clip_in_tflite_is_the_same(exported, shipped):
    """Its weights are stored once, and fast kernels compute it."""
    path = exported / "speech2face.tflite"
    waveform = noise(6.0, 0)
    assert waveform.shape == (shipped.clip_samples,)
    one = tflite.load(path)(waveform[np.newaxis])
    of_two = tflite.load(path)(np.stack([waveform, waveform]))
    for name, values in one.items():
        np.testing.assert_allclose(values[0], of_two[name][0], atol=1e-3, err_msg=name)
    interpreter = tf.lite.Interpreter(str(path))
    assert list(interpreter.get_signature_list()) == ["one_clip", "serving_default"]
    interpreter.allocate_tensors()
    names = [operation["op_name"] for operation in interpreter._get_ops_details()]
    assert names.count("DELEGATE") > 20


@pytest.mark.rehearsal
@pytest.mark.parametrize("n_samples", [1_600, 43_200, 77_777])
def test_any_batch_and_length(exported, shipped, n_samples):
    waveforms = np.stack([noise(5.0, seed)[:n_samples] for seed in range(3)])
    expected = shipped(list(waveforms))
    for name, module in (("tflite", tflite), ("onnx", onnx_model)):
        outputs = module.load(exported / f"speech2face.{name}")(waveforms)
        for i, result in enumerate(expected):
            np.testing.assert_allclose(
                outputs["feature"][i], result.feature, atol=1e-3, err_msg=name
            )
            np.testing.assert_allclose(
                outputs["landmarks"][i], result.landmarks, atol=0.01, err_msg=name
            )


@pytest.mark.slow
def test_onnx_of_a_padded_network(tmp_path, monkeypatch):
    """The converter copies constants many times; dense kernels are not among them."""
    tf2onnx = pytest.importorskip("tf2onnx")
    convert, sizes = tf2onnx.convert.from_function, []

    def converted(*args, **kwargs):
        result = convert(*args, **kwargs)
        sizes.append(sum(np.prod(c.dims) for c in result[0].graph.initializer))
        return result

    monkeypatch.setattr(tf2onnx.convert, "from_function", converted)
    model = make_model(padding="same")
    (row,) = export_job.export(model, tmp_path / "out", ["onnx"], ["float32"])
    assert row.cosine > 1 - 1e-6
    path = tmp_path / "out/speech2face.onnx"
    n_dense = sum(
        np.prod(layer.kernel.shape)
        for layer in network.all_layers(model)
        if isinstance(layer, keras.layers.Dense)
    )
    assert n_dense > 30_000
    assert path.stat().st_size > 4 * (sizes[0] + n_dense)


@pytest.mark.slow
def test_a_file_that_differs_leaves_nothing(tmp_path, monkeypatch):
    model = make_model()

    def write(model, path, weights):
        path.write_bytes(b"written")

    def load_wrong(path):
        def call(waveforms):
            outputs = network.in_keras(model, waveforms)
            return {**outputs, "landmarks": outputs["landmarks"] + 0.02}

        return call

    wrong = export_job.Format("speech2face{}.tflite", write, load_wrong)
    monkeypatch.setitem(export_job.FORMATS, "tflite", wrong)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / export_job.TABLE_FILE).write_text("an earlier export")
    with pytest.raises(ValueError, match=r"landmarks is off by 0\.02, 0\.01 is allow"):
        export_job.export(model, tmp_path / "out", ["tflite"], ["float32"])
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / export_job.TABLE_FILE).read_text() == "an earlier export"


@pytest.mark.parametrize(
    "formats, weights, message",
    [
        (("tfl",), ("float32",), "--formats=tfl is not one of bundle, savedmodel"),
        (("onnx",), ("int4",), "--weights=int4 is not one of float32, float16, int8"),
        (("bundle",), ("int8",), "a bundle holds float32 or float16"),
        ((), ("int8",), "need at least one name each"),
    ],
)
def test_wrong_requests_are_refused(formats, weights, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export_job.export(None, tmp_path / "out", formats, weights)
    assert not list(tmp_path.iterdir())


def test_a_wrong_request_does_not_wait_for_tensorflow():
    code = """
import sys
from speech2face import export
try:
    export.main(export.ExportOptions(output_dir="out", formats=("tfl",)))
except ValueError as error:
    assert "not one of" in str(error)
    assert "tensorflow" not in sys.modules and "keras" not in sys.modules
else:
    raise AssertionError
"""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_a_folder_with_other_files_is_kept(tmp_path):
    (tmp_path / "letters.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not empty and not an earlier export"):
        export_job.export(None, tmp_path, ["tflite"], ["float32"])
    assert (tmp_path / "letters.txt").read_text() == "mine"


def test_comparison_rejects_nan():
    good = {
        "feature": np.ones([1, 4], np.float32),
        "landmarks": np.zeros([1, 68, 2], np.float32),
        "texture": np.zeros([1, 2, 2, 3], np.float32),
        "image": np.zeros([1, 2, 2, 3], np.float32),
    }
    comparison.check_equal("x", [good], [good])
    for name, values in good.items():
        broken = {**good, name: values + np.nan}
        with pytest.raises(ValueError, match=f"{name} is off by nan"):
            comparison.check_equal("x", [broken], [good])


def outputs_with(image):
    return {
        "feature": np.ones([1, 4], np.float32),
        "landmarks": np.zeros([1, 68, 2], np.float32),
        "texture": np.zeros_like(image),
        "image": image,
    }


def test_comparison_allows_a_small_shift_at_an_edge_and_nowhere_else():
    """The edge of hair, moved by a hundredth of a pixel: one of 100 gray levels."""
    places = np.arange(20.0)
    there, here = (
        np.clip(places - edge + 0.5, 0, 1).astype(np.float32) for edge in (9, 9.01)
    )
    shape = (1, 5, 20, 3)
    there, here = (np.broadcast_to(row[:, None], shape) for row in (there, here))
    assert np.abs(there - here).max() > 5 * comparison.PICTURE_TOLERANCE
    comparison.check_equal("x", [outputs_with(here)], [outputs_with(there)])
    off = there.copy()
    off[:, 2, 2] += 0.002  # on the flat side
    with pytest.raises(UserError, match=r"image is off by 0.002, 0.001 is allowed$"):
        comparison.check_equal("x", [outputs_with(off)], [outputs_with(there)])


@pytest.mark.slow
def test_formats_that_are_equal_stay(tmp_path, monkeypatch):
    model = make_model()

    def exact(waveforms):
        return network.in_keras(model, waveforms)

    def wrong(waveforms):
        return {**exact(waveforms), "landmarks": exact(waveforms)["landmarks"] + 1}

    def write(model, path, weights):
        path.write_text("a network")

    for name, call in (("tflite", exact), ("onnx", wrong)):
        one = export_job.Format(name + "{}", write, lambda path, call=call: call)
        monkeypatch.setitem(export_job.FORMATS, name, one)
    with pytest.raises(UserError, match=r"^onnx differs .* has the others: tflite$"):
        export_job.export(model, tmp_path / "both", ["onnx", "tflite"], ["float32"])
    written = {path.name for path in (tmp_path / "both").iterdir()}
    assert written == {"tflite", "exports.md", "exports.json"}
    with pytest.raises(UserError, match=r"nothing was written$"):
        export_job.export(model, tmp_path / "one", ["onnx"], ["float32"])
    assert not (tmp_path / "one").exists()
