"""A remote file that is fetched only where it is read.

FFmpeg's demuxers look at a container's index and at the packets of the segment that is
asked for; behind this file object, these reads become HTTP range requests of whole
blocks. The requests themselves are the caller's, who knows cookies, proxies and limits.
"""

import collections
import io
from typing import Callable

BLOCK_BYTES = 1 << 18
MAX_BLOCKS = 64  # kept: 16 MB a reader

# (first byte, number of bytes) -> exactly these bytes
Fetch = Callable[[int, int], bytes]


class RangeReader(io.RawIOBase):
    """A read-only, seekable file over `fetch`; keeps the blocks read last."""

    def __init__(self, fetch: Fetch, n_bytes: int, first_block: bytes = b""):
        """Takes the file's size and, if it is there already, its first block."""
        super().__init__()
        self._fetch = fetch
        self._n_bytes = n_bytes
        self._position = 0
        self._blocks = collections.OrderedDict()
        if len(first_block) == min(BLOCK_BYTES, n_bytes):
            self._blocks[0] = first_block

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Offset of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves; nothing is fetched before it is read."""
        base = {
            io.SEEK_SET: 0,
            io.SEEK_CUR: self._position,
            io.SEEK_END: self._n_bytes,
        }[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, n_bytes: int = -1) -> bytes:
        """At most `n_bytes` from here, never across the end of a block (-1: all)."""
        if n_bytes is None or n_bytes < 0:
            return b"".join(iter(lambda: self.read(BLOCK_BYTES), b""))
        index, inside = divmod(self._position, BLOCK_BYTES)
        if self._position >= self._n_bytes or not n_bytes:
            return b""
        piece = self._block(index)[inside : inside + n_bytes]
        self._position += len(piece)
        return piece

    def _block(self, index: int) -> bytes:
        if index not in self._blocks:
            first = index * BLOCK_BYTES
            n_bytes = min(BLOCK_BYTES, self._n_bytes - first)
            self._blocks[index] = self._fetch(first, n_bytes)
            if len(self._blocks) > MAX_BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(index)
        return self._blocks[index]
