"""CAM++ in PyTorch's layout, in float64 numpy: generated weights and what they give.

Written from the layers of 3D-Speaker (`speakerlab.models.campplus`), one array and one
step for each of theirs. None of the code under test is used.
"""

import numpy as np

BLOCKS = ((12, 1), (24, 2), (16, 2))  # layers, dilation
_EPSILON = 1e-5


def generated_state(seed=0):
    """A state dict of the real size, float32."""
    draw = np.random.default_rng(seed)
    state = {}

    def kernel(name, *shape):
        size = np.sqrt(2 / np.prod(shape[1:]))
        state[f"{name}.weight"] = draw.normal(0, size, shape)

    def norm(name, channels, affine=True):
        if affine:
            state[f"{name}.weight"] = draw.uniform(0.5, 1.5, channels)
            state[f"{name}.bias"] = draw.normal(0, 0.2, channels)
        state[f"{name}.running_mean"] = draw.normal(0, 0.2, channels)
        state[f"{name}.running_var"] = draw.uniform(0.5, 2, channels)

    kernel("head.conv1", 32, 1, 3, 3)
    norm("head.bn1", 32)
    for block in ("1.0", "1.1", "2.0", "2.1"):
        for number in (1, 2):
            kernel(f"head.layer{block}.conv{number}", 32, 32, 3, 3)
            norm(f"head.layer{block}.bn{number}", 32)
        if block.endswith("0"):
            kernel(f"head.layer{block}.shortcut.0", 32, 32, 1, 1)
            norm(f"head.layer{block}.shortcut.1", 32)
    kernel("head.conv2", 32, 32, 3, 3)
    norm("head.bn2", 32)
    kernel("xvector.tdnn.linear", 128, 320, 5)
    norm("xvector.tdnn.nonlinear.batchnorm", 128)
    channels = 128
    for b, (n_layers, _) in enumerate(BLOCKS, start=1):
        for layer in range(1, n_layers + 1):
            name = f"xvector.block{b}.tdnnd{layer}"
            norm(f"{name}.nonlinear1.batchnorm", channels)
            kernel(f"{name}.linear1", 128, channels, 1)
            norm(f"{name}.nonlinear2.batchnorm", 128)
            kernel(f"{name}.cam_layer.linear_local", 32, 128, 3)
            kernel(f"{name}.cam_layer.linear1", 64, 128, 1)
            state[f"{name}.cam_layer.linear1.bias"] = draw.normal(0, 0.1, 64)
            kernel(f"{name}.cam_layer.linear2", 32, 64, 1)
            state[f"{name}.cam_layer.linear2.bias"] = draw.normal(0, 0.1, 32)
            channels += 32
        norm(f"xvector.transit{b}.nonlinear.batchnorm", channels)
        kernel(f"xvector.transit{b}.linear", channels // 2, channels, 1)
        channels //= 2
    norm("xvector.out_nonlinear.batchnorm", channels)
    kernel("xvector.dense.linear", 192, 2 * channels, 1)
    norm("xvector.dense.nonlinear.batchnorm", 192, affine=False)
    return {name: array.astype(np.float32) for name, array in state.items()}


def embed(state, bands):
    """bands [t, 80] -> (embedding [192], statistics [1024])."""
    x = (bands - bands.mean(0)).T[None].astype(np.float64)  # [1, f, t]
    x = _relu(_norm(state, "head.bn1", _conv2d(state, "head.conv1", x)))
    for block in ("1.0", "1.1", "2.0", "2.1"):
        x = _residual(state, f"head.layer{block}", x, 2 if block.endswith("0") else 1)
    x = _relu(_norm(state, "head.bn2", _conv2d(state, "head.conv2", x, 2)))
    x = x.reshape(-1, x.shape[-1])  # channels, each with its frequencies
    x = _conv1d(state, "xvector.tdnn.linear", x, padding=2, stride=2)
    x = _relu(_norm(state, "xvector.tdnn.nonlinear.batchnorm", x))
    for b, (n_layers, dilation) in enumerate(BLOCKS, start=1):
        for layer in range(1, n_layers + 1):
            name = f"xvector.block{b}.tdnnd{layer}"
            x = np.concatenate([x, _masked(state, name, x, dilation)])
        name = f"xvector.transit{b}"
        x = _relu(_norm(state, f"{name}.nonlinear.batchnorm", x))
        x = _conv1d(state, f"{name}.linear", x)
    x = _relu(_norm(state, "xvector.out_nonlinear.batchnorm", x))
    statistics = np.concatenate([x.mean(1), x.std(1, ddof=1)])
    x = _conv1d(state, "xvector.dense.linear", statistics[:, None])
    return _norm(state, "xvector.dense.nonlinear.batchnorm", x)[:, 0], statistics


def kaldi_log_mel(waveform):
    """Kaldi's steps, frame by frame, in float64: [n] in [-1, 1] -> [t, 80]."""
    mel = lambda hz: 1127 * np.log(1 + hz / 700)  # noqa: E731
    edges = np.linspace(mel(20), mel(8000), 82)
    bin_mel = mel(np.arange(256) * 16000 / 512)
    rows = []
    for start in range(0, len(waveform) - 399, 160):
        frame = waveform[start : start + 400].astype(np.float64) * 32768
        frame = frame - frame.mean()
        frame = np.append(frame[0] - 0.97 * frame[0], frame[1:] - 0.97 * frame[:-1])
        frame = frame * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85
        power = np.abs(np.fft.fft(np.pad(frame, (0, 112)))[:256]) ** 2
        row = []
        for left, center, right in zip(edges, edges[1:], edges[2:]):
            up, down = (
                (bin_mel - left) / (center - left),
                (right - bin_mel) / (right - center),
            )
            row.append(power @ np.clip(np.minimum(up, down), 0, None))
        rows.append(np.log(np.maximum(row, np.finfo(np.float32).eps)))
    return np.array(rows)


def _residual(state, name, x, stride):
    y = _relu(_norm(state, f"{name}.bn1", _conv2d(state, f"{name}.conv1", x, stride)))
    y = _norm(state, f"{name}.bn2", _conv2d(state, f"{name}.conv2", y))
    if f"{name}.shortcut.0.weight" in state:
        matrix = state[f"{name}.shortcut.0.weight"][:, :, 0, 0]
        x = np.einsum("oc,cft->oft", matrix, x[:, ::stride])
        x = _norm(state, f"{name}.shortcut.1", x)
    return _relu(x + y)


def _masked(state, name, x, dilation):
    x = _relu(_norm(state, f"{name}.nonlinear1.batchnorm", x))
    x = _conv1d(state, f"{name}.linear1", x)
    x = _relu(_norm(state, f"{name}.nonlinear2.batchnorm", x))
    name = f"{name}.cam_layer"
    y = _conv1d(state, f"{name}.linear_local", x, padding=dilation, dilation=dilation)
    context = np.empty_like(x)
    for start in range(0, x.shape[1], 100):
        context[:, start : start + 100] = x[:, start : start + 100].mean(1)[:, None]
    context += x.mean(1)[:, None]
    context = _relu(
        _conv1d(state, f"{name}.linear1", context)
        + state[f"{name}.linear1.bias"][:, None]
    )
    mask = _conv1d(state, f"{name}.linear2", context)
    return y / (1 + np.exp(-mask - state[f"{name}.linear2.bias"][:, None]))


def _conv2d(state, name, x, stride=1):
    """[c, f, t] padded by one on all sides; `stride` in frequency."""
    kernel = state[f"{name}.weight"].astype(np.float64)
    n_bands, n_frames = -(-x.shape[1] // stride), x.shape[2]
    x = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    return sum(
        np.tensordot(
            kernel[:, :, i, j],
            x[:, i : i + stride * n_bands : stride, j : j + n_frames],
            1,
        )
        for i in range(3)
        for j in range(3)
    )


def _conv1d(state, name, x, padding=0, stride=1, dilation=1):
    kernel = state[f"{name}.weight"].astype(np.float64)
    size = kernel.shape[2]
    x = np.pad(x, ((0, 0), (padding, padding)))
    n_outputs = (x.shape[1] - (size - 1) * dilation - 1) // stride + 1
    taps = [
        x[:, k * dilation : k * dilation + stride * (n_outputs - 1) + 1 : stride]
        for k in range(size)
    ]
    return sum(kernel[:, :, k] @ tap for k, tap in enumerate(taps))


def _norm(state, name, x):
    shape = [-1] + [1] * (x.ndim - 1)
    part = lambda kind: state[f"{name}.{kind}"].reshape(shape)  # noqa: E731
    x = (x - part("running_mean")) / np.sqrt(part("running_var") + _EPSILON)
    return x * part("weight") + part("bias") if f"{name}.weight" in state else x


def _relu(x):
    return np.maximum(x, 0)
