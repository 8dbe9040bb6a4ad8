"""The speaker embedders against numpy twins and against what their packages print."""

import collections
import hashlib
import io
import json
import pathlib
import pickle
import subprocess
import sys

import keras
import librosa
import numpy as np
import pytest
import tensorflow as tf
import vgg_face_writers as writers

from speech2face import speaker_embedder_formats
from speech2face.config import VoiceEncoderConfig
from speech2face.models import speaker_embedding, voice_encoder

RATE_HZ = 16000
NAMES = ("resemblyzer", "voicefilter")
GOLDEN = pathlib.Path(__file__).parent / "golden_speaker_embeddings.json"


def generated_voice(seed, secs):
    """A harmonic tone with vibrato, syllables and noise; [n] float32."""
    draw = np.random.RandomState(seed).uniform
    time = np.arange(int(secs * RATE_HZ)) / RATE_HZ
    pitch = draw(90, 210) * (1 + 0.08 * np.sin(2 * np.pi * draw(2, 5) * time))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE_HZ
    tones = [draw(0.2, 1) / k * np.sin(k * phase + draw(0, 6)) for k in range(1, 25)]
    syllables = 0.5 + 0.5 * np.sin(2 * np.pi * draw(2, 4) * time + draw(0, 6))
    voice = np.sum(tones, axis=0) * syllables + draw(-0.03, 0.03, len(time))
    return (voice / np.abs(voice).max() * draw(0.003, 0.9)).astype(np.float32)


def twin(name, waveform):
    """The embedding in float64, by librosa and loops over windows and frames."""
    weights = [w.astype(np.float64) for w in speaker_embedding.read_weights(name)]
    power = np.mean(waveform.astype(np.float64) ** 2)
    if name == "resemblyzer":
        y = waveform * max(1.0, 10 ** (-30 / 20) / np.sqrt(power))
        y = np.pad(y, (0, 160 * 160))
        mel = librosa.feature.melspectrogram(
            y=y, sr=RATE_HZ, n_fft=400, hop_length=160, n_mels=40, pad_mode="constant"
        ).T
        starts = resemblyzer_window_starts(len(waveform))
        windows = [mel[start : start + 160] for start in starts]
    else:
        y = waveform * 10 ** (-25 / 20) / np.sqrt(power)
        mel = librosa.feature.melspectrogram(
            y=np.pad(y, (0, max(0, 13152 - len(y)))),
            sr=RATE_HZ,
            n_fft=512,
            win_length=400,
            hop_length=160,
            n_mels=40,
            window="hamming",
            center=False,
        ).T
        mel = np.log10(mel + 1e-6)
        windows = [mel[i : i + 80] for i in range(0, len(mel) - 79, 80)]
    embeddings = [twin_window(window, weights) for window in windows]
    if name == "resemblyzer":
        embeddings = [np.maximum(e, 0) for e in embeddings]
    return unit(np.mean([unit(e) for e in embeddings], axis=0))


def resemblyzer_window_starts(n_samples):
    """First frame of each partial utterance, in the steps of resemblyzer's code."""
    n_frames = int(np.ceil((n_samples + 1) / 160))
    frame_step = int(np.round((16000 / 1.3) / 160))
    starts = list(range(0, max(1, n_frames - 160 + frame_step + 1), frame_step))
    coverage = (n_samples - starts[-1] * 160) / (160 * 160)
    return starts[:-1] if coverage < 0.75 and len(starts) > 1 else starts


def twin_window(x, weights):
    sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    for layer in range(3):
        kernel, recurrent, bias = weights[3 * layer : 3 * layer + 3]
        h = c = np.zeros(recurrent.shape[0])
        outputs = []
        for frame in x:
            i, f, g, o = np.split(frame @ kernel + h @ recurrent + bias, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            outputs.append(h)
        x = np.array(outputs)
    return h @ weights[9] + weights[10]


def unit(x):
    return x / np.linalg.norm(x)


@pytest.fixture(scope="module")
def embeddings():
    return {name: speaker_embedding.build_embedding((name,)) for name in NAMES}


def embed(model, *waveforms):
    return np.asarray(model(np.stack(waveforms), training=False))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("secs", [0.5, 1.4, 2.0])
def test_embedding_equals_its_numpy_twin(embeddings, name, secs):
    waveform = generated_voice(7, secs)
    expected = twin(name, waveform)
    np.testing.assert_allclose(
        embed(embeddings[name], waveform)[0], expected, rtol=0, atol=2e-5
    )


@pytest.mark.parametrize("name", NAMES)
def test_embedding_equals_what_the_package_computes(embeddings, name):
    """The file holds what each package's own code made of these generated voices.

    resemblyzer with its float32 weights under PyTorch, which ours, rounded to float16,
    miss by up to 5e-4; voicefilter with 8-bit activations under ONNX Runtime, in
    windows that do not overlap.
    """
    for case in json.loads(GOLDEN.read_text())[name]:
        waveform = generated_voice(case["seed"], case["secs"])
        ours, theirs = embed(embeddings[name], waveform)[0], np.array(case["embedding"])
        if name == "resemblyzer":
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3)
            assert ours @ theirs > 0.99999
        else:
            assert ours @ theirs > 0.999


