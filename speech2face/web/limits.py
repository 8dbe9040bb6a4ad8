"""Limits of the web page: sizes, seconds, and events at a time."""

import dataclasses

BYTES_PER_MB = 1 << 20


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of what the page accepts.

    Attributes:
      max_mb: size of an uploaded file, in units of 2^20 bytes.
      max_secs: seconds of a recording that are used; the rest is not even decoded.
      max_events: events of one visitor that wait at a time. A microphone sends one
        each second, so this is how far a slow computer may fall behind.
      max_events_per_address: events of all visitors at one address that wait at a
        time. A household or an office may share an address.
      max_queue: events of all visitors that wait at a time.
      max_uploads: uploads of one visitor that wait to be used.
      n_full_uploads: how many uploads of `max_mb` are in memory at a time, of all
        visitors together.
      max_requests: requests of one visitor that are open at a time. A page that is open
        in a browser holds two.
      pause_secs: how long a visitor may pause while sending a request.
      send_secs: how long it may take to send a whole request.
      keep_secs: an upload that nobody uses is forgotten after this.
    """

    max_mb: int
    max_secs: float
    max_events: int = 60
    max_events_per_address: int = 120
    max_queue: int = 200
    max_uploads: int = 80
    n_full_uploads: int = 20
    max_requests: int = 100
    pause_secs: float = 20.0
    send_secs: float = 600.0
    keep_secs: float = 600.0

    @property
    def max_bytes(self) -> int:
        """`max_mb` in bytes."""
        return self.max_mb * BYTES_PER_MB

    @property
    def max_bytes_in_memory(self) -> int:
        """Of all uploads together."""
        return self.n_full_uploads * self.max_bytes
