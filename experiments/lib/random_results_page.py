"""The page of random results: voices to play, faces, retrieved faces, actual ranks.

`templates/random_results.html` lays it out; its sounds and pictures lie in a folder
with the name of the page.
"""

import io
import pathlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import soundfile
from PIL import Image

from experiments.lib.material import Material
from experiments.lib.retrieved_faces import RetrievedFaces
from speech2face import files
from speech2face.images import LABEL, decode_image
from speech2face.paper import SAMPLE_RATE_HZ
from speech2face.web import html

_SHOWN_PX = 160  # side of a face on the page: a file of 224 px has twice the bytes
_JPEG_QUALITY = 90
_FACES_AT_ONCE = 32


class Shown(NamedTuple):
    """One clip on the page; paths are relative to the page.

    Attributes:
      clip_id: its name in the data set.
      voice: path of the sound.
      true_face: path of the photograph.
      f2f: path of the face from the face.
      s2f: path of the face from the voice.
    """

    clip_id: str
    voice: str
    true_face: str
    f2f: str
    s2f: str


class RetrievedFace(NamedTuple):
    """One face that a voice retrieves: its picture, and whose it is."""

    picture: str
    is_true: bool
    is_same_person: bool


class Retrieval(NamedTuple):
    """One query on the page.

    Attributes:
      clip: the voice that asks, as it is shown.
      rank: rank of its true face, as text.
      faces: the nearest first.
    """

    clip: Shown
    rank: str
    faces: list[RetrievedFace]


def write_page(
    material: Material,
    name: str,
    shown: Sequence[int],
    queries: Sequence[int],
    retrieved: RetrievedFaces,
) -> pathlib.Path:
    """Writes the page and its files.

    Args:
      material: model and clips.
      name: name of the page and of the folder of its files.
      shown: clips whose results are shown.
      queries: clips whose voices are queries.
      retrieved: the faces nearest to the queries.

    Returns:
      The path of the page.
    """
    root = pathlib.Path(material.inputs.output_dir)
    assets = root / name
    assets.mkdir(parents=True, exist_ok=True)
    with_voice = {*shown, *queries}
    _write_records(material, assets, with_voice, retrieved.clips.ravel().tolist())
    _write_decoded(material, assets, sorted(with_voice))
    clip_ids = material.predictions().clip_ids
    clips = {i: _shown(name, i, clip_ids[i]) for i in with_voice}
    page = html.render(
        "random_results.html",
        package="experiments",
        title="Speech2Face: random results",
        label=LABEL,
        provenance=material.provenance(),
        results=[clips[i] for i in shown],
        retrievals=_retrievals(name, clips, queries, retrieved),
        n_faces=retrieved.n_faces,
        face_px=_SHOWN_PX,
    )
    path = root / f"{name}.html"
    files.write_atomically(path, page.encode())
    return path


def _shown(folder: str, index: int, clip_id: str) -> Shown:
    def file(kind: str, suffix: str = "jpg") -> str:
        return f"{folder}/{kind}_{index}.{suffix}"

    return Shown(clip_id, file("voice", "flac"), file("face"), file("f2f"), file("s2f"))


def _retrievals(
    folder: str,
    clips: dict[int, Shown],
    queries: Sequence[int],
    retrieved: RetrievedFaces,
) -> list[Retrieval]:
    return [
        Retrieval(
            clips[query],
            f"{rank:,.0f}",
            [
                RetrievedFace(f"{folder}/face_{clip}.jpg", bool(is_true), bool(is_same))
                for clip, is_true, is_same in zip(
                    of_query, is_true_face, is_same_person
                )
            ],
        )
        for query, of_query, is_true_face, is_same_person, rank in zip(
            queries,
            retrieved.clips,
            retrieved.is_true_face,
            retrieved.is_same_person,
            retrieved.true_rank,
        )
    ]


def _write_records(
    material: Material,
    assets: pathlib.Path,
    with_voice: Iterable[int],
    faces: Iterable[int],
) -> None:
    """Writes the photographs of clips, and the sounds of some of them, in one pass."""
    has_voice = set(with_voice)
    for index, example in material.stream([*has_voice, *faces]):
        _save_face(decode_image(example.face_jpeg), assets / f"face_{index}.jpg")
        if index in has_voice:
            # FLAC: half of WAV, and every browser plays it.
            sound = np.clip(example.waveform, -1.0, 1.0)
            buffer = io.BytesIO()
            soundfile.write(buffer, sound, SAMPLE_RATE_HZ, format="FLAC")
            files.write_atomically(assets / f"voice_{index}.flac", buffer.getvalue())


def _write_decoded(
    material: Material, assets: pathlib.Path, indices: Sequence[int]
) -> None:
    predictions = material.predictions()
    for kind, features in (
        ("f2f", predictions.face_features),
        ("s2f", predictions.voice_features),
    ):
        for start in range(0, len(indices), _FACES_AT_ONCE):
            batch = indices[start : start + _FACES_AT_ONCE]
            for index, image in zip(batch, material.faces(features[batch]).images):
                _save_face(image, assets / f"{kind}_{index}.jpg")


def _save_face(image: np.ndarray, path: pathlib.Path) -> None:
    small = Image.fromarray(image).resize((_SHOWN_PX,) * 2, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=_JPEG_QUALITY)
    files.write_atomically(path, buffer.getvalue())
