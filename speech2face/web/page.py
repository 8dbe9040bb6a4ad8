"""The web page: its parts, and which of the `handlers` each part calls.

Gradio serves it. The page loads nothing from other servers and reports nothing to them.
Results are HTML that contains its pictures, so no result is ever a file.
"""

import functools
import pathlib
from collections.abc import Iterable
from typing import Any

import fastapi
import gradio as gr
from gradio.events import EventListener

from speech2face.inference.model import Speech2Face
from speech2face.media_files import SOUND_SUFFIXES, VIDEO_SUFFIXES
from speech2face.web import scripts, texts, views
from speech2face.web.events import EventChecks
from speech2face.web.forgetting import MEMORY_SECS
from speech2face.web.guard import Guard
from speech2face.web.handlers import Handlers
from speech2face.web.inputs import taking_uploads
from speech2face.web.limits import Limits
from speech2face.web.uploads import Uploads
from speech2face.web.visitors import Hosts
from speech2face.web.waiting import Waiting

MAX_SESSIONS = 200  # whose voices are remembered: up to 10 MB each
MAX_EXAGGERATION = 2.0  # the face is three times as far from the average face

_STYLE = pathlib.Path(__file__).parent / "templates" / "app.css"
# What a browser offers to choose. "audio" and "video" are what it knows as such.
MEDIA = ["audio", "video", *SOUND_SUFFIXES, *VIDEO_SUFFIXES]
# One model computes at a time: two would only share the same cores.
_ONE_AT_A_TIME = {"concurrency_id": "model", "concurrency_limit": 1}
# The events of a microphone keep their order, apart from the queue of the model.
_IN_ORDER = {"concurrency_id": "live", "concurrency_limit": 1}
_WITHOUT_PROGRESS = {"show_progress": "hidden"}
# Of the positions of a slider that is dragged, only the last one counts.
_SLIDER = {"trigger_mode": "always_last", **_WITHOUT_PROGRESS, **_ONE_AT_A_TIME}
# Gradio's own `stream` event drops blocks that arrive while an earlier one is being
# processed. Declared as an ordinary event, each block waits for its turn:
# docs/decisions/microphone-blocks.md
_EACH_BLOCK = EventListener(
    "stream", event_specific_args=[{"name": "stream_every", "type": "float"}]
)


def build(
    model: Speech2Face,
    limits: Limits,
    examples: dict[str, pathlib.Path],
    uploads: Uploads,
) -> gr.Blocks:
    """Makes the page.

    Args:
      model: what makes the faces.
      limits: what a recording may be.
      examples: label -> recording.
      uploads: where visitors' recordings are.
    """
    handlers = Handlers(model, limits, examples, uploads)
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
        # Gradio builds a tab when it is first opened: its regions get names then.
        two_voices.select(None, js=scripts.NAME_REGIONS)
    return page.queue(max_size=limits.max_queue, api_open=False)


def guarded(
    page: gr.Blocks,
    limits: Limits,
    uploads: Uploads,
    host: str,
    port: int,
    public_hosts: Iterable[str] = (),
) -> Guard:
    """Returns an application that serves the page.

    Args:
      page: what `build` returned.
      limits: what recordings and requests may be.
      uploads: those of `build`.
      host: address at which it will be served.
      port: port at which it will be served.
      public_hosts: names under which a proxy serves it.
    """
    page.state_session_capacity = MAX_SESSIONS
    app = gr.mount_gradio_app(
        fastapi.FastAPI(openapi_url=None),
        page,
        path="/",
        server_name=host,
        server_port=port,
        ssr_mode=False,
        run_history=False,
        enable_monitoring=False,
        mcp_server=False,
        footer_links=[],
        show_error=False,
        theme=_theme(),
        css_paths=_STYLE,
        js=scripts.on_load(limits, [m for m in MEDIA if m.startswith(".")]),
    )
    return Guard(
        app,
        Hosts(host, public_hosts),
        limits,
        uploads,
        EventChecks(page, uploads),
        Waiting(page, limits),
    )


def close(page: gr.Blocks) -> None:
    """Ends the answers that are still open, so that a server can end."""
    page.close(verbose=False)


def _theme() -> gr.themes.Base:
    # Fonts of the visitor's computer need no download. The grays are darker than
    # Gradio's, for contrast.
    return gr.themes.Default(
        primary_hue="indigo", font=["system-ui", "sans-serif"], font_mono=["monospace"]
    ).set(
        block_info_text_color="*neutral_600",
        block_label_text_color="*neutral_700",
        block_title_text_color="*neutral_700",
        body_text_color_subdued="*neutral_600",
    )


