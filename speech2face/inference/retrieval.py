"""Ranks faces by a voice, and voices by a face (Sec. 4, Fig. 7).

The voice feature v_s of a recording and the face feature v_f of a photograph share one
space (Eq. 1 pulls them together), so a folder of one kind can be ranked by the distance
to a file of the other kind. The ranking shows which *kind* of face goes with that kind
of voice. It does not identify anyone.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Sequence

import numpy as np
import tqdm
from PIL import Image

from speech2face import files, media_files
from speech2face.audio.recordings import SoundFile
from speech2face.errors import UserError
from speech2face.faces import detection
from speech2face.faces.detection import Box
from speech2face.files import PathLike
from speech2face.images import LABEL, contact_sheet, is_made_by_model, read_image
from speech2face.inference.feature_cache import FeatureCache, Values, is_entry
from speech2face.inference.model import Speech2Face
from speech2face.inference.reconstruction import write_labeled
from speech2face.json_codec import to_json
from speech2face.metrics import neighbors
from speech2face.recognizers.loading import load_recognizer

# Photographs are searched for faces at this size: in seconds, not minutes.
SEARCH_PX = 640
NOTE = (
    "ranked by how well the kind of voice and the kind of face go together; this does "
    "not identify anybody"
)
PICTURE_FILE, RESULTS_FILE = "retrieval.png", "results.json"


@dataclasses.dataclass(frozen=True)
class Match:
    """One file of a ranked gallery; the first match has the smallest distance."""

    path: pathlib.Path
    distance: float


@dataclasses.dataclass(frozen=True)
class Ranking:
    """A ranked gallery.

    Attributes:
      query: the file by which the gallery is ranked.
      matches: every usable file of the gallery, nearest first.
      skipped: file -> why it could not be used.
      metric: 'cos', 'l2' or 'l1'.
    """

    query: pathlib.Path
    matches: list[Match]
    skipped: dict[pathlib.Path, str]
    metric: str


class FaceSource:
    """Face features of photographs of any size; the largest face counts."""

    noun = "face"

    def __init__(
        self,
        model: Speech2Face,
        cache_dir: PathLike,
        vgg_face_weights: str = "",
    ):
        """Loads the recognizer on whose features the model was trained.

        Args:
          model: a loaded model.
          cache_dir: folder of the feature cache.
          vgg_face_weights: output of speech2face.import_vgg_face; for models that were
            trained on VGG-Face.

        Raises:
          FileNotFoundError: the recognizer's weights are missing.
          UserError: the weights are not those of the model's recognizer.
        """
        info = model.decoder.recognizer
        self._recognizer = load_recognizer(info.name, vgg_face_weights)
        if self._recognizer.checksum != info.checksum:
            raise UserError(
                f"the model was trained on features of {info.name} with the checksum "
                f"{info.checksum[:12]}..., its weights here have "
                f"{self._recognizer.checksum[:12]}...: give the same weights",
                reason="another_recognizer",
            )
        self._normalizer = model.decoder.normalizer
        # Raw features: models of one recognizer share them.
        self._cache = FeatureCache(cache_dir, f"{info.name}-{info.checksum[:16]}")

    def feature(self, path: PathLike) -> np.ndarray:
        """Returns v_f [d] of a photograph's largest face.

        Raises:
          OSError: the file cannot be read.
          UserError: it is not an image, or has no face.
        """
        return self._normalizer.normalize(self._values(path)["feature"])

    def picture(self, path: PathLike) -> np.ndarray:
        """Returns the face's crop, [224, 224, 3] uint8."""
        image = read_image(str(path))
        return detection.crop_face(image, Box(*self._values(path)["box"]))

    def _values(self, path: PathLike) -> Values:
        if is_made_by_model(path):
            raise UserError(
                "a model made it, it is not a photograph", reason="synthetic"
            )
        values = self._cache.get(path, self._measure)
        if not values["box"].size:
            raise UserError("no face found", reason="no_face")
        return values

    def _measure(self, path: str) -> Values:
        face = detection.find_largest_face(read_image(path), SEARCH_PX)
        if face is None:  # cached as well: the search took as long
            return {"box": np.zeros(0), "feature": np.zeros(0, np.float32)}
        return {
            "box": np.array(dataclasses.astuple(face.box)),
            "feature": self._recognizer.features(face.crop[np.newaxis])[0],
        }


class VoiceSource:
    """Voice features of audio and video files."""

    noun = "voice"

    def __init__(self, model: Speech2Face, cache_dir: PathLike):
        """Uses the model's voice encoder.

        Args:
          model: a loaded model.
          cache_dir: folder of the feature cache.
        """
        self._model = model
        self._cache = FeatureCache(cache_dir, f"voice-{_encoder_checksum(model)[:16]}")

    def feature(self, path: PathLike) -> np.ndarray:
        """Returns v_s [d] of a recording.

        Raises:
          OSError: the file cannot be read.
          UserError: it is not a recording, or has no voice.
        """
        return self._cache.get(path, self._measure)["feature"]

    def picture(self, path: PathLike) -> np.ndarray:
        """Returns the face that the model makes of the voice, [224, 224, 3] uint8."""
        return np.asarray(self._model.faces(self.feature(path)[np.newaxis])[0].image)

    def _measure(self, path: str) -> Values:
        return {"feature": self._model.voice_features([SoundFile(path)])[0]}


