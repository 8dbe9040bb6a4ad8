"""Face detection: dlib on whole frames, beside ours on the whole frame and at a place.

    python -m experiments.benchmarks.detection
    python -m experiments.benchmarks.detection --n_large=0 --video_dir=clips

Measures seconds a frame, faces found, and overlap with dlib's boxes (intersection over
union) of three searches:

    dlib           dlib itself, on the frame enlarged twofold, as small faces need it
    whole          dlib's network in TensorFlow, on the same
    at the place   the same network, only around the place that a manifest gives

The frames are drawn, with a face at a known place: 640 x 360 and 1920 x 1080 px.
`--video_dir` adds the first frames of videos; the place is then the center of dlib's
own box. dlib takes a minute for a frame of 1920 x 1080 on two cores.
"""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import dlib
import numpy as np

from data_prep.clips import media
from experiments.benchmarks import rows, scenes
from experiments.benchmarks.rows import Beside, Row
from speech2face.faces import boxes as box_geometry
from speech2face.faces import mmod_search
from speech2face.files import PathLike
from speech2face.options import Options, option, run_command
from speech2face.weights import dlib as dlib_weights

SIZES = ((360, 640), (1080, 1920))  # height, width
_SMALLEST_FACE, _LARGEST_FACE = 0.14, 0.35  # sides of the box, shares of the height

Point = tuple[float, float]
Search = Callable[[np.ndarray], np.ndarray]  # picture -> boxes [n, 5], best first


class Frame(NamedTuple):
    """A picture, [height, width, 3] uint8, and the face's (x, y) in pixels if known."""

    picture: np.ndarray
    place: Point | None


@dataclasses.dataclass(frozen=True)
class DetectionBenchmarkOptions(Options):
    """Number of frames to search."""

    n_small: int = option(6, "Frames of 640 x 360.", minimum=0, maximum=10_000)
    n_large: int = option(1, "Frames of 1920 x 1080.", minimum=0, maximum=10_000)
    video_dir: str = option("", "Folder of videos; '' takes none.", exists="folder")


