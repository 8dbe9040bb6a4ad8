"""Meanings of yt-dlp's errors: a video is gone, private, blocked or just failed.

yt-dlp has no machine-readable reasons: its extractors pass on what the site says, in
English. `MESSAGES` is the one place where such sentences are read, and a test checks
each row against its example.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import NamedTuple

_COLOR_CODES = re.compile(r"\x1b\[[\d;]*m")
_MAX_REASON_CHARACTERS = 200  # a status row holds a sentence, not a web page


class UnavailableError(Exception):
    """A video, or a part of it, that could not be fetched.

    Attributes:
      state: one of `status.STATES`.
      reason: sentence for the status table.
      is_final: a later request would get the same answer.
      is_throttled: the site asks for fewer requests.
    """

    def __init__(
        self, state: str, reason: str, is_final: bool, is_throttled: bool = False
    ):
        super().__init__(reason)
        self.state = state
        self.reason = reason
        self.is_final = is_final
        self.is_throttled = is_throttled


class Message(NamedTuple):
    """A message of yt-dlp or of a site, and what it means.

    Attributes:
      pattern: regular expression, searched for without regard to case.
      state: the segment's state, one of `status.STATES`.
      is_final: a later request would get the same answer.
      example: the message as yt-dlp words it.
    """

    pattern: str
    state: str
    is_final: bool
    example: str


# The first match counts. These come first: "Sign in to confirm you're not a bot" asks
# for patience, and must not count as "sign in".
_THROTTLING = (
    Message("not a bot", "failed", False, "Sign in to confirm you\u2019re not a bot"),
    Message(
        "rate.?limit",
        "failed",
        False,
        "The current session has been rate-limited by YouTube for up to an hour",
    ),
    Message("too many requests", "failed", False, "HTTP Error 429: Too Many Requests"),
    Message(
        "try again later",
        "failed",
        False,
        "This content isn't available, try again later",
    ),
)
MESSAGES = (
    *_THROTTLING,
    # Before "sign in", which the site recommends for private videos too.
    Message(
        r"\bprivate\b",
        "private",
        True,
        "Private video. Sign in if you've been granted access to this video",
    ),
    # Blocked before gone: "not available in your country" is blocked, not gone.
    Message(
        r"\bcountry\b", "blocked", True, "This video is not available in your country"
    ),
    Message(
        "geo.?restrict",
        "blocked",
        True,
        "This video is not available from your location due to geo restriction",
    ),
    Message(
        "confirm your age",
        "blocked",
        True,
        "Sign in to confirm your age. This video may be inappropriate for some users",
    ),
    Message(
        "age.?restrict",
        "blocked",
        True,
        "This video is age-restricted and only available on YouTube",
    ),
    Message(
        "members.?only",
        "blocked",
        True,
        "Join this channel to get access to members-only content like this video",
    ),
    Message(
        "join this channel", "blocked", True, "Join this channel to get access to perks"
    ),
    Message("requires payment", "blocked", True, "This video requires payment"),
    Message(
        "blocked it",
        "blocked",
        True,
        "This video contains content from UMG, who has blocked it on copyright grounds",
    ),
    Message("log ?in", "blocked", True, "You need to log in to access this content"),
    Message("sign in", "blocked", True, "Please sign in to view this video"),
    Message("unavailable", "gone", True, "Video unavailable"),
    Message("no longer", "gone", True, "This video is no longer shown"),
    Message(
        "been removed", "gone", True, "This video has been removed by the uploader"
    ),
    Message(
        "been terminated",
        "gone",
        True,
        "The YouTube account associated with this video has been terminated",
    ),
    Message("not exist", "gone", True, "This video does not exist"),
    Message("deleted", "gone", True, "The uploader has deleted this video"),
    Message("not available", "gone", True, "This video is not available"),
)
# Final answers of a page. Other statuses, such as 500, may change.
_STATE_OF_STATUS = {
    401: "blocked",
    403: "blocked",
    404: "gone",
    410: "gone",
    451: "blocked",
}
_THROTTLING_STATUSES = (429, 503)


@contextlib.contextmanager
def as_unavailable(
    *, of_media: bool = False, except_for: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Turns every error of yt-dlp and of the connection into `UnavailableError`.

    Args:
      of_media: the request is for the media themselves; see `unavailable`.
      except_for: types that pass unchanged.

    Raises:
      UnavailableError: what went wrong and whether a later request may succeed.
    """
    try:
        yield
    except UnavailableError:
        raise
    except Exception as error:  # yt-dlp's extractors raise errors of any type
        if isinstance(error, except_for):
            raise
        raise unavailable(error, of_media) from None


def unavailable(error: Exception, of_media: bool = False) -> UnavailableError:
    """Classifies an error of yt-dlp or of the connection.

    Args:
      error: what was raised.
      of_media: whether the request was for the media themselves. Their addresses
        expire, so a refusal is not final then.
    """
    status = _http_status(error)
    if status is not None:
        return _of_status(status, of_media)
    text = " ".join(_COLOR_CODES.sub("", str(error)).split())
    text = text.removeprefix("ERROR: ").split("; please report")[0]
    text = text.split(" (caused by ")[0]  # the same once more, as Python writes it
    text = text[:_MAX_REASON_CHARACTERS] or type(error).__name__
    message = find_message(text)
    if message in _THROTTLING:
        return UnavailableError("failed", text, is_final=False, is_throttled=True)
    # A connection error may quote an address that contains such words.
    if message is None or _is_connection_error(error):
        return UnavailableError("failed", text, is_final=False)
    return UnavailableError(message.state, text, message.is_final)


def find_message(text: str) -> Message | None:
    """Returns the first row of `MESSAGES` that matches, or None."""
    return next((m for m in MESSAGES if re.search(m.pattern, text, re.I)), None)


def _of_status(status: int, of_media: bool) -> UnavailableError:
    reason = f"HTTP {status}"
    if status in _STATE_OF_STATUS and not of_media:
        return UnavailableError(_STATE_OF_STATUS[status], reason, is_final=True)
    is_throttled = status in _THROTTLING_STATUSES
    return UnavailableError("failed", reason, is_final=False, is_throttled=is_throttled)


def _http_status(error: Exception) -> int | None:
    from yt_dlp.networking.exceptions import HTTPError

    return next((e.status for e in _causes(error) if isinstance(e, HTTPError)), None)


def _is_connection_error(error: Exception) -> bool:
    from yt_dlp.networking.exceptions import TransportError

    return any(isinstance(e, (TransportError, OSError)) for e in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yields the error and what caused it, through yt-dlp's wrappers."""
    seen = set()  # two errors may name each other as their cause
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = _cause(error)


def _cause(error: BaseException) -> BaseException | None:
    """Returns the error behind a wrapper: `cause` and `exc_info` are yt-dlp's."""
    exc_info = getattr(error, "exc_info", None)
    for cause in (getattr(error, "cause", None), exc_info and exc_info[1]):
        if isinstance(cause, BaseException) and cause is not error:
            return cause
    return error.__cause__
