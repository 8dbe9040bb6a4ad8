"""Face records in; pages of small pictures out: kept and rejected faces, their mean."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from data_prep.stages.work_folder import WorkFolder
from speech2face.data import records
from speech2face.files import PathLike, as_path, write_atomically
from speech2face.images import contact_sheet, decode_image, encode_png, read_image
from speech2face.paper import FACE_PX

_Page = tuple[list[np.ndarray], list[str]]  # images, captions

N_PICTURED = 36  # on a page: six rows of six
THUMBNAIL_PX = 112  # half of a record's pictures
_READ_PX = 512  # enough for a thumbnail, and fast to decode
_REJECTED_PX = 160  # larger: the reason is written below
_CAPTION_CHARACTERS = 60  # three lines of it


def write_all(
    output_dir: PathLike, works: Sequence[WorkFolder], photographs: WorkFolder
) -> None:
    """Writes `kept.png`, `mean_face.png` and `rejected_<reason>.png` of a face job.

    Args:
      output_dir: folder of the data set.
      works: finished work whose records are the data set.
      photographs: the first pass, with the rejected photographs.
    """
    folder = as_path(output_dir)
    kept: list[np.ndarray] = []
    total, n_faces = np.zeros([FACE_PX, FACE_PX, 3]), 0
    for work in works:
        for index in sorted(work.done()):
            for record in work.load(index).records:
                example = records.decode_face_example(record)
                total += example.texture
                n_faces += 1
                if len(kept) < N_PICTURED:
                    kept.append(face_row(example))
    write_page(folder / "kept.png", kept, [""] * len(kept), is_ours=True)
    mean = np.round(total / max(n_faces, 1)).astype(np.uint8)
    write_atomically(folder / "mean_face.png", encode_png(mean), is_ours=True)
    for reason, (images, captions) in _rejected(photographs).items():
        path = folder / f"rejected_{reason}.png"
        write_page(path, images, captions, is_ours=True)


def face_row(example: records.FaceExample) -> np.ndarray:
    """Returns photograph, normalized face and texture of a record, side by side."""
    photograph = decode_image(example.face_jpeg)
    parts = [photograph, example.normalized, example.texture]
    return np.concatenate([thumbnail(part) for part in parts], axis=1)


def thumbnail(image: np.ndarray, size_px: int = THUMBNAIL_PX) -> np.ndarray:
    """Returns an image [h, w, 3] uint8, reduced, in the middle of a white square."""
    picture = Image.fromarray(image)
    picture.thumbnail((size_px, size_px), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (size_px, size_px), "white")
    left, top = ((size_px - side) // 2 for side in picture.size)
    square.paste(picture, (left, top))
    return np.asarray(square)


def write_page(
    path: PathLike,
    images: Sequence[np.ndarray],
    captions: Sequence[str],
    is_ours: bool = False,
) -> None:
    """Writes a contact sheet; does nothing if there are no images.

    Args:
      path: PNG file to write.
      images: [h, w, 3] uint8, of one size.
      captions: one for each image.
      is_ours: see `speech2face.files.atomic_path`.
    """
    if images:
        page = contact_sheet(images, captions)
        write_atomically(path, encode_png(page), is_ours=is_ours)


def _rejected(work: WorkFolder) -> dict[str, _Page]:
    """Returns a page of readable photographs for each reason."""
    pages: dict[str, _Page] = {}
    for index, clips in work.chunks():
        rejections = {r.clip_id: r for r in work.summary(index).rejections}
        for clip in clips:
            rejection = rejections.get(clip.clip_id)
            if rejection is None:
                continue
            images, captions = pages.setdefault(rejection.reason, ([], []))
            if len(images) < N_PICTURED:
                try:
                    image = thumbnail(read_image(clip.face, _READ_PX), _REJECTED_PX)
                except (ValueError, OSError):  # unreadable: no picture to show
                    continue
                images.append(image)
                # The page's name has the reason, with which details begin.
                caption = rejection.detail.split(": ", 1)[-1]
                captions.append(caption[:_CAPTION_CHARACTERS])
    return {reason: page for reason, page in pages.items() if page[0]}
