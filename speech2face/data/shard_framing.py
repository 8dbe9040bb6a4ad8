"""Lengths of the records in a shard, checked before TensorFlow believes them.

A TFRecord file says before each record how long it is. TensorFlow makes room for so
much at once, and a length that no machine has room for ends the process. The checksum
of the length does not help: a stranger can compute it.
docs/decisions/damaged-shards.md.
"""

import pathlib
import struct

from speech2face.errors import UserError
from speech2face.files import PathLike, is_in_bucket

MAX_RECORD_BYTES = 1 << 31  # no tf.train.Example is larger: protobuf's limit
_HEADER = struct.Struct("<QI")  # length, and its masked CRC-32C
_N_SUM_BYTES = 4  # after the record


def impossible_record(path: PathLike) -> int | None:
    """Returns the position of the first record that claims to be impossibly long.

    None if there is none before the end, or before damage at which TensorFlow stops.
    """
    if is_in_bucket(path):  # a request for each record would take longer than reading
        return None
    with pathlib.Path(path).open("rb", buffering=0) as file:
        position = 0
        while len(header := file.read(_HEADER.size)) == _HEADER.size:
            length, checksum = _HEADER.unpack(header)
            if _masked_crc(header[:8]) != checksum:
                return None
            if length > MAX_RECORD_BYTES:
                return position
            file.seek(length + _N_SUM_BYTES, 1)
            position += 1
    return None


def check(path: PathLike) -> None:
    """Raises UserError if a record claims to be impossibly long."""
    position = impossible_record(path)
    if position is not None:
        raise corrupt(path, position)


def corrupt(path: PathLike, position: int) -> UserError:
    """Returns the error of a shard whose record at `position` cannot be read."""
    return UserError(
        f"{path}: record {position} is corrupt or cut off; rebuild the data set or "
        "copy the file again",
        reason="corrupt_shard",
    )


def _masked_crc(content: bytes) -> int:
    """The checksum of TFRecord files: CRC-32C, rotated and shifted."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _row(crc: int) -> int:
    for _ in range(8):
        crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc


_TABLE = [_row(byte) for byte in range(256)]
