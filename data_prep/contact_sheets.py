"""Pages of small pictures to look at: kept faces, rejected ones, the mean face."""

import pathlib
from typing import Dict, List, Sequence

import numpy as np
from PIL import Image

from data_prep.work_folder import WorkFolder
from speech2face import files, image_files, pictures, records

N_PICTURED = 36
SIZE_PX = 112


def write_all(output_dir: str, works: List[WorkFolder], first: WorkFolder) -> None:
    """Writes `kept.png`, `mean_face.png` and `rejected_<reason>.png` of a face job.

    Args:
      output_dir: where to.
      works: finished work whose records are the data set.
      first: the work that read the photographs, for the rejected ones.
    """
    folder = pathlib.Path(output_dir)
    kept, total, n_faces = [], np.zeros([224, 224, 3]), 0
    for work in works:
        for index in sorted(work.done()):
            for record in work.load(index).records:
                example = records.decode_face_example(record)
                total += example.texture
                n_faces += 1
                if len(kept) < N_PICTURED:
                    kept.append(face_row(example))
    write_page(folder / "kept.png", kept, [""] * len(kept))
    mean = np.round(total / max(n_faces, 1)).astype(np.uint8)
    files.write_atomically(folder / "mean_face.png", files.encode_png(mean))
    for reason, (images, captions) in _rejected(first).items():
        write_page(folder / f"rejected_{reason}.png", images, captions)


def face_row(example: records.FaceExample) -> np.ndarray:
    """Photograph, normalised face and texture of a record, side by side."""
    photograph = files.decode_image(example.face_jpeg)
    parts = [photograph, example.normalized, example.texture]
    return np.concatenate([thumbnail(part) for part in parts], axis=1)


def thumbnail(image: np.ndarray, size_px: int = SIZE_PX) -> np.ndarray:
    """The image [h, w, 3] uint8 in a white square."""
    picture = Image.fromarray(image)
    picture.thumbnail((size_px, size_px), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (size_px, size_px), "white")
    corner = [(size_px - side) // 2 for side in picture.size]
    square.paste(picture, tuple(corner))
    return np.asarray(square)


def write_page(path, images: Sequence[np.ndarray], captions: Sequence[str]) -> None:
    """Writes a contact sheet; nothing if there are no images."""
    if images:
        page = pictures.contact_sheet(images, captions)
        files.write_atomically(path, files.encode_png(page))


def _rejected(work: WorkFolder) -> Dict[str, tuple]:
    """A few readable photographs for each reason."""
    pages: Dict[str, tuple] = {}
    for index, clips in work.chunks():
        rejections = {r.clip_id: r for r in work.summary(index).rejections}
        for clip in clips:
            rejection = rejections.get(clip.clip_id)
            if rejection is None:
                continue
            images, captions = pages.setdefault(rejection.reason, ([], []))
            if len(images) < N_PICTURED:
                try:
                    image = thumbnail(image_files.read_image(clip.face, 512))
                except (ValueError, OSError):
                    continue
                images.append(image)
                captions.append(rejection.detail.split(": ", 1)[-1][:40])
    return {reason: page for reason, page in pages.items() if page[0]}
