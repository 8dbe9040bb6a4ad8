"""Faces that go with a voice, and voices that go with a face (Sec. 4, Fig. 7).

The voice feature v_s of a recording and the face feature v_f of a photograph live in
one space (Eq. 1 pulls them together), so a folder of either can be ranked by its
distance to one of the other. The ranking says whose *kind* of face goes with that kind
of voice; it identifies nobody.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
from typing import Dict, List, Tuple, Union

import numpy as np
import tqdm
from PIL import Image

from speech2face import (
    config_fields,
    faces,
    files,
    image_files,
    pictures,
    recognizers,
    search,
)
from speech2face.faces import Box
from speech2face.feature_cache import FeatureCache, Values
from speech2face.inference import Speech2Face
from speech2face.reconstruction import LABEL, write_labelled
from speech2face.recordings import SoundFile

SEARCH_PX = 640  # photographs are searched for faces at this size: seconds, not minutes
NOTE = (
    "ranked by how well the kind of voice and the kind of face go together; this does "
    "not identify anybody"
)
PICTURE_FILE, RESULTS_FILE = "retrieval.png", "results.json"


@dataclasses.dataclass(frozen=True)
class Match:
    """One file of a ranked gallery; `distance` is smallest for the first."""

    path: pathlib.Path
    distance: float


@dataclasses.dataclass(frozen=True)
class Ranking:
    """A ranked gallery.

    Attributes:
      query: the file whose matches these are.
      matches: every usable file of the gallery, nearest first.
      skipped: file -> why it could not be used.
      metric: 'cos', 'l2' or 'l1'.
    """

    query: pathlib.Path
    matches: List[Match]
    skipped: Dict[pathlib.Path, str]
    metric: str


class Photographs:
    """Photographs of any size, each with its largest face."""

    noun = "face"

    def __init__(
        self,
        model: Speech2Face,
        cache_dir: "os.PathLike[str]",
        vgg_face_weights: str = "",
    ):
        """Loads the recognizer whose features the model speaks.

        Raises:
          FileNotFoundError, ValueError: it is not there, or another than the model's.
        """
        info = model.decoder.recognizer
        self._recognizer = recognizers.load_recognizer(info.name, vgg_face_weights)
        if self._recognizer.checksum != info.checksum:
            raise ValueError(
                f"the model was trained on features of {info.name} with the checksum "
                f"{info.checksum[:12]}..., its weights here have "
                f"{self._recognizer.checksum[:12]}...: give the same weights"
            )
        self._normalizer = model.decoder.normalizer
        self._cache = FeatureCache(cache_dir, f"{info.name}-{info.checksum[:16]}")

    def feature(self, path: "os.PathLike[str]") -> np.ndarray:
        """Returns v_f [d] of a photograph's largest face.

        Raises:
          ValueError, OSError: no image, or no face in it.
        """
        return self._normalizer.normalize(self._values(path)["feature"])

    def picture(self, path: "os.PathLike[str]") -> np.ndarray:
        """Returns the face's crop, [224, 224, 3] uint8."""
        image = image_files.read_image(str(path))
        return faces.crop_face(image, Box(*self._values(path)["box"]))

    def _values(self, path: "os.PathLike[str]") -> Values:
        values = self._cache.get(path, self._measure)
        if not values["box"].size:
            raise ValueError("no face found")
        return values

    def _measure(self, path: str) -> Values:
        face = faces.find_largest_face(image_files.read_image(path), SEARCH_PX)
        if face is None:  # kept as well: the search took as long
            return {"box": np.zeros(0), "feature": np.zeros(0, np.float32)}
        return {
            "box": np.array(dataclasses.astuple(face.box)),
            "feature": self._recognizer.features(face.crop[np.newaxis])[0],
        }


class Recordings:
    """Audio and video files, each with its voice."""

    noun = "voice"

    def __init__(self, model: Speech2Face, cache_dir: "os.PathLike[str]"):
        """Takes the model's voice encoder."""
        self._model = model
        self._cache = FeatureCache(cache_dir, f"voice-{_encoder_checksum(model)[:16]}")

    def feature(self, path: "os.PathLike[str]") -> np.ndarray:
        """Returns v_s [d] of a recording.

        Raises:
          ValueError, OSError: no recording, or no voice in it.
        """
        return self._cache.get(path, self._measure)["feature"]

    def picture(self, path: "os.PathLike[str]") -> np.ndarray:
        """Returns the face that the model makes of the voice, [224, 224, 3] uint8."""
        return np.asarray(self._model.faces(self.feature(path)[np.newaxis])[0].image)

    def _measure(self, path: str) -> Values:
        return {"feature": self._model.voice_features([SoundFile(path)])[0]}