Source = FaceSource | VoiceSource


def rank(
    query: PathLike,
    query_source: Source,
    gallery_dir: PathLike,
    gallery_source: Source,
    metric: str = "cos",
    exclude: Sequence[PathLike] = (),
) -> Ranking:
    """Ranks the files of a folder by their distance to a query.

    Args:
      query: a recording or a photograph.
      query_source: measures the query.
      gallery_dir: folder of files of the other kind, with its subfolders. A file that
        cannot be used is skipped and listed with its reason: also one that this
        project wrote there, such as the picture of an earlier ranking.
      gallery_source: measures the files of the folder.
      metric: 'cos' (Table 3's best), 'l2' or 'l1'.
      exclude: folders inside the gallery that are not part of it, such as the output.

    Raises:
      FileNotFoundError: the query or the folder does not exist.
      UserError: the query cannot be used, or no file of the folder can.
    """
    query_feature = _query_feature(query, query_source)
    paths, features, skipped = _read_gallery(gallery_dir, gallery_source, exclude)
    index, distances = neighbors.nearest(
        query_feature[np.newaxis], np.stack(features), len(paths), metric
    )
    matches = [Match(paths[i], float(d)) for i, d in zip(index[0], distances[0])]
    return Ranking(pathlib.Path(query), matches, skipped, metric)


def write(
    ranking: Ranking,
    query_source: Source,
    gallery_source: Source,
    output_dir: PathLike,
    top_k: int,
) -> None:
    """Writes `retrieval.png`, the query beside its best matches, and `results.json`.

    A voice is shown as the face that the model makes of it.

    Args:
      ranking: what `rank` returned.
      query_source: makes the picture of the query.
      gallery_source: makes the pictures of the matches.
      output_dir: created if needed.
      top_k: number of matches in the picture.
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
    sheet = contact_sheet(images, captions)
    write_labeled(output_dir / PICTURE_FILE, Image.fromarray(sheet), NOTE)
    text = json.dumps(_as_json(ranking), indent=1) + "\n"
    files.write_atomically(output_dir / RESULTS_FILE, text.encode())


def _query_feature(query: PathLike, source: Source) -> np.ndarray:
    try:
        return source.feature(query)
    except FileNotFoundError:
        raise FileNotFoundError(f"no such file: {query}") from None
    except UserError as error:
        text = str(error)
        if str(query) not in text:
            text = f"{query}: {text}"
        raise UserError(text, reason=error.reason) from None


def _read_gallery(
    folder: PathLike, source: Source, exclude: Sequence[PathLike]
) -> tuple[list[pathlib.Path], list[np.ndarray], dict[pathlib.Path, str]]:
    """Returns usable files, their features, and why each other file was skipped."""
    paths: list[pathlib.Path] = []
    features: list[np.ndarray] = []
    skipped: dict[pathlib.Path, str] = {}
    gallery = _files_in(folder, exclude)
    # disable=None: no progress bar where standard error is not a terminal.
    for path in tqdm.tqdm(gallery, source.noun + "s", unit="file", disable=None):
        if files.is_made_here(path) or is_entry(path):
            skipped[path] = "this project wrote it"
            continue
        try:
            feature = source.feature(path)
        except (OSError, UserError) as error:
            skipped[path] = " ".join(str(error).split())
            continue
        paths.append(path)
        features.append(feature)
    if not paths:
        name, reason = next(iter(skipped.items()))
        raise UserError(
            f"none of the {len(skipped)} files in {folder} has a {source.noun}; the "
            f"first, {name.name}: {reason}",
            reason="nothing_usable",
        )
    return paths, features, skipped


def _files_in(folder: PathLike, exclude: Sequence[PathLike] = ()) -> list[pathlib.Path]:
    """Returns all files below a folder, sorted, except hidden ones ('.*').

    Links to folders are followed, each folder once.

    Args:
      folder: the gallery.
      exclude: folders below it that are left out.

    Raises:
      FileNotFoundError: there is no such folder.
      UserError: the folder is empty.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    # The gallery itself may be the output folder: its files are looked at one by one.
    paths = sorted(map(pathlib.Path, media_files.walk(folder, exclude)))
    if not paths:
        raise UserError(f"the folder {folder} is empty", reason="empty_folder")
    return paths


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
    """Returns a sha256 of the voice encoder's config and weights."""
    digest = hashlib.sha256(to_json(model.config).encode())
    # The decoder is left out: it does not change the features of voices.
    for array in model.encoder.get_weights():
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
