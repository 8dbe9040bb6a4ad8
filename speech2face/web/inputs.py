"""The inputs of the web page that take a recording.

Gradio's own inputs open, and even fetch, whatever path a client names. The value of
these is the key of an upload (`uploads`), never a path.
"""

from typing import Any, TypeVar

import gradio as gr

Input = TypeVar("Input", gr.File, gr.Audio)


def taking_uploads(block: Input) -> Input:
    """Returns an input of Gradio, changed to take the keys of uploads.

    Set on the object, not in a class of our own: Gradio writes a `.pyi` file beside
    each subclass of its components, into the installed package.
    """
    changes: dict[str, Any] = {
        "data_model": None,  # with a model of a file, Gradio looks for a file
        "preprocess": _key,
        "postprocess": _nothing,
        "api_info": _description,
    }
    for name, value in changes.items():
        setattr(block, name, value)
    return block


def _key(payload: Any) -> Any:
    """Passes on the key, which `events.EventChecks` has checked."""
    return payload


def _nothing(_: Any) -> None:
    """Shows nothing: handlers only empty these inputs."""


def _description() -> dict[str, str]:
    return {"type": "string"}
