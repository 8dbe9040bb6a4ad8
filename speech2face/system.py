"""Differences between systems and processors: no other module asks for them."""

import functools
import os
import pathlib

_CPU_INFO = "/proc/cpuinfo"  # where Linux describes the processor
_MULTIPLY_BFLOAT16 = ("avx512_bf16", "amx_bf16")


def n_cores() -> int:
    """Returns the number of processor cores that this process may use."""
    # macOS and Windows lack it; in a container it is fewer than os.cpu_count().
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def has_avx512(cpuinfo: str = _CPU_INFO) -> bool:
    """Returns whether the processor has AVX-512; False where that is unknown.

    Args:
      cpuinfo: file in which Linux describes the processor.
    """
    return "avx512f" in _processor_flags(cpuinfo)


def has_fast_bfloat16(cpuinfo: str = _CPU_INFO) -> bool:
    """Returns whether the hardware multiplies bfloat16 faster than float32.

    A TPU does, a GPU of compute capability 8 or more, and a processor with AVX512_BF16
    or AMX.

    Args:
      cpuinfo: file in which Linux describes the processor.
    """
    import tensorflow as tf  # late: a command that fails early does not wait for it

    if tf.config.list_physical_devices("TPU"):
        return True
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        return details.get("compute_capability", (0, 0))[0] >= 8
    return not _processor_flags(cpuinfo).isdisjoint(_MULTIPLY_BFLOAT16)


def _processor_flags(cpuinfo: str) -> set[str]:
    try:
        text = pathlib.Path(cpuinfo).read_text(errors="replace")
    except OSError:
        return set()
    return set(text.partition("flags")[2].partition("\n")[0].split())


def nvidia_cards(driver: str = "/proc/driver/nvidia/gpus") -> list[str]:
    """Returns the models of NVIDIA's cards in this machine; [] where that is unknown.

    Args:
      driver: folder in which Linux' driver describes them.
    """
    models = []
    for path in sorted(pathlib.Path(driver).glob("*/information")):
        lines = path.read_text(errors="replace").splitlines()
        named = [line.partition(":")[2].strip() for line in lines if "Model:" in line]
        models.append(named[0] if named else "unknown model")
    return models


def cards_of_worker(number: int, n_cards: int) -> str | None:
    """Returns CUDA_VISIBLE_DEVICES for one of several workers; None leaves it.

    Args:
      number: any number that tells the worker from the next one.
      n_cards: number of cards in this machine.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    cards = [str(i) for i in range(n_cards)] if named is None else named.split(",")
    return cards[number % len(cards)] if len(cards) > 1 else None