Source = Union[Photographs, Recordings]


def rank(
    query: "os.PathLike[str]",
    query_source: Source,
    gallery_dir: "os.PathLike[str]",
    gallery_source: Source,
    metric: str = "cos",
) -> Ranking:
    """Ranks the files of a folder by their distance to a query.

    Args:
      query: a recording or a photograph.
      query_source: what it is.
      gallery_dir: folder of the other kind, with its subfolders. A file that cannot be
        used is skipped, and named with its reason.
      gallery_source: what they are.
      metric: 'cos' (Table 3's best), 'l2' or 'l1'.

    Raises:
      FileNotFoundError, ValueError: the query cannot be used, or nothing in the folder.
    """
    wanted = _query_feature(query, query_source)
    paths, features, skipped = _read_gallery(gallery_dir, gallery_source)
    index, distances = search.nearest(
        wanted[np.newaxis], np.stack(features), len(paths), metric
    )
    matches = [Match(paths[i], float(d)) for i, d in zip(index[0], distances[0])]
    return Ranking(pathlib.Path(query), matches, skipped, metric)


def write(
    ranking: Ranking,
    query_source: Source,
    gallery_source: Source,
    output_dir: "os.PathLike[str]",
    top_k: int,
) -> None:
    """Writes `retrieval.png`, the query beside its `top_k` matches, and `results.json`.

    A voice is shown as the face that the model makes of it.
    """
    shown = ranking.matches[:top_k]
    images = [query_source.picture(ranking.query)]
    images += [gallery_source.picture(match.path) for match in shown]
    captions = [f"query, {_caption(ranking.query, query_source)}"]
    captions += [
        f"{place}. at {match.distance:.3f}, {_caption(match.path, gallery_source)}"
        for place, match in enumerate(shown, 1)
    ]
    output_dir = pathlib.Path(output_dir)
    sheet = pictures.contact_sheet(images, captions)
    write_labelled(output_dir / PICTURE_FILE, Image.fromarray(sheet), NOTE)
    text = json.dumps(_as_json(ranking), indent=1) + "\n"
    files.write_atomically(output_dir / RESULTS_FILE, text.encode())


def _query_feature(query: "os.PathLike[str]", source: Source) -> np.ndarray:
    try:
        return source.feature(query)
    except FileNotFoundError:
        raise FileNotFoundError(f"no such file: {query}") from None
    except ValueError as error:
        text = str(error)
        raise ValueError(text if str(query) in text else f"{query}: {text}") from None


def _read_gallery(
    folder: "os.PathLike[str]", source: Source
) -> Tuple[List[pathlib.Path], List[np.ndarray], Dict[pathlib.Path, str]]:
    """Paths, their features, and what was skipped."""
    paths, features, skipped = [], [], {}
    found = _files_in(folder)
    for path in tqdm.tqdm(found, source.noun + "s", unit="file", disable=None):
        try:
            feature = source.feature(path)
        except (OSError, ValueError) as error:
            skipped[path] = " ".join(str(error).split())
            continue
        paths.append(path)
        features.append(feature)
    if not paths:
        name, reason = next(iter(skipped.items()))
        raise ValueError(
            f"none of the {len(skipped)} files in {folder} has a {source.noun}; the "
            f"first, {name.name}: {reason}"
        )
    return paths, features, skipped


def _files_in(folder: "os.PathLike[str]") -> List[pathlib.Path]:
    """All files below a folder in a fixed order, but those whose name begins with '.'.

    Raises:
      FileNotFoundError, ValueError: there is no such folder, or nothing in it.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    found = [path for path in found if not path.name.startswith(".")]
    if not found:
        raise ValueError(f"the folder {folder} is empty")
    return found


def _caption(path: pathlib.Path, source: Source) -> str:
    return path.name if source.noun == "face" else f"{path.name} ({LABEL})"


def _as_json(ranking: Ranking) -> dict:
    return {
        "query": str(ranking.query),
        "note": NOTE,
        "metric": ranking.metric,
        "n_ranked": len(ranking.matches),
        "n_skipped": len(ranking.skipped),
        "ranking": [
            {"rank": place, "file": str(match.path), "distance": match.distance}
            for place, match in enumerate(ranking.matches, 1)
        ],
        "skipped": [
            {"file": str(path), "reason": reason}
            for path, reason in ranking.skipped.items()
        ],
    }


def _encoder_checksum(model: Speech2Face) -> str:
    """A sha256 of how the voice encoder is built and of its weights."""
    digest = hashlib.sha256(config_fields.to_json(model.config).encode())
    for array in model.encoder.get_weights():
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
