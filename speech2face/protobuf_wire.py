"""Messages in protobuf wire format, read without their schema.

developers.google.com/protocol-buffers/docs/encoding
"""

from typing import Dict, Iterator, List, Tuple, Union

from speech2face.bounded_reader import BoundedReader

_MAX_DIMENSIONS = 8
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Value = Union[int, memoryview]


def message(value: Value, path: str) -> Dict[int, List[Value]]:
    """Returns the values of an embedded message by field number."""
    if not isinstance(value, memoryview):
        raise ValueError(f"{path} is corrupt: a number where a message is expected")
    values: Dict[int, List[Value]] = {}
    for number, item in fields(BoundedReader(value, path), path):
        values.setdefault(number, []).append(item)
    return values


def fields(reader: BoundedReader, path: str) -> Iterator[Tuple[int, Value]]:
    """Yields (field number, value): an int for varints, else the value's bytes."""
    while reader.remaining:
        key = varint(reader, path)
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            yield number, varint(reader, path)
        elif wire_type == _BYTES:
            yield number, reader.take(varint(reader, path))
        elif wire_type == _FIXED64:
            yield number, int.from_bytes(reader.take(8), "little")
        elif wire_type == _FIXED32:
            yield number, int.from_bytes(reader.take(4), "little")
        else:
            raise ValueError(
                f"{path} is truncated or corrupt: unknown wire type {wire_type} at "
                f"offset {reader.position}"
            )


def integers(values: List[Value], path: str) -> List[int]:
    """Returns the numbers of a repeated integer field (a shape), packed or not."""
    numbers: List[int] = []
    for value in values:
        if isinstance(value, int):
            numbers.append(value)
            continue
        packed = BoundedReader(value, path)
        while packed.remaining and len(numbers) <= _MAX_DIMENSIONS:
            numbers.append(varint(packed, path))
    if len(numbers) > _MAX_DIMENSIONS:
        raise ValueError(f"{path} is corrupt: a shape of {len(numbers)} dimensions")
    return numbers


def varint(reader: BoundedReader, path: str) -> int:
    """Returns the next number of variable length."""
    value = 0
    for shift in range(0, 70, 7):
        byte = reader.take(1)[0]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
    raise ValueError(f"{path} is corrupt: a number longer than 10 bytes")
