"""Each row of the table against its example, and the errors around the messages."""

import re

import pytest
from yt_dlp.networking.exceptions import HTTPError, TransportError
from yt_dlp.utils import DownloadError, ExtractorError

from data_prep.download import status, yt_dlp_errors
from data_prep.download.yt_dlp_errors import (
    MESSAGES,
    UnavailableError,
    as_unavailable,
    unavailable,
)


class Response:
    """What HTTPError needs of a response."""

    reason = "refused"

    def __init__(self, status_code):
        self.status = status_code

    def close(self):
        pass


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: m.pattern)
def test_a_row_of_the_table(message):
    assert re.search(message.pattern, message.example, re.I)
    assert yt_dlp_errors.find_message(message.example) is message
    assert message.state in status.STATES
    error = unavailable(DownloadError(f"ERROR: [youtube] abc: {message.example}"))
    assert (error.state, error.is_final) == (message.state, message.is_final)
    assert error.reason == f"[youtube] abc: {message.example}"
    assert error.is_throttled == (message.state == "failed")


def test_the_order_of_rows_matters_where_two_match():
    for text, state in [
        ("Private video. Sign in if you've been granted access", "private"),
        ("This video is not available in your country", "blocked"),
        ("Sign in to confirm you're not a bot", "failed"),
        ("Video unavailable. This video is private", "private"),
    ]:
        assert unavailable(Exception(text)).state == state


@pytest.mark.parametrize(
    "code, of_media, state, is_final, is_throttled",
    [
        (401, False, "blocked", True, False),
        (403, False, "blocked", True, False),
        (404, False, "gone", True, False),
        (410, False, "gone", True, False),
        (451, False, "blocked", True, False),
        (404, True, "failed", False, False),  # addresses of media expire
        (403, True, "failed", False, False),
        (429, False, "failed", False, True),
        (503, True, "failed", False, True),
        (500, False, "failed", False, False),
    ],
)
def test_http_statuses(code, of_media, state, is_final, is_throttled):
    error = HTTPError(Response(code))
    wrapped = ExtractorError("Unable to download", cause=error)
    again = DownloadError("ERROR", exc_info=(type(wrapped), wrapped, None))
    for each in (error, wrapped, again):
        found = unavailable(each, of_media)
        assert (found.state, found.is_final) == (state, is_final)
        assert found.is_throttled == is_throttled
        assert found.reason == f"HTTP {code}"


@pytest.mark.parametrize("error", [TransportError("deleted.org"), OSError("private")])
def test_a_connection_error_is_never_final(error):
    found = unavailable(error)
    assert (found.state, found.is_final) == ("failed", False)


def test_reasons_are_short_and_plain():
    found = unavailable(Exception("\x1b[0;31mERROR:\x1b[0m odd; please report this"))
    assert found.reason == "odd"
    assert len(unavailable(Exception("x" * 999)).reason) == 200
    assert unavailable(KeyError()).reason == "KeyError"


def test_errors_that_name_each_other_end():
    first, second = Exception("first"), Exception("second")
    first.cause, second.cause = second, first
    assert unavailable(first).reason == "first"


def test_what_as_unavailable_turns_and_what_it_leaves():
    gone = UnavailableError("gone", "was removed", is_final=True)
    with pytest.raises(UnavailableError) as caught, as_unavailable():
        raise gone
    assert caught.value is gone
    with pytest.raises(UnavailableError), as_unavailable():
        raise KeyError("an extractor's bug")
    with pytest.raises(OSError), as_unavailable(except_for=(OSError,)):
        raise OSError("disk")
    with pytest.raises(KeyboardInterrupt), as_unavailable():
        raise KeyboardInterrupt


def test_messages_of_the_site():
    """As yt-dlp words them today."""
    for message, state, is_final in [
        ("Private video. Sign in if you've been granted access", "private", True),
        (
            "Video unavailable. This video has been removed by the uploader",
            "gone",
            True,
        ),
        ("Video unavailable. The account has been terminated", "gone", True),
        ("This video is not available in your country", "blocked", True),
        (
            "Sign in to confirm your age. This video may be inappropriate",
            "blocked",
            True,
        ),
        ("Join this channel to get access to members-only content", "blocked", True),
        ("Sign in to confirm you\u2019re not a bot", "failed", False),
        ("HTTP Error 429: Too Many Requests", "failed", False),
        ("something new", "failed", False),
    ]:
        found = yt_dlp_errors.unavailable(Exception(f"ERROR: [youtube] abc: {message}"))
        assert (found.state, found.is_final) == (state, is_final), message
    assert yt_dlp_errors.unavailable(Exception("not a bot")).is_throttled
