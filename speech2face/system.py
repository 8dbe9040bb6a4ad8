"""Differences between operating systems: no other module asks for the system."""

import functools
import os
import pathlib


def n_cores() -> int:
    """Returns the number of processor cores that this process may use."""
    # macOS and Windows lack it; in a container it is fewer than os.cpu_count().
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def has_avx512(cpuinfo: str = "/proc/cpuinfo") -> bool:
    """Returns whether the processor has AVX-512; False where that is unknown.

    Args:
      cpuinfo: file in which Linux describes the processor.
    """
    try:
        text = pathlib.Path(cpuinfo).read_text(errors="replace")
    except OSError:
        return False
    return " avx512f " in f"{text.partition('flags')[2].partition(chr(10))[0]} "


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
