"""The arithmetic of the networks: float32, mixed_bfloat16 or mixed_float16.

Both ends of a network stay float32 (docs/decisions/float32-boundaries.md).
"""

import pathlib

import tensorflow as tf

_CPU_INFO = pathlib.Path("/proc/cpuinfo")  # where Linux describes the processor
_CPU_FLAGS_WITH_BFLOAT16 = ("avx512_bf16", "amx_bf16")


def dtype_policy(precision: str) -> str:
    """Returns the Keras dtype policy of `--precision`.

    'auto' is 'mixed_bfloat16' where the hardware multiplies bfloat16 faster than
    float32 (a TPU, a GPU of compute capability 8 or more, a CPU with AVX512_BF16 or
    AMX), and 'float32' elsewhere.
    """
    if precision != "auto":
        return precision
    return "mixed_bfloat16" if has_fast_bfloat16() else "float32"


def has_fast_bfloat16() -> bool:
    """Returns whether the hardware multiplies bfloat16; elsewhere it is emulated."""
    if tf.config.list_physical_devices("TPU"):
        return True
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        return details.get("compute_capability", (0, 0))[0] >= 8
    if not _CPU_INFO.is_file():
        return False
    words = set(_CPU_INFO.read_text().split())
    return any(flag in words for flag in _CPU_FLAGS_WITH_BFLOAT16)
