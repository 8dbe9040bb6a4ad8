"""Table 1 in PyTorch, written from the paper's table: the twin in another framework.

    /tmp/torch/bin/python experiments/benchmarks/torch_twin.py --width=0.25

Needs PyTorch alone and nothing of this project, because the two frameworks' packages
do not fit into one environment (peers.md). Times a training step and a forward pass of
one clip, as seconds of processor time and as seconds; prints JSON. The step has one
term, the distance of the feature from the face's, and ADAM; ours has all of Eq. 1.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from typing import Any

# Table 1: (channels, stride, whether max pooling over time follows).
_CONVOLUTIONS = (
    (64, 1, False),
    (64, 1, False),
    (128, 1, True),
    (128, 1, True),
    (128, 1, True),
    (256, 1, True),
    (512, 1, False),
    (512, 2, False),
    (512, 2, False),
)
_FRAMES, _BANDS, _FEATURE = 598, 257, 4096


def table_1(width: float) -> Any:
    """Spectrogram [b, 2, 598, 257] -> feature [b, 4096]."""
    from torch import nn

    modules: list[Any] = []
    n_in = 2
    for index, (channels, stride, is_pooled) in enumerate(_CONVOLUTIONS, start=1):
        n_out = max(1, round(channels * width))
        modules.append(nn.Conv2d(n_in, n_out, 4, stride))
        if index == len(_CONVOLUTIONS):
            modules.append(nn.AdaptiveAvgPool2d((1, None)))  # over time
        # Ours in PyTorch's terms: a momentum of 0.01 is Keras' 0.99.
        modules += [nn.ReLU(), nn.BatchNorm2d(n_out, eps=1e-3, momentum=0.01)]
        if is_pooled:
            modules.append(nn.MaxPool2d((2, 1)))
        n_in = n_out
    units = max(1, round(_FEATURE * width))
    modules += [nn.Flatten(), nn.LazyLinear(units), nn.ReLU()]
    return nn.Sequential(*modules, nn.Linear(units, _FEATURE))


def fastest(call: Callable[[], None], n_repeats: int) -> list[float]:
    """Seconds, and seconds of processor time, of the fastest call after a first one."""
    times = []
    for _ in range(n_repeats + 1):
        start, processor = time.perf_counter(), time.process_time()
        call()
        times.append((time.perf_counter() - start, time.process_time() - processor))
    return [min(one) for one in zip(*times[1:])]


def main() -> None:
    """Prints the measurements."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--channels_last", action="store_true")
    parser.add_argument("--n_repeats", type=int, default=3)
    args = parser.parse_args()
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    clips = torch.randn(args.batch_size, 2, _FRAMES, _BANDS).to(memory_format=layout)
    faces = torch.randn(args.batch_size, _FEATURE)
    network = table_1(args.width)
    network(clips[:1])  # shapes of the first FC
    network = network.to(memory_format=layout)
    # Sec. 3's rate, beta 1 and epsilon.
    adam = torch.optim.Adam(network.parameters(), 1e-3, betas=(0.5, 0.999), eps=1e-4)

    def features(x: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bfloat16):
            return network(x)

    def step() -> None:
        adam.zero_grad()
        (features(clips).float() - faces).abs().mean().backward()
        adam.step()

    def forward() -> None:
        with torch.inference_mode():
            features(clips[:1])

    secs, cpu_secs = fastest(step, args.n_repeats)
    network.train(False)
    forward_secs, forward_cpu_secs = fastest(forward, args.n_repeats)
    # Linux counts kilobytes.
    memory_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(
        json.dumps(
            {
                "torch": torch.__version__,
                "n_parameters": sum(p.numel() for p in network.parameters()),
                "step_secs": round(secs, 3),
                "step_cpu_secs": round(cpu_secs, 3),
                "forward_secs": round(forward_secs, 3),
                "forward_cpu_secs": round(forward_cpu_secs, 3),
                "memory_gb": round(memory_gb, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