def test_windows_are_resemblyzers_partial_utterances():
    embedder = speaker_embedding.find_embedder("resemblyzer")
    edges = [31519, 31520, 43839, 43840]
    for n_samples in [*range(12000, 100000, 3777), *edges, 96000]:
        silence = np.zeros([1, n_samples], np.float32)
        n_windows = speaker_embedding.mel_windows(silence, embedder).shape[1]
        assert n_windows == len(resemblyzer_window_starts(n_samples)), n_samples


@pytest.mark.parametrize("n_samples", [9999, 43840])
def test_batch_and_graph_change_nothing(embeddings, n_samples):
    model = embeddings["resemblyzer"]
    waveforms = [generated_voice(seed, n_samples / RATE_HZ) for seed in (5, 6)]
    both = model.predict_on_batch(np.stack(waveforms))  # in a graph
    for waveform, row in zip(waveforms, both):
        np.testing.assert_allclose(embed(model, waveform)[0], row, atol=2e-6)


def test_graph_of_unknown_length(embeddings):
    model = embeddings["resemblyzer"]
    signature = [tf.TensorSpec([None, None], tf.float32)]
    graph = tf.function(lambda x: model(x, training=False), input_signature=signature)
    for secs in (0.9, 1.97, 3.4):
        voice = generated_voice(4, secs)
        in_graph = graph(voice[np.newaxis])
        np.testing.assert_allclose(embed(model, voice), in_graph, atol=2e-6)


def test_level_does_not_matter_to_a_quiet_voice(embeddings):
    voice = generated_voice(3, 1.0)
    voice *= 0.02 / np.sqrt(np.mean(voice**2))  # -34 dBFS
    for model in embeddings.values():
        loud, quiet = embed(model, voice, 0.1 * voice)
        np.testing.assert_allclose(loud, quiet, atol=1e-5)


def test_silence_has_a_finite_embedding(embeddings):
    for model in embeddings.values():
        assert np.isfinite(embed(model, np.zeros(8000, np.float32))).all()


def test_parameters():
    counts = {"resemblyzer": 1_420_544, "voicefilter": 12_125_440}
    for name, count in counts.items():
        model = speaker_embedding.build_embedding((name,))
        assert model.count_params() == count


def test_only_the_head_is_trained():
    config = VoiceEncoderConfig(
        encoder="speaker_embedding",
        speaker_embedders=("resemblyzer",),
        speaker_hidden_units=(64,),
    )
    model = voice_encoder.build_voice_encoder(config, 128)
    trained = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert trained == (256 * 64 + 64) + (64 * 128 + 128)
    feature = model(np.stack([generated_voice(1, 3.0)] * 2))
    assert feature.shape == (2, 128) and feature.dtype == "float32"


def test_head_sees_centred_embeddings_in_units_of_their_spread():
    config = VoiceEncoderConfig(
        encoder="speaker_embedding",
        speaker_embedders=("resemblyzer",),
        speaker_noise=1.5,
    )
    model = voice_encoder.build_voice_encoder(config, 4)
    mean = np.linspace(0, 0.1, 256)
    kernel = np.random.RandomState(0).standard_normal([256, 4])
    bias = np.arange(4)
    # BatchNormalization holds mean and variance; the units here vary by 0.038.
    model.get_layer("center").set_weights([mean, np.full(256, 0.038**2)])
    model.get_layer("feature").set_weights([kernel, bias])
    voice = generated_voice(8, 1.0)
    embedding = twin("resemblyzer", voice)
    expected = (embedding - mean) / 0.038 @ kernel + bias
    np.testing.assert_allclose(embed(model, voice)[0], expected, rtol=0, atol=0.05)
    assert np.abs(np.asarray(model(voice[None], training=True)) - expected).max() > 1


