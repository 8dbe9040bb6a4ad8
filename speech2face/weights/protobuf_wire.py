"""Messages in protobuf wire format (https://protobuf.dev), read without their schema.

Not google.protobuf, because that is not bounded by the file: it copies the file, and
a file of 30 MB of empty layers (3 bytes each) took 1 GB. It was also four times slower
on a file of 200 MB (3.4 s against 0.8 s), since its floats have to be taken one by one.
Here numbers stay views of the mapped file, and the fields of a file are counted.
"""

from collections.abc import Iterator

from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.weights.bounded_reader import BoundedReader

_MAX_DIMENSIONS = 8
# Of a whole file. VGG-Face has some 300, at about 2 us each; a view takes 200 bytes.
_MAX_FIELDS = 10**5
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Value = int | memoryview


class WireReader:
    """Reads the messages of one file, and counts their fields over all of it.

    Its methods raise UserError if a message is truncated or corrupt, or if the file has
    more fields than any network: a field can take 2 bytes, so a file of 50 MB of
    nothing else took minutes.
    """

    def __init__(self, path: PathLike):
        """Starts with no field read; errors name `path`."""
        self._path = path
        self._n_fields = 0

    def message(self, value: Value) -> dict[int, list[Value]]:
        """Returns the values of an embedded message by field number."""
        values: dict[int, list[Value]] = {}
        for number, item in self.fields(value):
            values.setdefault(number, []).append(item)
        return values

    def fields(self, value: Value) -> Iterator[tuple[int, Value]]:
        """Yields (field number, value): an int for numbers, else the value's bytes."""
        if not isinstance(value, memoryview):
            raise self._corrupt("a number where a message is expected")
        reader = BoundedReader(value, self._path)
        while reader.remaining:
            self._n_fields += 1
            if self._n_fields > _MAX_FIELDS:
                raise self._corrupt(f"over {_MAX_FIELDS} fields")
            key = self._varint(reader)
            number, wire_type = key >> 3, key & 7
            if wire_type == _VARINT:
                yield number, self._varint(reader)
            elif wire_type == _BYTES:
                yield number, reader.take(self._varint(reader))
            elif wire_type == _FIXED64:
                yield number, int.from_bytes(reader.take(8), "little")
            elif wire_type == _FIXED32:
                yield number, int.from_bytes(reader.take(4), "little")
            else:
                raise self._corrupt(
                    f"unknown wire type {wire_type} at offset {reader.position}"
                )

    def integers(self, values: list[Value]) -> list[int]:
        """Returns the numbers of a repeated integer field (a shape), packed or not."""
        numbers: list[int] = []
        for value in values:
            if isinstance(value, int):
                numbers.append(value)
                continue
            packed = BoundedReader(value, self._path)
            while packed.remaining and len(numbers) <= _MAX_DIMENSIONS:
                numbers.append(self._varint(packed))
        if len(numbers) > _MAX_DIMENSIONS:
            raise self._corrupt(f"a shape of {len(numbers)} dimensions")
        return numbers

    def _varint(self, reader: BoundedReader) -> int:
        """Returns the next number: 7 bits in a byte, lowest first."""
        value = 0
        for shift in range(0, 70, 7):  # 64 bits take at most 10 bytes
            byte = reader.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise self._corrupt("a number longer than 10 bytes")

    def _corrupt(self, what: str) -> UserError:
        return UserError(f"{self._path} is truncated or corrupt: {what}")
