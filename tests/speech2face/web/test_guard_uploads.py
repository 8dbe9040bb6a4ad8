"""Attacks on a page that runs: files that a client names or sends."""

import datetime
import json
import os
import pathlib
import socket

import pytest

from tests.helpers.guarded_page import LIMITS, VOICE, A, B
from tests.helpers.waiting import wait_until
from tests.helpers.web_client import Client, form, recording


@pytest.fixture
def precious(tmp_path):
    """A folder of somebody else, with a recording."""
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "voice.ogg").write_bytes(VOICE)
    (tmp_path / "link.ogg").symlink_to(folder / "voice.ogg")
    yield folder
    assert (folder / "voice.ogg").read_bytes() == VOICE


def foreign_paths(folder, listening):
    """Whatever is not an upload."""
    port = listening.getsockname()[1]
    page_folder = os.environ["GRADIO_TEMP_DIR"]
    return [
        str(folder),
        str(folder / "voice.ogg"),
        str(folder.parent / "link.ogg"),
        page_folder,
        f"{page_folder}/../{pathlib.Path(page_folder).name}",
        "/dev/zero",
        "/proc/self/environ",
        f"file://{folder}/voice.ogg",
        f"http://127.0.0.1:{port}/voice.wav",
        f"tcp://127.0.0.1:{port}",
        "concat:/etc/hostname",
        ".",
        "",
        "x\0y",
    ]


@pytest.mark.slow
def test_a_path_or_address_that_a_client_names_is_never_opened(url, events, precious):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(0.2)
        client = Client(url)
        for path in foreign_paths(precious, listening):
            for more in ({}, {"is_stream": True}, {"url": path}, {"is_stream": 1}):
                for name, rest in (
                    ("add_block", [None, 0]),
                    ("play_upload", [0]),
                    ("load_upload", []),
                ):
                    answer = client.join(events[name], [recording(path, **more), *rest])
                    assert answer[0] == 422 and "upload of yours" in answer[1]
        with pytest.raises(TimeoutError):
            listening.accept()
    assert pathlib.Path(os.environ["GRADIO_TEMP_DIR"]).is_dir()


@pytest.mark.parametrize(
    "value",
    [
        [recording("x")],
        "x",
        7,
        True,
        {"path": 7},
        {"path": ["x"]},
        {"video": recording("x")},
        {},
    ],
)
def test_what_is_not_an_upload_is_refused(url, events, value):
    assert Client(url).join(events["load_upload"], [value])[0] == 422


def test_an_upload_belongs_to_its_visitor_and_is_used_once(url, events):
    first, second = Client(url, A), Client(url, B)
    key = first.key_of(VOICE)
    assert second.join(events["load_upload"], [recording(key)])[0] == 422
    assert Client(url).join(events["load_upload"], [recording(key)])[0] == 422
    assert first.join(events["load_upload"], [recording(key)])[0] == 200
    assert "Heard: voice.wav" in json.dumps(first.result())
    assert first.join(events["load_upload"], [recording(key)])[0] == 422


def test_recordings_are_never_on_the_disk(url, events):
    client = Client(url)
    client.key_of(VOICE)
    folder = pathlib.Path(os.environ["GRADIO_TEMP_DIR"])
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert folder.stat().st_mode & 0o777 == 0o700


def remembered(blocks):
    """What Gradio has in memory of sessions: state, and what was shown."""
    holder, queue = blocks.state_holder, blocks._queue
    states = [(s.state_data, s.config_values) for s in holder.session_data.values()]
    unread = [q.__dict__ for q in queue.pending_messages_per_session.values()]
    return repr(states) + repr(unread)


@pytest.mark.parametrize("way", ["closed", "unused", "never read"])
def test_a_recording_is_forgotten(url, blocks, events, way):
    """It is in what was shown, too, as sound to play."""
    from speech2face.web import forgetting
    from speech2face.web.uploads import Uploads

    client = Client(url)
    client.join(events["play_upload"], [recording(client.key_of(VOICE)), 0])
    holder = blocks.state_holder
    if way != "never read":
        assert client.result()["success"]
    wait_until(lambda: "data:audio/wav" in remembered(blocks))
    forgetting.forget(blocks, Uploads(LIMITS))
    assert "data:audio/wav" in remembered(blocks), "it is still in use"
    if way == "closed":
        address = client.address.split(":")
        with socket.create_connection((address[0], int(address[1]))) as connection:
            connection.sendall(
                f"GET /gradio_api/heartbeat/{client.session} HTTP/1.1\r\n"
                "Host: localhost\r\n\r\n".encode()
            )
            connection.recv(1000)
        wait_until(lambda: holder.session_data[client.session].is_closed)
    for session in holder.time_last_used:
        if session != client.session or way != "closed":
            holder.time_last_used[session] -= datetime.timedelta(minutes=31)
    wait_until(lambda: not blocks._queue.event_ids_to_events)  # of other tests
    forgetting.forget(blocks, Uploads(LIMITS))
    assert "data:audio/wav" not in remembered(blocks)


@pytest.mark.parametrize(
    "content_type, body",
    [
        ("application/json", b"{}"),
        ("multipart/form-data", form(b"x")),
        ("multipart/form-data; boundary=abc", form(b"x")),
        ("multipart/form-data; boundary=xyz", form(b"x")[:-10]),
        ("multipart/form-data; boundary=xyz", b"--xyz--\r\n"),
        ("multipart/form-data; boundary=xyz", form(b"x")[:-9] + b"\r\n" + form(b"y")),
        ("multipart/form-data; boundary=" + "x" * 5000, b""),
    ],
)
def test_an_upload_that_is_not_one_file_is_refused(url, content_type, body):
    status, _, _ = Client(url).request(
        "POST", "/gradio_api/upload", body, Content_Type=content_type
    )
    assert status == 400


def test_a_name_with_folders_is_only_a_name(url, events):
    client = Client(url)
    key = client.key_of(VOICE, "../../etc/<b>\u202e.ogg")
    assert ".." not in key and "/etc/" not in key
    client.join(events["load_upload"], [recording(key)])
    assert "Heard: &lt;b&gt;.ogg" in client.result()["output"]["data"][2]
