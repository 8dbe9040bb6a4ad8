"""The web page in a real browser, with a microphone that plays a file.

Needs Chromium on the machine (`apt-get install chromium`); playwright drives it.
"""

import asyncio
import contextlib
import pathlib
import re
import socket
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
import soundfile

from speech2face import app
from speech2face.audio import decoding, resampling
from speech2face.inference.model import Speech2Face
from speech2face.web import receiving, server, voices
from speech2face.web.limits import Limits
from tests.helpers.chromium import CHROMIUM, needs_chromium
from tests.helpers.gray_film import write_gray_film
from tests.helpers.web import EXAMPLES, free_port, pictures_in, temporary_files

pytestmark = [pytest.mark.rehearsal, needs_chromium]

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]
DONE = "3 seconds or 6?"
MAX_MB = 3
PATIENCE_MS = 60_000  # the machine may be busy


@pytest.fixture(scope="module")
def connections():
    """Addresses that this process, the server included, connects to."""
    seen, connect = [], socket.socket.connect

    def recorded(self, address):
        if self.family != socket.AF_UNIX:
            seen.append(address[0])
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", recorded)
        yield seen


@pytest.fixture(scope="module")
def address(connections):
    pytest.importorskip("gradio")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED"):
            patch.setenv(name, "")  # put back at the end
        examples = app.examples_in(EXAMPLES)
        limits = Limits(max_mb=MAX_MB, max_secs=30.0)
        with server.running(
            "", examples, limits, host="127.0.0.1", port=free_port()
        ) as served:
            yield served


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """The browser; its microphone hears an example, again and again."""
    playwright = pytest.importorskip("playwright.sync_api")
    sound = tmp_path_factory.mktemp("microphone") / "voice.wav"
    waveform, rate_hz = soundfile.read(EXAMPLES / "woman_27.ogg")
    soundfile.write(sound, resampling.resample(waveform, rate_hz, 48_000), 48_000)
    microphone = f"--use-file-for-fake-audio-capture={sound}"
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=[*FLAGS, microphone]
        )
        yield browser
        browser.close()


@pytest.fixture
def requests():
    return []


@pytest.fixture
def page(chromium, address, requests):
    with opened(chromium, address, requests) as shown:
        yield shown
    assert temporary_files() == []  # uploads are in memory only


@contextlib.contextmanager
def opened(chromium, address, requests, **settings):
    context = chromium.new_context(permissions=["microphone"], **settings)
    context.set_default_timeout(PATIENCE_MS)
    shown = context.new_page()
    shown.on("request", lambda request: requests.append(request.url))
    shown.goto(address)
    shown.get_by_role("button", name="Record").first.wait_for()
    yield shown
    context.close()


def choose_file(page, path, index=0):
    page.locator("input[type=file]").nth(index).set_input_files(path)


def face_html(page):
    return page.locator(".s2f-live").first.inner_html()


def test_a_face_settles_while_one_speaks(page):
    page.get_by_role("button", name="Record").first.click()
    seen = set()
    while len(seen) < 3:  # the time limit of the test is that of `wait_for`
        page.get_by_text("s heard; the face settles.").wait_for()
        seen.update(picture.tobytes() for picture in pictures_in(face_html(page)))
        page.wait_for_timeout(200)
    page.get_by_role("button", name="Stop").first.click()
    page.get_by_text(DONE).wait_for()
    assert len(pictures_in(face_html(page))) == 5


def seconds_heard(page, recorded_secs):
    """Records for so long on the browser's clock; returns what the page heard."""
    page.evaluate("""() => {
        const devices = navigator.mediaDevices, open = devices.getUserMedia;
        devices.getUserMedia = async (wanted) => {
            const stream = await open.call(devices, wanted);
            window.began = performance.now();
            return stream; } }""")
    page.get_by_role("button", name="Record").first.click()
    page.wait_for_function(f"performance.now() - window.began > {recorded_secs * 1e3}")
    page.get_by_role("button", name="Stop").first.click()
    page.get_by_text("From all").wait_for()
    return float(re.search(r"From all ([\d.]+) s", face_html(page)).group(1))


@pytest.mark.serial
def test_the_last_unfinished_second_is_heard(page):
    """Also in the second that is not whole yet."""
    assert seconds_heard(page, 3.6) > 3.5


