"""The arithmetic of the networks: float32, mixed_bfloat16 or mixed_float16.

Both ends of a network stay float32 (docs/decisions/float32-boundaries.md).
"""

from speech2face.system import has_fast_bfloat16


def dtype_policy(precision: str) -> str:
    """Returns the Keras dtype policy of `--precision`.

    'auto' is 'mixed_bfloat16' where the hardware multiplies bfloat16 faster than
    float32, and 'float32' elsewhere.
    """
    if precision != "auto":
        return precision
    return "mixed_bfloat16" if has_fast_bfloat16() else "float32"
