"""dlib's serialization: integers, reals, strings and tensors as bytes.

integer  a control byte (low four bits: how many bytes follow, little endian; top
         bit: negative), then the bytes
real     two integers: mantissa and exponent, value = mantissa * 2^exponent
flag     one character, '0' or '1'
string   an integer, its length, then the characters
tensor   an integer, 2, its version; four integers, its shape; float32 values, little
         endian, unpacked
"""

import math

import numpy as np

_MAX_INTEGER_BYTES = 8
# Keeps every real inside float64: a mantissa has up to 63 bits.
_EXPONENTS = range(-1200, 900)
_MAX_NAME_BYTES = 63  # dlib's layer names have up to 23


class FormatError(Exception):
    """The bytes do not have the expected format."""


class Reader:
    """A cursor over dlib's serialized values; every method may raise FormatError."""

    def __init__(self, data: bytes):
        self.data = data
        self.offset = 0

    def take(self, n_bytes: int) -> bytes:
        """Returns the next bytes."""
        if self.offset + n_bytes > len(self.data):
            raise FormatError("the file ends too early")
        self.offset += n_bytes
        return self.data[self.offset - n_bytes : self.offset]

    def integer(self) -> int:
        """Returns the next integer."""
        control = self.take(1)[0]
        n_bytes = control & 0x0F
        if control & 0x70 or not 1 <= n_bytes <= _MAX_INTEGER_BYTES:
            raise FormatError(f"no integer starts with the byte {control:#04x}")
        value = int.from_bytes(self.take(n_bytes), "little")
        return -value if control & 0x80 else value

    def integers(self, n: int) -> list[int]:
        """Returns the next n integers."""
        return [self.integer() for _ in range(n)]

    def real(self) -> float:
        """Returns the next real number, float64."""
        mantissa, exponent = self.integers(2)
        if exponent not in _EXPONENTS:
            raise FormatError(f"a number with the exponent {exponent}")
        return mantissa * 2.0**exponent

    def pair(self) -> tuple[int, int]:
        """Returns the next two integers, such as (rows, columns)."""
        return self.integer(), self.integer()

    def reals(self, n: int) -> list[float]:
        """Returns the next n real numbers."""
        return [self.real() for _ in range(n)]

    def flags(self, n: int) -> None:
        """Skips n flags."""
        if set(self.take(n)) - set(b"01"):
            raise FormatError("a flag is neither 0 nor 1")

    def string(self) -> str:
        """Returns the next string, the name of a layer."""
        n_bytes = self.integer()
        if not 0 < n_bytes <= _MAX_NAME_BYTES:
            raise FormatError(f"a layer name of {n_bytes} characters")
        return self.take(n_bytes).decode("ascii", errors="replace")

    def expect(self, value: int, what: str) -> None:
        """Skips an integer that must be `value`; `what` names it in the error."""
        found = self.integer()
        if found != value:
            raise FormatError(f"{what} is {found}, expected {value}")

    def tensor(self) -> np.ndarray:
        """Returns the next tensor, float32 of four dimensions, or empty [0]."""
        self.expect(2, "the version of a tensor")
        shape = self.integers(4)
        if min(shape) < 0:
            raise FormatError(f"a tensor of shape {shape}")
        size = math.prod(shape)
        values = np.frombuffer(self.take(4 * size), "<f4")
        if not np.isfinite(values).all():
            raise FormatError("a weight is not finite")
        # numpy refuses [0, 2**60, ...]
        return values.reshape(shape) if size else values

    def alias_shape(self) -> list[int]:
        """Returns the shape of a view into a tensor of parameters, four integers."""
        self.expect(1, "the version of an alias tensor")
        return self.integers(4)