@pytest.mark.serial
def test_a_slow_machine_hears_every_second(page, monkeypatch):
    """Also what is said while an earlier second is worked on."""

    def slow(recorder, exaggeration=0.0):
        time.sleep(2.5)

    monkeypatch.setattr(voices.VoiceRecorder, "face_so_far", slow)
    assert seconds_heard(page, 5.1) > 5.0


@pytest.mark.serial
def test_a_slow_connection_hears_every_second(page, monkeypatch):
    """Also what is still being sent when the recording is stopped."""
    receive = receiving.receive_file

    async def slow(*arguments):
        await asyncio.sleep(4)
        return await receive(*arguments)

    monkeypatch.setattr(receiving, "receive_file", slow)
    # Later sound is always on its way, too, and nobody waits for it.
    assert 3.5 < seconds_heard(page, 3.6) < 10


def test_a_video_gives_the_face_of_its_sound(page, tmp_path):
    write_gray_film(tmp_path / "film.mp4", EXAMPLES / "man_60.ogg")
    film = (tmp_path / "film.mp4").rename(tmp_path / "film.rmvb")  # no browser knows it
    choose_file(page, film)
    page.get_by_text(DONE).wait_for()
    shown = pictures_in(face_html(page))[0].astype(int)
    result = Speech2Face.load()(decoding.load_waveform(str(film)))
    assert np.abs(shown - np.asarray(result.image)).max() <= 2


def test_exaggeration_is_labeled_and_works_from_the_keyboard(page):
    page.get_by_role("button", name="Woman 71").focus()
    page.keyboard.press("Enter")
    page.get_by_text(DONE).wait_for()
    before = pictures_in(face_html(page))[0]
    page.get_by_role("slider", name="Exaggeration").first.focus()
    page.keyboard.press("ArrowRight")
    page.get_by_text("Exaggerated by 0.25: not what the model predicts").wait_for()
    assert (pictures_in(face_html(page))[0] != before).any()


def test_two_voices(page):
    page.get_by_role("tab", name="Two voices").click()
    voice_a = page.get_by_role("group", name="Voice A")
    voice_a.get_by_role("button", name="Record").click()
    page.wait_for_timeout(3000)
    voice_a.get_by_role("button", name="Stop").click()
    voice_a.get_by_text("Heard: Recording A").wait_for()
    assert page.get_by_role("group", name="Voice B").is_visible()
    places = page.locator(".s2f-live").all()
    assert {place.get_attribute("aria-live") for place in places} == {"polite"}
    choose_file(page, EXAMPLES / "man_60.ogg", 2)
    page.get_by_text("The two voices are").wait_for()
    shown = places[-1].inner_html()
    first, second = pictures_in(shown)[:2]
    assert np.abs(first.astype(int) - second).mean() > 3, "a woman and a man"


def test_errors_give_advice_and_the_page_still_works(page, tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(32_000), 16_000)
    soundfile.write(tmp_path / "short.wav", np.sin(np.arange(1600)) * 0.1, 16_000)
    (tmp_path / "letter.wav").write_text("Dear Sir or Madam")
    expected = {"silent": "muted", "short": "six are best", "letter": "plays on your"}
    for name, advice in expected.items():
        choose_file(page, tmp_path / f"{name}.wav")
        alert = page.get_by_role("alert").filter(has_text=advice)
        alert.wait_for()
        assert f"{name}.wav" in alert.inner_text()
        assert "Traceback" not in page.content()
    with (tmp_path / "huge.wav").open("wb") as file:
        file.truncate(2 << 30)  # sparse
    choose_file(page, tmp_path / "huge.wav")
    page.get_by_text("huge.wav: The file is too large: up to 3 MB").wait_for()
    (tmp_path / "letter.pdf").write_text("Dear Sir or Madam")
    choose_file(page, tmp_path / "letter.pdf")
    page.get_by_text("letter.pdf: This is not an audio or video file").wait_for()
    assert page.get_by_text("too large").count() == 0
    page.get_by_role("button", name="Man 24").click()
    page.get_by_text(DONE).wait_for()
    assert page.get_by_text("This is not an audio or video file").count() == 0