def test_model_survives_its_own_json():
    config = VoiceEncoderConfig(
        encoder="speaker_embedding", speaker_embedders=("resemblyzer",)
    )
    model = voice_encoder.build_voice_encoder(config, 8)
    clone = keras.models.model_from_json(model.to_json())
    clone.set_weights(model.get_weights())
    voice = generated_voice(2, 2.0)
    np.testing.assert_array_equal(embed(model, voice), embed(clone, voice))


def test_unknown_and_missing_embedders():
    with pytest.raises(ValueError, match="no speaker embedder 'ecapa'; there are"):
        speaker_embedding.build_embedding(("ecapa",))
    with pytest.raises(ValueError, match="name at least one"):
        speaker_embedding.build_embedding(())


def test_damaged_weights_are_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setattr(speaker_embedding, "WEIGHTS_DIR", tmp_path)
    with pytest.raises(FileNotFoundError, match="no weights at"):
        speaker_embedding.read_weights("resemblyzer")
    (tmp_path / "resemblyzer.npz").write_bytes(b"PK\x03\x04 nonsense")
    with pytest.raises(ValueError, match="is damaged"):
        speaker_embedding.read_weights("resemblyzer")


def lstm_state(seed=0, units=4):
    """A PyTorch state dict of resemblyzer's layers, tiny."""
    draw = np.random.RandomState(seed).standard_normal
    state = {"similarity_weight": np.ones(1, np.float32)}
    for layer in range(3):
        n_inputs = 3 if layer == 0 else units
        state[f"lstm.weight_ih_l{layer}"] = draw([4 * units, n_inputs])
        state[f"lstm.weight_hh_l{layer}"] = draw([4 * units, units])
        state[f"lstm.bias_ih_l{layer}"] = draw(4 * units)
        state[f"lstm.bias_hh_l{layer}"] = draw(4 * units)
    state["linear.weight"], state["linear.bias"] = draw([5, units]), draw(5)
    return {key: value.astype(np.float32) for key, value in state.items()}