def _one_voice(handlers: Handlers) -> None:
    recorder = gr.State(None, time_to_live=MEMORY_SECS)
    voice = gr.State(None, time_to_live=MEMORY_SECS)
    with gr.Row(elem_classes="s2f-one"):
        with gr.Column(min_width=300):
            microphone = taking_uploads(
                gr.Audio(
                    sources=["microphone"],
                    type="filepath",
                    streaming=True,
                    label="Record a voice",
                    elem_classes="s2f-microphone",
                )
            )
            gr.Markdown(texts.EXAMPLES)
            with gr.Row(elem_classes="s2f-examples"):
                buttons = [
                    gr.Button(label, size="md", min_width=90)
                    for label in handlers.examples
                ]
        with gr.Column(min_width=300, elem_classes="s2f-choices"):
            file = _file_input("Or choose an audio or video file")
            gr.Markdown(texts.accepted_files(handlers.limits))
            exaggeration = _exaggeration_slider()
        # Below both; on a phone, `app.css` puts it under the button of the microphone.
        with gr.Column(min_width=300, elem_classes="s2f-result"):
            shown = gr.HTML(views.placeholder(texts.WAITING), elem_classes="s2f-live")
    _connect_microphone(handlers, microphone, exaggeration, recorder, voice, shown)
    _connect_files(handlers, file, buttons, exaggeration, voice, shown)
    exaggeration.change(handlers.exaggerate, [voice, exaggeration], shown, **_SLIDER)


def _connect_microphone(
    handlers: Handlers,
    microphone: gr.Audio,
    exaggeration: gr.Slider,
    recorder: gr.State,
    voice: gr.State,
    shown: gr.HTML,
) -> None:
    microphone.start_recording(
        handlers.start_recording,
        None,
        [recorder, shown],
        js=scripts.SCROLL_TO_FACE,
        **_WITHOUT_PROGRESS,
        **_IN_ORDER,
    )
    _EACH_BLOCK.listener(
        microphone,
        handlers.add_block,
        [microphone, recorder, exaggeration],
        [recorder, shown],
        stream_every=scripts.BLOCK_SECS,
        trigger_mode="multiple",
        **_WITHOUT_PROGRESS,
        **_IN_ORDER,
    )
    microphone.stop_recording(
        handlers.finish_recording,
        [recorder, exaggeration],
        [recorder, voice, shown],
        **_IN_ORDER,
    )


def _connect_files(
    handlers: Handlers,
    file: gr.File,
    buttons: list[gr.Button],
    exaggeration: gr.Slider,
    voice: gr.State,
    shown: gr.HTML,
) -> None:
    file.upload(
        handlers.play_upload,
        [file, exaggeration],
        [file, voice, shown],
        js=scripts.SCROLL_TO_FACE,
        **_ONE_AT_A_TIME,
    )
    for button in buttons:
        button.click(
            handlers.play_example,
            [button, exaggeration],
            [voice, shown],
            js=scripts.SCROLL_TO_FACE,
            **_ONE_AT_A_TIME,
        )


def _two_voices(handlers: Handlers) -> None:
    voices, changes = [], []
    with gr.Row():
        for name in "AB":
            with gr.Column(min_width=280, elem_classes="s2f-voice"):
                voice, events = _voice_input(handlers, name)
                voices.append(voice)
                changes += events
    exaggeration = _exaggeration_slider()
    shown = gr.HTML(views.placeholder(texts.WAITING_FOR_TWO), elem_classes="s2f-live")
    inputs = [*voices, exaggeration]
    for change in changes:
        change.then(handlers.compare, inputs, shown, **_ONE_AT_A_TIME)
    exaggeration.change(handlers.compare, inputs, shown, **_SLIDER)


def _voice_input(handlers: Handlers, name: str) -> tuple[gr.State, list[Any]]:
    """Returns one of two voices, and the events that change it."""
    voice = gr.State(None, time_to_live=MEMORY_SECS)
    microphone = taking_uploads(
        gr.Audio(sources=["microphone"], type="filepath", label=f"Record voice {name}")
    )
    file = _file_input(f"Or choose a file for voice {name}")
    example = gr.Dropdown(
        list(handlers.examples), value=None, label=f"Or an example for voice {name}"
    )
    received = gr.HTML(elem_classes="s2f-live")
    events = [
        microphone.stop_recording(
            functools.partial(handlers.load_upload, name=f"Recording {name}"),
            [microphone],
            [microphone, voice, received],
            **_ONE_AT_A_TIME,
        ),
        file.upload(
            handlers.load_upload, [file], [file, voice, received], **_ONE_AT_A_TIME
        ),
        example.input(
            handlers.load_example, [example], [voice, received], **_ONE_AT_A_TIME
        ),
    ]
    return voice, events


def _file_input(label: str) -> gr.File:
    return taking_uploads(
        gr.File(file_types=MEDIA, label=label, height=170, elem_classes="s2f-file")
    )


def _exaggeration_slider() -> gr.Slider:
    return gr.Slider(
        0.0,
        MAX_EXAGGERATION,
        value=0.0,
        step=0.25,
        label=texts.EXAGGERATION,
        info=texts.EXAGGERATION_INFO,
    )
