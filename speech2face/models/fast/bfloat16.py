"""Whether the hardware multiplies bfloat16 faster than float32."""

import pathlib

import tensorflow as tf

_CPU_INFO = pathlib.Path("/proc/cpuinfo")  # where Linux describes the processor
_CPU_FLAGS = ("avx512_bf16", "amx_bf16")


def is_fast() -> bool:
    """Returns whether the hardware multiplies bfloat16; elsewhere it is emulated.

    A TPU does, a GPU of compute capability 8 or more, and a CPU with AVX512_BF16 or
    AMX.
    """
    if tf.config.list_physical_devices("TPU"):
        return True
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        return details.get("compute_capability", (0, 0))[0] >= 8
    if not _CPU_INFO.is_file():
        return False
    words = set(_CPU_INFO.read_text().split())
    return any(flag in words for flag in _CPU_FLAGS)


def note_if_slow(flag: str, precision: str) -> None:
    """Prints a note if a flag asks for arithmetic that would be emulated.

    Args:
      flag: name of the flag.
      precision: its value, 'float32' or 'bfloat16'.
    """
    if precision == "bfloat16" and not is_fast():
        print(
            f"--{flag}=bfloat16: this processor emulates it, so float32 may be faster"
        )
