"""Photographs the web page in this machine's Chromium, for the documents.

    python -m tools.page_pictures --output_dir=docs

A maintainer runs it after a change to the page or to the model that ships, looks at the
pictures, and commits `app.png`, the page after a generated voice. It also writes
`app_desktop.png`, `app_phone.png` and `app_two_voices.png`, which are only to look at.
"""

import contextlib
import dataclasses
import pathlib
import shutil
import socket
from collections.abc import Iterator
from typing import Any

from speech2face.app import EXAMPLES_DIR, examples_in
from speech2face.errors import UserError
from speech2face.options import Options, required, run_command
from speech2face.web.limits import Limits

# Name -> width and height of the window, px.
WINDOWS = {"app": (640, 1456), "app_desktop": (1280, 900), "app_phone": (390, 844)}
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_PATIENCE_MS = 120_000


@dataclasses.dataclass(frozen=True)
class PagePictureOptions(Options):
    """Output folder."""

    output_dir: str = required("Folder for the pictures.")


def main(options: PagePictureOptions) -> None:
    """Serves the page, uses it, and photographs it."""
    from speech2face.web import server

    folder = pathlib.Path(options.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    examples = examples_in(EXAMPLES_DIR)
    with contextlib.ExitStack() as stack:
        browser = stack.enter_context(_chromium())
        address = stack.enter_context(
            server.running("", examples, Limits(50, 60.0), "127.0.0.1", _free_port())
        )
        for name, size in WINDOWS.items():
            page = _opened(browser, address, size)
            page.get_by_role("button", name="Man 24").click()
            page.get_by_text("What the model heard").wait_for()
            page.screenshot(path=folder / f"{name}.png", full_page=name != "app")
            page.close()
        page = _opened(browser, address, WINDOWS["app_desktop"])
        _compare_two(page, [examples["Woman 27"], examples["Man 60"]])
        page.screenshot(path=folder / "app_two_voices.png", full_page=True)
        page.close()  # or the server would wait for it
    print(folder)


def _compare_two(page: Any, voices: list[pathlib.Path]) -> None:
    page.get_by_role("tab", name="Two voices").click()
    for index, voice in enumerate(voices, 1):  # the first input is the other tab's
        page.locator("input[type=file]").nth(index).set_input_files(voice)
        page.get_by_text(f"Heard: {voice.name}").wait_for()
    page.get_by_text("The two voices are").wait_for()


@contextlib.contextmanager
def _chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        raise UserError(
            "there is no Chromium on this machine: apt-get install chromium"
        )
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=_FLAGS)
        yield browser
        browser.close()


def _opened(browser: Any, address: str, size: tuple[int, int]) -> Any:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.set_default_timeout(_PATIENCE_MS)
    page.goto(address)
    page.get_by_role("button", name="Record").first.wait_for()
    return page


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


if __name__ == "__main__":
    run_command(main, PagePictureOptions)