def main(options: DetectionBenchmarkOptions) -> None:
    """Prints the table, three rows for each kind of frame."""
    head_rows = []
    print("| frames | n | search | s a frame | x dlib | found | IoU min | median |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for (height, width), n in zip(SIZES, (options.n_small, options.n_large)):
        if n:
            name = f"{width} x {height}"
            searches = print_rows(name, list(drawn_frames(height, width, n)))
            head_rows.append(_head_row(name, *searches))
    if options.video_dir:
        print_rows("videos", list(video_frames(options.video_dir)))
    rows.show(head_rows)


def drawn_frames(height: int, width: int, n: int) -> Iterator[Frame]:
    """Draws frames with a face whose box is 14 to 35 % of the height.

    Args:
      height: height of each frame, px.
      width: width of each frame, px.
      n: how many.
    """
    # From small to large, because each size is found on a level of the pyramid of its
    # own.
    for seed, share in enumerate(np.linspace(_SMALLEST_FACE, _LARGEST_FACE, n)):
        scene = scenes.draw(height, width, share * height, seed)
        x, y = scene.place
        yield Frame(scene.picture, (x * width, y * height))


def video_frames(folder: PathLike) -> Iterator[Frame]:
    """The first frame of each video."""
    for path in sorted(pathlib.Path(folder).iterdir()):
        yield Frame(media.read_frame(str(path), 0.0), None)


class Measured(NamedTuple):
    """A search, and the box that it found in each frame, [1, 5] or [0, 5]."""

    name: str
    secs_a_frame: float
    boxes: Sequence[np.ndarray]


def _head_row(name: str, by_dlib: Measured, whole: Measured, at_place: Measured) -> Row:
    """The row of the table at the head of benchmarks.md."""
    return Row(
        f"detect, {name}, place known",
        at_place.secs_a_frame,
        "s",
        Beside("dlib's own detector", by_dlib.secs_a_frame),
        note=f"whole frame {whole.secs_a_frame:.2f} s",
    )


def print_rows(name: str, frames: Sequence[Frame]) -> list[Measured]:
    """Searches the frames in three ways, prints a row for each and returns them."""
    searches = measure(frames)
    expected = searches[0]
    for search in searches:
        overlaps = _overlaps(search.boxes, expected.boxes)
        n_found = sum(len(boxes) > 0 for boxes in search.boxes)
        speed_up = expected.secs_a_frame / search.secs_a_frame
        print(
            f"| {name} | {len(frames)} | {search.name} | {search.secs_a_frame:.2f} "
            f"| {speed_up:.1f} | {n_found} "
            f"| {min(overlaps):.2f} | {np.median(overlaps):.2f} |",
            flush=True,
        )
    return searches


def measure(frames: Sequence[Frame]) -> list[Measured]:
    """dlib's own search, ours on whole frames, and ours at the faces' places."""
    dlib_boxes, dlib_secs = timed(dlib_search(), [frame.picture for frame in frames])
    # A face whose place is known neither from the scene nor from dlib is left out.
    known = [
        (frame.picture, boxes, place)
        for frame, boxes in zip(frames, dlib_boxes)
        for place in [frame.place or _center(boxes)]
        if place
    ]
    pictures = [picture for picture, _, _ in known]
    places = [place for _, _, place in known]
    whole_boxes, whole_secs = timed(lambda p: mmod_search.search(p, 1), pictures)
    next_place = iter(places)
    at_place, place_secs = timed(
        lambda p: mmod_search.search_at([p], [next(next_place)])[0], pictures
    )
    expected = [_strongest_at(place, boxes) for _, boxes, place in known]
    whole = [_strongest_at(place, boxes) for place, boxes in zip(places, whole_boxes)]
    return [
        Measured("dlib", dlib_secs, expected),
        Measured("whole", whole_secs, whole),
        Measured("at the place", place_secs, at_place),
    ]


def timed(
    search: Search, pictures: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], float]:
    """The boxes that a search finds in each picture, and its mean seconds."""
    _load_network()
    begin = time.perf_counter()
    found = [search(picture) for picture in pictures]
    return found, (time.perf_counter() - begin) / max(len(pictures), 1)


def dlib_search() -> Search:
    """dlib's own detector on the enlarged picture; boxes as `mmod_search.search`."""
    path = dlib_weights.package_file(dlib_weights.DETECTOR_FILE)
    detector = dlib.cnn_face_detection_model_v1(path)

    def search(picture: np.ndarray) -> np.ndarray:
        boxes = [
            (
                found.rect.left(),
                found.rect.top(),
                found.rect.right() + 1,  # dlib's right and bottom are inclusive
                found.rect.bottom() + 1,
                found.confidence,
            )
            for found in detector(np.ascontiguousarray(picture), 1)
        ]
        # The most confident first, as ours; [0, 5] where there is none.
        return np.array(sorted(boxes, key=lambda box: -box[4])).reshape(-1, 5)

    return search


def _strongest_at(point: Point, boxes: np.ndarray) -> np.ndarray:
    """The first of the boxes [n, 5] that covers a point, [1, 5], or [0, 5]."""
    return box_geometry.covering(boxes, *point)[:1]


def _overlaps(
    found: Sequence[np.ndarray], expected: Sequence[np.ndarray]
) -> list[float]:
    """The overlap with each expected box; 0 where none was found."""
    return [
        box_geometry.overlap(boxes, box[0])[0] if len(boxes) else 0.0
        for boxes, box in zip(found, expected)
        if len(box)
    ]


def _center(boxes: np.ndarray) -> Point | None:
    if not len(boxes):
        return None
    left, top, right, bottom, _ = boxes[0]
    return (left + right) / 2, (top + bottom) / 2


def _load_network() -> None:
    """Loads the network, whose time does not belong to any frame."""
    mmod_search.search_at([np.zeros([80, 80, 3], np.uint8)], [(40.0, 40.0)])


if __name__ == "__main__":
    run_command(main, DetectionBenchmarkOptions)