def write_legacy_checkpoint(path, state):
    """As resemblyzer's file: step, state dict, optimizer state with integer keys."""
    arrays = {f"s{i}": array for i, array in enumerate(state.values())}
    arrays["moment"] = np.arange(6, dtype=np.float32)

    def tensor(key):
        array = arrays[key]
        strides = tuple(stride // 4 for stride in array.strides)
        storage = writers._StorageReference(key, array.size)
        return writers._Reduced(
            writers._rebuild_tensor_v2,
            (storage, 0, array.shape, strides, False, collections.OrderedDict()),
        )

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if isinstance(value, writers._StorageReference):
                key, n_items = value.identity
                return ("storage", writers._FloatStorage, key, "cpu", n_items, None)

    def pickled():
        named = {key: tensor(f"s{i}") for i, key in enumerate(state)}
        optimizer = {
            "state": {140234567890123: {"step": 3, "exp_avg": tensor("moment")}},
            "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999), "params": [1, 2]}],
        }
        stream = io.BytesIO()
        Pickler(stream, protocol=2).dump(
            {"step": 1564501, "model_state": named, "optimizer_state": optimizer}
        )
        return stream.getvalue()

    writers.write_pytorch_legacy(path, writers._with_torch_names(pickled), arrays)


def test_import_of_resemblyzers_checkpoint(tmp_path):
    state = lstm_state()
    write_legacy_checkpoint(tmp_path / "pretrained.pt", state)
    output = run_import(tmp_path, f"--resemblyzer={tmp_path / 'pretrained.pt'}")
    with np.load(output / "resemblyzer.npz") as file:
        arrays = dict(file)
    checksum = hashlib.sha256((tmp_path / "pretrained.pt").read_bytes()).hexdigest()
    assert arrays.pop("source_sha256") == checksum
    names = (*speaker_embedding.WEIGHT_NAMES, *speaker_embedding.FRONT_END_NAMES)
    assert set(arrays) == set(names)
    x = np.random.RandomState(1).standard_normal([6, 3])
    weights = [arrays[k].astype(np.float64) for k in speaker_embedding.WEIGHT_NAMES]
    expected = torch_lstm(x, state)
    np.testing.assert_allclose(twin_window(x, weights), expected, atol=5e-3)


def torch_lstm(x, state):
    """torch.nn.LSTM by its documentation, gate by gate, then the linear layer."""
    sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    for k in range(3):
        w_ih, w_hh = state[f"lstm.weight_ih_l{k}"], state[f"lstm.weight_hh_l{k}"]
        b_ih, b_hh = state[f"lstm.bias_ih_l{k}"], state[f"lstm.bias_hh_l{k}"]
        n = len(b_ih) // 4
        gate = [slice(g * n, (g + 1) * n) for g in range(4)]
        h = c = np.zeros(n)
        outputs = []
        for frame in x:
            z = [w_ih[g] @ frame + b_ih[g] + w_hh[g] @ h + b_hh[g] for g in gate]
            c = sigmoid(z[1]) * c + sigmoid(z[0]) * np.tanh(z[2])
            h = sigmoid(z[3]) * np.tanh(c)
            outputs.append(h)
        x = np.array(outputs)
    return state["linear.weight"] @ h + state["linear.bias"]


def varint(n):
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def onnx_tensor(name, array, as_floats=False):
    kind = {"float32": 1, "int8": 3}[array.dtype.name]
    data = field(4 if as_floats else 9, array.tobytes())
    return field(
        5,
        b"".join(field(1, n) for n in array.shape)
        + field(2, kind)
        + field(8, name)
        + data,
    )


def test_import_of_voicefilters_graph(tmp_path):
    random, units = np.random.RandomState(0), 4
    graph, expected = b"", {}
    for layer in range(3):
        n_inputs = 3 if layer == 0 else units
        gates = {
            g: [random.randint(-127, 128, [n, units]) for n in (n_inputs, units)]
            + [random.standard_normal(units) for _ in range(2)]
            for g in "ifco"
        }

        def joined(part, order, gates=gates):
            return np.concatenate([gates[g][part] for g in order], axis=-1)

        name = f"lstm{layer + 1}"
        expected[f"{name}_kernel"] = 0.5 * joined(0, "ifco")
        expected[f"{name}_recurrent_kernel"] = 0.25 * joined(1, "ifco")
        expected[f"{name}_bias"] = joined(2, "ifco") + joined(3, "ifco")
        biases = np.concatenate([joined(2, "iofc"), joined(3, "iofc")])[None]
        names = ["x", "w", "r", "b", "", "h", "c", "", "ws", "wz", "rs", "rz"]
        names = [n and f"{n}{layer}" for n in names]
        graph += onnx_tensor(names[1], joined(0, "iofc").astype(np.int8)[None])
        graph += onnx_tensor(names[2], joined(1, "iofc").astype(np.int8)[None])
        graph += onnx_tensor(names[3], biases.astype(np.float32))
        graph += onnx_tensor(names[8], np.array([0.5], np.float32), as_floats=True)
        graph += onnx_tensor(names[10], np.array([0.25], np.float32))
        node = b"".join(field(1, n) for n in names) + field(4, "DynamicQuantizeLSTM")
        graph += field(1, node)
    dense = random.randint(-127, 128, [units, 5])
    expected["dense_kernel"], expected["dense_bias"] = 2.0 * dense, np.arange(5.0)
    prefix = "proj.linear_layer."
    graph += onnx_tensor(f"{prefix}weight_quantized", dense.astype(np.int8))
    graph += onnx_tensor(f"{prefix}weight_scale", np.array(2.0, np.float32))
    graph += onnx_tensor(f"{prefix}bias", np.arange(5, dtype=np.float32))
    (tmp_path / "embedder.onnx").write_bytes(field(1, 8) + field(7, graph))
    run_import(tmp_path, f"--voicefilter={tmp_path / 'embedder.onnx'}")
    weights = read_from(tmp_path / "out", "voicefilter")
    for name, array in zip(speaker_embedding.WEIGHT_NAMES, weights):
        np.testing.assert_allclose(array, expected[name], atol=2e-3, err_msg=name)


def test_import_refuses_other_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file nowhere.pt"):
        speaker_embedder_formats.import_embedder("resemblyzer", "nowhere.pt", tmp_path)
    (tmp_path / "x.pt").write_bytes(pickle.dumps(print))
    (tmp_path / "x.onnx").write_bytes(field(1, 8) + field(7, field(1, field(4, "Add"))))
    for name, path in (("resemblyzer", "x.pt"), ("voicefilter", "x.onnx")):
        with pytest.raises(ValueError, match=str(tmp_path)):
            speaker_embedder_formats.import_embedder(
                name, str(tmp_path / path), tmp_path / "out"
            )
    assert not (tmp_path / "out").exists()


def run_import(tmp_path, flag):
    """Runs the command in a process of its own; returns its output folder."""
    output = tmp_path / "out"
    command = [sys.executable, "-m", "speech2face.import_speaker_embedders"]
    subprocess.run([*command, flag, f"--output_dir={output}"], check=True)
    return output


def read_from(folder, name):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speaker_embedding, "WEIGHTS_DIR", folder)
        return speaker_embedding.read_weights(name)
