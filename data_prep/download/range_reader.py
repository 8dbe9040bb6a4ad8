"""A remote file as a file object that fetches only the blocks that are read.

FFmpeg's demuxers read a container's index and the packets of one segment. This file
object turns those reads into requests for whole blocks. The caller supplies the request
itself, because it knows cookies, proxies and limits.
"""

import collections
from collections.abc import Callable

from speech2face.archives import SizedFile

BLOCK_BYTES = 1 << 18  # a second or so of 720p video: few requests, little waste
MAX_BLOCKS = 64  # kept in memory: 16 MB for each reader

# (first byte, number of bytes) -> exactly these bytes
Fetch = Callable[[int, int], bytes]


class RangeReader(SizedFile):
    """A read-only, seekable file over `fetch`, with a cache of recent blocks."""

    def __init__(self, fetch: Fetch, n_bytes: int, first_block: bytes = b""):
        """Creates the file; nothing is fetched yet.

        Args:
          fetch: returns a range of bytes.
          n_bytes: size of the remote file.
          first_block: its first block, if the caller has fetched it already.
        """
        super().__init__(n_bytes)
        self._fetch = fetch
        self._blocks: collections.OrderedDict[int, bytes] = collections.OrderedDict()
        if len(first_block) == min(BLOCK_BYTES, n_bytes):
            self._blocks[0] = first_block

    def read(self, n_bytes: int = -1) -> bytes:
        """Returns at most `n_bytes`, up to the end of a block; -1 reads to the end."""
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
