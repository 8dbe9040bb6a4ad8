"""The web page: its parts, and what happens when one is used.

Gradio serves it. Nothing is loaded from elsewhere and nothing is reported; results
are HTML with the pictures inside, so that no result is ever a file.
"""

import functools
import pathlib
from typing import Dict, Iterator, Optional, Tuple

import gradio as gr
from gradio.events import EventListener

from speech2face.inference import Speech2Face
from speech2face.web import texts, views, voices
from speech2face.web.voices import Limits, Listener, Voice

MEMORY_SECS = 1800  # a session's voices are forgotten after so long
QUEUE_SIZE = 60
MAX_EXAGGERATION = 2.0
EXAMPLES_DIR = pathlib.Path(__file__).parent.parent / "examples"

_MEDIA = ["audio", "video", ".opus", ".amr", ".mka", ".mkv", ".m4a", ".oga"]
_ONE_AT_A_TIME = {"concurrency_id": "model", "concurrency_limit": 1}
_IN_ORDER = {"concurrency_id": "live", "concurrency_limit": 1}
_QUIET = {"show_progress": "hidden"}
# Gradio's own `stream` forgets blocks that come while an earlier one is worked on. As
# an event like others, each waits for its turn.
_EACH_BLOCK = EventListener(
    "stream", event_specific_args=[{"name": "stream_every", "type": "float"}]
)


