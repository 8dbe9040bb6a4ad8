"""Fig. 12: true faces, F2F and S2F as cartoons."""

from typing import List

import numpy as np

from experiments import plots
from experiments.common import Result
from experiments.material import Material
from speech2face.cartoon import cartoonize
from speech2face.reconstruction import LABEL


def run(material: Material, n: int = 6) -> Result:
    """True face, S2F, and the cartoon of each."""
    predictions = material.predictions()
    indices = material.shown(n)
    photographs = material.photographs(indices)
    faces = material.faces(predictions.voice_features[indices]).images
    f2f = material.faces(predictions.face_features[indices]).images
    sheet: List[List[np.ndarray]] = [
        [true, cartoonize(true), cartoonize(from_face), voice, cartoonize(voice)]
        for true, from_face, voice in zip(photographs, f2f, faces)
    ]
    return Result(
        name="fig12_cartoon",
        title="Fig. 12. Speech to cartoon",
        shows="The true face, its cartoon, the cartoon of F2F, S2F, and the cartoon of "
        "S2F.",
        picture=plots.face_sheet(
            sheet, ["true face", "cartoon", "F2F cartoon", "S2F", "S2F cartoon"]
        ),
        notes=[
            "the paper uses a closed app of a phone that draws a personal emoji from a "
            "picture; ours is a stylisation of the picture itself",
            f"S2F and F2F: each a {LABEL}",
        ],
        provenance=material.provenance(),
    )
