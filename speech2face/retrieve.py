"""Ranks a folder of faces by a voice, or a folder of recordings by a face.

    python -m speech2face.retrieve --audio=voice.wav --gallery=photographs \\
        --output_dir=out
    python -m speech2face.retrieve --face=photo.jpg --gallery=recordings \\
        --output_dir=out

Writes retrieval.png (the query and its nearest files) and results.json (all of them,
and every file that could not be used with its reason).
"""

import dataclasses
from typing import Literal

from speech2face import flag_config
from speech2face.config_fields import option, required


@dataclasses.dataclass(frozen=True)
class RetrieveOptions:
    """What to rank, by what."""

    gallery: str = required("Folder of photographs (--audio) or recordings (--face).")
    output_dir: str = required("Folder for the picture and the ranking.")
    audio: str = option("", "Query: a recording, audio or video.")
    face: str = option("", "Query: a photograph; of its faces, the largest counts.")
    model_dir: str = option(
        "", "Bundle or run folder; by default the compact model that ships."
    )
    top_k: int = option(5, "How many of the nearest to show (Fig. 7: 5).")
    metric: Literal["cos", "l2", "l1"] = option("cos", "Distance of features.")
    vgg_face_weights: str = option(
        "", "Output of speech2face.import_vgg_face, for models of its features."
    )
    cache_dir: str = option(
        "",
        "Folder of features of files seen before, by content; by default `features` in "
        "--output_dir.",
    )


def main(options: RetrieveOptions) -> None:
    """Ranks, writes, and prints the nearest."""
    if bool(options.audio) == bool(options.face):
        raise ValueError("give either --audio or --face")
    if options.top_k < 1:
        raise ValueError(f"--top_k is {options.top_k}; it must be at least 1")
    from speech2face import retrieval
    from speech2face.inference import Speech2Face

    model = Speech2Face.load(options.model_dir)
    cache_dir = options.cache_dir or f"{options.output_dir}/features"
    voices = retrieval.Recordings(model, cache_dir)
    photographs = retrieval.Photographs(model, cache_dir, options.vgg_face_weights)
    by, of = (voices, photographs) if options.audio else (photographs, voices)
    query = options.audio or options.face
    ranking = retrieval.rank(query, by, options.gallery, of, options.metric)
    retrieval.write(ranking, by, of, options.output_dir, options.top_k)
    for place, match in enumerate(ranking.matches[: options.top_k], 1):
        print(f"{place}. {match.distance:.3f}  {match.path}")
    print(
        f"{len(ranking.matches)} files ranked, {len(ranking.skipped)} skipped; "
        f"details in {options.output_dir}"
    )


if __name__ == "__main__":
    flag_config.run(main, RetrieveOptions)
