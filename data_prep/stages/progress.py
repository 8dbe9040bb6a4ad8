"""A progress bar of finished clips, counted in the folder that all workers share."""

import contextlib
import sys
import threading
from collections.abc import Iterator

import tqdm

from data_prep.stages.work_folder import WorkFolder

_POLL_SECS = 1.0


@contextlib.contextmanager
def progress_bar(
    work: WorkFolder, sizes: dict[int, int], description: str
) -> Iterator[None]:
    """Shows progress while the body runs.

    Args:
      work: the job's folder.
      sizes: number of clips of each chunk, by its index.
      description: what the bar counts.
    """
    stop = threading.Event()
    bar = tqdm.tqdm(
        total=sum(sizes.values()),
        initial=sum(sizes[index] for index in work.done()),
        desc=description,
        unit="clip",
        mininterval=0.5 if sys.stderr.isatty() else 15,  # a log keeps every line
    )

    def update() -> None:
        bar.update(sum(sizes[index] for index in work.done()) - bar.n)

    def watch() -> None:
        while not stop.wait(_POLL_SECS):
            update()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        update()
        bar.close()