def examples_in(folder: pathlib.Path) -> Dict[str, pathlib.Path]:
    """Returns label -> file of the recordings in a folder.

    Raises:
      FileNotFoundError, ValueError: no such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder of examples {folder}")
    paths = [path for path in sorted(folder.iterdir()) if path.is_file()]
    if not paths:
        raise ValueError(f"the folder of examples {folder} is empty")
    return {path.stem.replace("_", " ").capitalize(): path for path in paths}


def build(
    model: Speech2Face, limits: Limits, examples: Dict[str, pathlib.Path]
) -> gr.Blocks:
    """Makes the page.

    Args:
      model: what makes the faces.
      limits: of what is taken.
      examples: label -> recording.
    """
    handlers = _Handlers(model, limits, examples)
    with gr.Blocks(title=texts.TITLE, analytics_enabled=False) as page:
        gr.Markdown(texts.INTRODUCTION)
        gr.HTML(texts.NOTE)
        with gr.Tabs():
            with gr.Tab("One voice"):
                _one_voice(handlers)
            with gr.Tab("Two voices") as two_voices:
                _two_voices(handlers)
            with gr.Tab("About"):
                gr.Markdown(texts.ABOUT)
        two_voices.select(None, js=texts.NAMES)  # built when it is first shown
    return page.queue(max_size=QUEUE_SIZE, api_open=False)


def serve(page: gr.Blocks, limits: Limits, host: str, port: int) -> str:
    """Serves the page in the background; returns its address."""
    plain = gr.themes.Default(
        primary_hue="indigo", font=["system-ui", "sans-serif"], font_mono=["monospace"]
    ).set(
        block_info_text_color="*neutral_600",
        block_label_text_color="*neutral_700",
        block_title_text_color="*neutral_700",
        body_text_color_subdued="*neutral_600",
    )
    page.launch(
        server_name=host,
        server_port=port,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        ssr_mode=False,
        run_history=False,
        enable_monitoring=False,
        mcp_server=False,
        footer_links=[],
        max_file_size=limits.max_bytes,
        theme=plain,
        css=views.STYLE,
        js=texts.ON_LOAD,
    )
    return page.local_url


def _one_voice(handlers: "_Handlers") -> None:
    listener = gr.State(None, time_to_live=MEMORY_SECS)
    voice = gr.State(None, time_to_live=MEMORY_SECS)
    with gr.Row():
        with gr.Column(min_width=300, scale=2):  # on a phone: the face under the button
            microphone = gr.Audio(
                sources=["microphone"],
                type="filepath",
                streaming=True,
                label="Record a voice",
                elem_classes="s2f-microphone",
            )
            shown = gr.HTML(views.waiting(texts.WAITING), elem_classes="s2f-live")
        with gr.Column(min_width=280):
            file = _file_input("Or choose an audio or video file")
            gr.Markdown(texts.limits(handlers.limits))
            gr.Markdown(texts.EXAMPLES)
            with gr.Row():
                buttons = [
                    gr.Button(label, size="md", min_width=110)
                    for label in handlers.examples
                ]
            amount = _exaggeration()
    _watch_microphone(handlers, microphone, amount, listener, voice, shown)
    _watch_files(handlers, file, buttons, amount, voice, shown)
    amount.change(
        handlers.redraw,
        [voice, amount],
        shown,
        trigger_mode="always_last",
        **_QUIET,
        **_ONE_AT_A_TIME,
    )


def _watch_microphone(handlers, microphone, amount, listener, voice, shown) -> None:
    microphone.start_recording(
        handlers.begin,
        None,
        [listener, shown],
        js=texts.SHOW_FACE,
        **_QUIET,
        **_IN_ORDER,
    )
    _EACH_BLOCK.listener(
        microphone,
        handlers.hear,
        [microphone, listener, amount],
        [listener, shown],
        stream_every=texts.BLOCK_SECS,
        trigger_mode="multiple",
        **_QUIET,
        **_IN_ORDER,
    )
    microphone.stop_recording(
        handlers.finish, [listener, amount], [listener, voice, shown], **_IN_ORDER
    )


def _watch_files(handlers, file, buttons, amount, voice, shown) -> None:
    at_once = {"js": texts.SHOW_FACE, **_ONE_AT_A_TIME}
    file.upload(handlers.watch, [file, amount], [file, voice, shown], **at_once)
    for button in buttons:
        inputs = [button, amount]
        button.click(handlers.watch_example, inputs, [voice, shown], **at_once)


def _two_voices(handlers: "_Handlers") -> None:
    slots, changes = [], []
    with gr.Row():
        for name in "AB":
            with gr.Column(min_width=280, elem_classes="s2f-voice"):
                slot, events = _voice_slot(handlers, name)
                slots.append(slot)
                changes += events
    amount = _exaggeration()
    shown = gr.HTML(views.waiting(texts.WAITING_FOR_TWO), elem_classes="s2f-live")
    for change in changes:
        change.then(handlers.compare, [*slots, amount], shown, **_ONE_AT_A_TIME)
    amount.change(
        handlers.compare,
        [*slots, amount],
        shown,
        trigger_mode="always_last",
        **_QUIET,
        **_ONE_AT_A_TIME,
    )


def _voice_slot(handlers: "_Handlers", name: str):
    """The inputs of one of two voices: its state, and the events that change it."""
    voice = gr.State(None, time_to_live=MEMORY_SECS)
    microphone = gr.Audio(
        sources=["microphone"], type="filepath", label=f"Record voice {name}"
    )
    file = _file_input(f"Or choose a file for voice {name}")
    example = gr.Dropdown(
        list(handlers.examples), value=None, label=f"Or an example for voice {name}"
    )
    heard = gr.HTML(elem_classes="s2f-live")
    events = [
        microphone.stop_recording(
            functools.partial(handlers.take, name=f"Recording {name}"),
            [microphone],
            [microphone, voice, heard],
            **_ONE_AT_A_TIME,
        ),
        file.upload(handlers.take, [file], [file, voice, heard], **_ONE_AT_A_TIME),
        example.input(
            handlers.take_example, [example], [voice, heard], **_ONE_AT_A_TIME
        ),
    ]
    return voice, events


def _file_input(label: str) -> gr.File:
    return gr.File(file_types=_MEDIA, label=label, height=170)


def _exaggeration() -> gr.Slider:
    return gr.Slider(
        0.0,
        MAX_EXAGGERATION,
        value=0.0,
        step=0.25,
        label=texts.EXAGGERATION,
        info=texts.EXAGGERATION_INFO,
    )


class _Handlers:
    """What happens when a part of the page is used."""

    def __init__(
        self, model: Speech2Face, limits: Limits, examples: Dict[str, pathlib.Path]
    ):
        self._model = model
        self.limits = limits
        self.examples = examples

    def begin(self) -> Tuple[bool, str]:
        """Recording starts: the next block begins a voice."""
        return True, views.waiting(texts.LISTENING)

    def hear(self, path: Optional[str], listener, amount: float):
        """A second of sound from the microphone: the face so far."""
        if path is None:
            return listener, gr.skip()
        with voices.uploaded(path) as uploaded:
            block, rate_hz = voices.read_block(uploaded)
        if listener is None:  # a block that comes after the end
            return None, gr.skip()
        if not isinstance(listener, Listener):
            listener = Listener(self._model, "Your recording", rate_hz, self.limits)
        listener.push(block)
        return listener, views.settling(listener, amount)

    def finish(self, listener, amount: float):
        """Recording ends: everything about the voice."""
        if not isinstance(listener, Listener):
            nothing = ValueError("Your recording has no sound")
            return None, None, views.error(nothing)
        try:
            voice = listener.finish()
        except (OSError, ValueError) as error:
            return None, None, views.error(error)
        return None, voice, views.whole(self._model, voice, amount)

    def watch(self, path: str, amount: float) -> Iterator[tuple]:
        """A file: its face settles, then everything about the voice."""
        with voices.uploaded(path) as uploaded:
            for voice, shown in self._watch(uploaded, amount):
                yield None, voice, shown

    def watch_example(self, label: str, amount: float) -> Iterator[tuple]:
        """The same of an example."""
        yield from self._watch(self.examples[label], amount)

    def take(self, path: Optional[str], name: str = ""):
        """One of two voices, from the microphone or a file."""
        if path is None:
            return None, gr.skip(), gr.skip()
        with voices.uploaded(path) as uploaded:
            return None, *self._take(uploaded, name)

    def take_example(self, label: Optional[str]):
        """One of two voices, an example."""
        if label is None:
            return gr.skip(), gr.skip()
        return self._take(self.examples[label])

    def redraw(self, voice: Optional[Voice], amount: float):
        """The exaggeration was changed."""
        return views.whole(self._model, voice, amount) if voice else gr.skip()

    def compare(self, first: Optional[Voice], second: Optional[Voice], amount: float):
        """Two voices, once both are there."""
        if first is None or second is None:
            return views.waiting(texts.WAITING_FOR_TWO)
        return views.comparison(self._model, first, second, amount)

    def _watch(self, path: pathlib.Path, amount: float) -> Iterator[tuple]:
        try:
            for listener in voices.listen_to_file(self._model, path, self.limits):
                yield None, views.settling(listener, amount)
            voice = listener.finish()
        except (OSError, ValueError) as error:
            yield None, views.error(error)
            return
        yield voice, views.whole(self._model, voice, amount)

    def _take(self, path: pathlib.Path, name: str = "") -> Tuple[Optional[Voice], str]:
        try:
            *_, listener = voices.listen_to_file(self._model, path, self.limits, name)
            voice = listener.finish()
        except (OSError, ValueError) as error:
            return None, views.error(error)
        return voice, views.heard(voice)
