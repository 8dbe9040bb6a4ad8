"""Ranks a folder of faces by a voice, or a folder of recordings by a face.

    python -m speech2face.retrieve --audio=voice.wav --gallery=photographs \\
        --output_dir=out
    python -m speech2face.retrieve --face=photo.jpg --gallery=recordings \\
        --output_dir=out

Writes retrieval.png (the query and the nearest files) and results.json (the whole
ranking, and each file that could not be used with its reason).
"""

import dataclasses
import pathlib
from typing import Literal

from speech2face import files
from speech2face.artifacts.run_folder import check_model_folder
from speech2face.errors import UserError
from speech2face.messages import counted
from speech2face.options import Options, option, required, run_command


@dataclasses.dataclass(frozen=True)
class RetrieveOptions(Options):
    """Gallery and query."""

    gallery: str = required(
        "Folder of photographs (--audio) or recordings (--face).", exists="folder"
    )
    output_dir: str = required("Folder for the picture and the ranking.")
    audio: str = option("", "Query: a recording, audio or video.", exists="file")
    face: str = option(
        "", "Query: a photograph; the largest face in it counts.", exists="file"
    )
    model_dir: str = option(
        "",
        "Bundle or run folder; by default the compact model that ships.",
        exists="folder",
    )
    top_k: int = option(
        5, "Number of nearest files to show (Fig. 7: 5).", minimum=1, maximum=1_000_000
    )
    metric: Literal["cos", "l2", "l1"] = option("cos", "Distance between features.")
    vgg_face_weights: str = option(
        "",
        "Output of speech2face.import_vgg_face, for models trained on VGG-Face.",
        exists="file",
    )
    cache_dir: str = option(
        "",
        "Folder that keeps the features of measured files; by default `features` in "
        "--output_dir.",
    )


def main(options: RetrieveOptions) -> None:
    """Ranks, writes, and prints the nearest."""
    if bool(options.audio) == bool(options.face):
        raise UserError("give either --audio or --face")
    check_model_folder(options.model_dir)
    from speech2face.inference import retrieval
    from speech2face.inference.model import Speech2Face

    for name in (retrieval.PICTURE_FILE, retrieval.RESULTS_FILE):
        files.check_replaceable(pathlib.Path(options.output_dir) / name)
    model = Speech2Face.load(options.model_dir or None)
    cache_dir = options.cache_dir or f"{options.output_dir}/features"
    voices = retrieval.VoiceSource(model, cache_dir)
    faces = retrieval.FaceSource(model, cache_dir, options.vgg_face_weights)
    query = options.audio or options.face
    query_source, gallery_source = (voices, faces) if options.audio else (faces, voices)
    ranking = retrieval.rank(
        query,
        query_source,
        options.gallery,
        gallery_source,
        options.metric,
        exclude=(options.output_dir, cache_dir),
    )
    retrieval.write(
        ranking, query_source, gallery_source, options.output_dir, options.top_k
    )
    for place, match in enumerate(ranking.matches[: options.top_k], 1):
        print(f"{place}. {match.distance:.3f}  {match.path}")
    n_ranked = counted(len(ranking.matches), "file")
    print(
        f"{n_ranked} ranked, {len(ranking.skipped)} skipped; "
        f"details in {options.output_dir}"
    )


if __name__ == "__main__":
    run_command(main, RetrieveOptions)
