"""Face detection: dlib on whole frames, beside ours on the whole and at the place.

    python -m experiments.benchmarks.detection

Generated faces at known places in frames of 640 x 360 and 1920 x 1080, each detected by
dlib (the frame doubled once, as small faces need it), by dlib's network in TensorFlow
on the same, and at the manifest's place. Each row says how many times faster than dlib
that is in this run, how many of the faces were found, and how far the boxes overlap
dlib's (intersection over union). `--video_dir` adds the first frames of videos, whose
places are those of dlib's own boxes; dlib takes a minute for 1080p on two cores.
"""

import dataclasses
import os
import time
import typing
from typing import Callable, Iterator, List, Optional, Tuple

from speech2face import flag_config
from speech2face.config_fields import option

if typing.TYPE_CHECKING:  # --help is quick
    import numpy as np

SIZES = ((360, 640), (1080, 1920))


@dataclasses.dataclass(frozen=True)
class DetectionBenchmarkOptions:
    """How much is detected."""

    n_small: int = option(6, "Frames of 640 x 360.")
    n_large: int = option(1, "Frames of 1920 x 1080.")
    video_dir: str = option("", "Folder of videos; '' takes none.")


def main(options: DetectionBenchmarkOptions) -> None:
    """Prints a table for each kind of frame."""
    print("| frames | n | search | s a frame | x dlib | found | IoU min | median |")
    print("|---|---|---|---|---|---|---|---|")
    for size, n in zip(SIZES, (options.n_small, options.n_large)):
        if n:
            print_rows(f"{size[1]} x {size[0]}", list(drawn_frames(*size, n)))
    if options.video_dir:
        print_rows("videos", list(video_frames(options.video_dir)))


# picture; (x, y) in pixels
Frame = Tuple["np.ndarray", Optional[Tuple[float, float]]]


def drawn_frames(height: int, width: int, n: int) -> Iterator[Frame]:
    """Frames with a face of an eighth to a third of the height."""
    import numpy as np

    from experiments.benchmarks import scenes

    for seed, share in enumerate(np.linspace(0.14, 0.35, n)):
        scene = scenes.draw(height, width, share * height, seed)
        x, y = scene.place
        yield scene.picture, (x * width, y * height)


def video_frames(folder: str) -> Iterator[Frame]:
    """The first frame of each video."""
    from data_prep import media

    for name in sorted(os.listdir(folder)):
        yield media.read_frame(os.path.join(folder, name), 0.0), None


def print_rows(name: str, frames: List[Frame]) -> None:
    """Detects everything three ways, and prints a row for each."""
    import numpy as np

    from speech2face import face_detector

    dlibs, dlib_secs = timed(dlib_search(), [picture for picture, _ in frames])
    points = [point or _center(boxes) for (_, point), boxes in zip(frames, dlibs)]
    kept = [n for n, point in enumerate(points) if point]
    expected = [_at(dlibs[n], points[n]) for n in kept]
    pictures, points = [frames[n][0] for n in kept], [points[n] for n in kept]
    whole, whole_secs = timed(lambda p: face_detector.search(p, 1), pictures)
    places = iter(points)
    at, at_secs = timed(
        lambda p: face_detector.search_at([p], [next(places)])[0], pictures
    )
    whole = [_at(boxes, point) for boxes, point in zip(whole, points)]
    for search, found, secs in (
        ("dlib", expected, dlib_secs),
        ("whole", whole, whole_secs),
        ("at the place", at, at_secs),
    ):
        overlaps = [
            face_detector.overlap(boxes, box[0])[0] if len(boxes) else 0.0
            for boxes, box in zip(found, expected)
            if len(box)
        ]
        n_found = sum(len(boxes) > 0 for boxes in found)
        print(
            f"| {name} | {len(frames)} | {search} | {secs:.2f} "
            f"| {dlib_secs / secs:.1f} | {n_found} "
            f"| {min(overlaps):.2f} | {np.median(overlaps):.2f} |",
            flush=True,
        )


def timed(search: Callable, pictures: List["np.ndarray"]) -> Tuple[List, float]:
    """What a search finds in each picture, and its mean seconds."""
    _warm()
    begin = time.perf_counter()
    found = [search(picture) for picture in pictures]
    return found, (time.perf_counter() - begin) / max(len(pictures), 1)


def dlib_search() -> Callable[["np.ndarray"], "np.ndarray"]:
    """dlib's own detector, on the doubled picture; boxes as `face_detector.search`."""
    import dlib
    import numpy as np

    from speech2face import dlib_weights

    path = dlib_weights.package_file(dlib_weights.DETECTOR_FILE)
    detector = dlib.cnn_face_detection_model_v1(path)

    def search(picture: "np.ndarray") -> "np.ndarray":
        found = detector(np.ascontiguousarray(picture), 1)
        boxes = [
            [d.rect.left(), d.rect.top(), d.rect.right() + 1, d.rect.bottom() + 1]
            + [d.confidence]
            for d in found
        ]
        return np.array(sorted(boxes, key=lambda box: -box[4])).reshape(-1, 5)

    return search


def _at(boxes: "np.ndarray", point: Tuple[float, float]) -> "np.ndarray":
    """The strongest box that covers a point, [1, 5], or [0, 5]."""
    import numpy as np

    x, y = point
    holding = [b for b in boxes if b[0] <= x <= b[2] and b[1] <= y <= b[3]]
    return np.array(holding[:1]).reshape(-1, 5)


def _center(boxes: "np.ndarray") -> Optional[Tuple[float, float]]:
    if not len(boxes):
        return None
    left, top, right, bottom, _ = boxes[0]
    return (left + right) / 2, (top + bottom) / 2


def _warm() -> None:
    """Loads the network, which is no part of a frame's time."""
    import numpy as np

    from speech2face import face_detector

    face_detector.search_at([np.zeros([80, 80, 3], np.uint8)], [(40.0, 40.0)])


if __name__ == "__main__":
    flag_config.run(main, DetectionBenchmarkOptions)
