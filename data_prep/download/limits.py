"""Limits that the threads of a download share: requests, bytes a second, disk space.

yt-dlp's own limits (`sleep_interval`, `ratelimit`) count for each thread alone and not
for range requests, so they cannot keep a promise about the whole job.
"""

import threading
import time


class RequestPacer:
    """Spaces the requests of all threads, and pauses them when the site asks for it."""

    def __init__(self, gap_secs: float):
        self._gap_secs = gap_secs
        self._lock = threading.Lock()
        self._next_time = 0.0

    def wait_for_turn(self, stop: threading.Event) -> None:
        """Waits until the next request may be sent, or until `stop` is set."""
        with self._lock:
            now = time.monotonic()
            turn_time = max(now, self._next_time)
            self._next_time = turn_time + self._gap_secs
        stop.wait(turn_time - now)

    def pause(self, secs: float) -> None:
        """Lets no thread send a request for `secs`."""
        with self._lock:
            self._next_time = max(self._next_time, time.monotonic() + secs)


class RateLimit:
    """Shares a number of bytes a second between threads; 0 is no limit."""

    def __init__(self, bytes_per_sec: float):
        self._bytes_per_sec = bytes_per_sec
        self._lock = threading.Lock()
        self._free_time = 0.0

    def spend(self, n_bytes: int) -> None:
        """Waits until `n_bytes` may have been received."""
        if not self._bytes_per_sec:
            return
        with self._lock:
            now = time.monotonic()
            self._free_time = max(self._free_time, now) + n_bytes / self._bytes_per_sec
            wait_secs = self._free_time - now
        time.sleep(wait_secs)


class DiskBudget:
    """Bytes that all files together may take; 0 is no limit."""

    def __init__(self, max_gb: float, n_bytes: int):
        """Creates the budget.

        Args:
          max_gb: limit in units of 10^9 bytes.
          n_bytes: size of the files that are there already.
        """
        self._max_bytes = max_gb * 1e9
        self._lock = threading.Lock()
        self._n_bytes = n_bytes
        self._largest_bytes = 0

    def add(self, n_bytes: int) -> None:
        """Counts a new file."""
        with self._lock:
            self._n_bytes += n_bytes
            self._largest_bytes = max(self._largest_bytes, n_bytes)

    def is_spent(self) -> bool:
        """Returns whether another file of the largest size would exceed the budget."""
        with self._lock:
            # The size of a segment is not known before it is cut.
            next_bytes = self._n_bytes + self._largest_bytes
        return bool(self._max_bytes) and next_bytes > self._max_bytes
