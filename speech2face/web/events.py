"""Checks the events that a browser reports, before Gradio sees them.

Gradio's inputs trust a client: an input that takes a file opens any path or address
that the client names. So each event is checked against the inputs that the page
declares for it, and written anew from what passed.
"""

import re
from typing import Any

import gradio as gr

from speech2face.errors import UserError
from speech2face.json_codec import parse_json
from speech2face.web.uploads import Uploads

_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")


class EventChecks:
    """Checks the events of one page."""

    def __init__(self, page: gr.Blocks, uploads: Uploads):
        """Reads which inputs each event of `page` has.

        Args:
          page: whose events are checked.
          uploads: what the page's visitors have uploaded.
        """
        self._uploads = uploads
        self._inputs: dict[int, list[gr.blocks.Block]] = {
            number: list(event.inputs)
            for number, event in page.fns.items()
            if event.fn is not None  # the others are JavaScript only
        }

    def checked(self, content: bytes, visitor: str) -> dict[str, Any]:
        """Returns what may be passed on of an event.

        Args:
          content: JSON as a browser sends it.
          visitor: who sends it.

        Raises:
          UserError: it is not an event of this page, or one of its values is not of the
            kind that the page declares.
        """
        event = parse(content)
        number, values, session = (
            event.get(key) for key in ("fn_index", "data", "session_hash")
        )
        if not _is_int(number) or number not in self._inputs:
            raise _refused(f"fn_index={number!r} is not an event of this page")
        if not isinstance(session, str) or not _SESSION.fullmatch(session):
            raise _refused("session_hash must be 1 to 64 letters or digits")
        inputs = self._inputs[number]
        if not isinstance(values, list) or len(values) != len(inputs):
            raise _refused(f"data must be a list of {len(inputs)} values")
        trigger = event.get("trigger_id")
        return {
            "data": [
                self._value(block, value, visitor)
                for block, value in zip(inputs, values)
            ],
            "fn_index": number,
            "session_hash": session,
            "trigger_id": trigger if _is_int(trigger) else None,
            "event_data": None,
        }

    def _value(self, block: Any, value: Any, visitor: str) -> Any:
        if isinstance(block, gr.State):
            return None  # its value is kept here
        if isinstance(block, (gr.File, gr.Audio)):  # their values are keys
            return self._upload(value, visitor)
        if isinstance(block, gr.Slider):
            return _number(block, value)
        if isinstance(block, gr.Dropdown):
            allowed = [None, *(choice for _, choice in block.choices)]
        else:  # a button: its value is its label
            allowed = [block.value]
        if not isinstance(value, (str, type(None))) or value not in allowed:
            raise _refused("this is not one of the examples")
        return value

    def _upload(self, value: Any, visitor: str) -> Any:
        if value is None:
            return None
        key = value.get("path") if isinstance(value, dict) else None
        if not isinstance(key, str) or not self._uploads.belongs_to(key, visitor):
            raise _refused(
                "a recording must be an upload of yours that was not used yet; choose "
                "the file again"
            )
        return key


def parse(content: bytes) -> dict[str, Any]:
    """Reads a JSON object, without the NaN and Infinity that JSON does not have.

    Raises:
      UserError: it is not one.
    """
    try:
        value = parse_json(content, "the request", allow_nan=False)
    except UserError:
        raise _refused("the request is not valid JSON") from None
    if not isinstance(value, dict):
        raise _refused("the request must be a JSON object")
    return value


def _number(slider: gr.Slider, value: Any) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    low, high = slider.minimum, slider.maximum
    if not is_number or not low <= value <= high:  # NaN is not in the range either
        raise _refused(f"{slider.label} must be a number from {low:g} to {high:g}")
    return float(value)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _refused(message: str) -> UserError:
    return UserError(message, reason="bad_event")
