"""The wanted segment of a recording: its times are checked before it is opened."""

import math
import numbers

from speech2face.errors import UserError

_MAX_START_SECS = 1e9  # 30 years: FFmpeg's clock is a 64-bit integer


def check(name: str, start_secs: float, end_secs: float | None) -> None:
    """Checks the times of a segment.

    Args:
      name: what errors call the recording.
      start_secs: where the segment begins.
      end_secs: where it ends; None is the end of the recording.

    Raises:
      UserError: no recording has this segment.
    """
    for secs in (start_secs, 0.0 if end_secs is None else end_secs):
        if not isinstance(secs, numbers.Real):
            raise UserError(
                f"{name}: a time is {secs!r}; it must be a number of seconds",
                reason="bad_times",
            )
    is_empty = end_secs is not None and not end_secs > start_secs  # so is NaN
    if _MAX_START_SECS <= start_secs < math.inf and not is_empty:
        raise UserError(
            f"{name} has no sound at {start_secs:g} s", reason="beyond_the_end"
        )
    if is_empty or not 0 <= start_secs < _MAX_START_SECS:
        raise UserError(
            f"{name}: a segment from {start_secs} s to {end_secs} s is empty; it must "
            "start at 0 or later and end after that",
            reason="bad_times",
        )