def test_nothing_leaves_the_machine(page, requests, connections):
    page.get_by_role("button", name="Man 24").click()
    page.get_by_text(DONE).wait_for()
    page.get_by_role("tab", name="About").click()
    page.get_by_text("What it is not").wait_for()
    page.wait_for_timeout(1000)
    local = ("http://127.0.0.1:", "data:", "blob:http://127.0.0.1:")
    assert len(requests) > 5
    assert [url for url in requests if not url.startswith(local)] == []
    assert set(connections) <= {"127.0.0.1", "::1", "localhost"}


def test_a_phone(chromium, address, requests):
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True}
    with opened(chromium, address, requests, is_mobile=True, **phone) as page:
        page.get_by_role("button", name="Man 24").tap()
        page.get_by_text(DONE).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        face = page.get_by_alt_text("The face from the voice").bounding_box()
        assert 0 <= face["y"] < 740, "scrolled to where it is"


def at_every_width(page):
    """Gives the window one width after the other, which it yields."""
    for width in (390, 600, 820, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        yield width


def test_every_width_is_used_and_nothing_scrolls_sideways(page):
    page.get_by_role("button", name="Man 24").click()
    page.get_by_text(DONE).wait_for()
    faces = page.locator(".s2f-faces img").all()
    for width in at_every_width(page):
        examples = [
            page.get_by_role("button", name=name).bounding_box()
            for name in ("Man 24", "Man 60", "Woman 27", "Woman 71")
        ]
        sizes = {(round(box["width"]), round(box["height"])) for box in examples}
        assert len(sizes) == 1, f"{width}: none is alone in its line"
        note = page.get_by_role("complementary", name="What this is").bounding_box()
        ends = [box["x"] + box["width"] for box in (f.bounding_box() for f in faces)]
        assert max(ends) == pytest.approx(note["x"] + note["width"], abs=2), width
    for tab in ("One voice", "Two voices", "About"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(300)  # Gradio builds a tab when it is opened
        for width in at_every_width(page):
            assert page.evaluate("document.documentElement.scrollWidth") == width


# What has no name for a screen reader, of what can be used or seen.
NAMELESS = """() => [...document.querySelectorAll('button, input, img, audio, a')]
  .filter((e) => e.checkVisibility() && !(
    e.innerText?.trim() || e.ariaLabel || e.title || e.alt ||
    [...(e.labels || [])].some((label) => label.innerText.trim())))
  .map((e) => e.outerHTML.slice(0, 200))"""


def test_everything_has_a_name_and_the_note_comes_first(page):
    page.get_by_role("button", name="Man 24").click()
    page.get_by_text(DONE).wait_for()
    assert page.evaluate(NAMELESS) == []
    assert page.evaluate("document.documentElement.lang")
    note = page.get_by_role("complementary", name="What this is")
    assert "not the speaker" in note.inner_text()
    above = page.get_by_role("button", name="Record").first.bounding_box()["y"]
    assert note.bounding_box()["y"] < above
    assert page.locator(".s2f-live").first.get_attribute("aria-live") == "polite"


FOCUSED = """() => (document.activeElement.innerText || document.activeElement.type
  || '').trim()"""


def test_every_control_is_reached_with_the_tab_key(page):
    wanted = {"Record", "Man 24", "Man 60", "Woman 27", "Woman 71", "range"}
    reached = set()
    page.locator("body").click(position={"x": 2, "y": 2})
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(FOCUSED))
    assert wanted <= reached


def test_the_server_refuses_what_a_browser_would_not_send(address):
    boundary = "x" * 20
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; '
    head += 'filename="a.wav"\r\n\r\n'
    body = head.encode() + bytes((MAX_MB << 20) + 1000)
    body += f"\r\n--{boundary}--\r\n".encode()
    request = urllib.request.Request(
        f"{address}gradio_api/upload",
        body,
        {"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )
    with pytest.raises((urllib.error.HTTPError, ConnectionError)) as caught:
        urllib.request.urlopen(request)
    assert getattr(caught.value, "code", 413) == 413


@pytest.mark.skipif(not pathlib.Path("/proc/net/tcp").exists(), reason="needs /proc")
def test_only_this_computer_is_served(address):
    port = int(address.rstrip("/").rsplit(":", 1)[1])
    lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()
    local = [line.split()[1] for line in lines[1:]]
    assert {a.split(":")[0] for a in local if a.endswith(f":{port:04X}")} == {
        "0100007F"
    }
