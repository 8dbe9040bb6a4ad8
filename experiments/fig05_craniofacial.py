"""Fig. 5: craniofacial measures of S2F against those of F2F.

    python -m experiments.fig05_craniofacial --data_dir=data/avspeech \\
        --run_dir=runs/paper --output_dir=results
    python -m experiments.fig05_craniofacial --f2f_dir=faces/f2f --s2f_dir=faces/s2f

The paper reports Pearson's r of twelve measures over 1,000 clips, all with p < 0.001,
the highest for the nose (width 0.35, index 0.38). Here each has its n, p and a
bootstrap interval over speakers, and samples are drawn with their landmarks. The second
form takes two folders of aligned faces whose files have the same names.
"""

import dataclasses
from typing import Literal

from speech2face import flag_config
from speech2face.config_fields import option


@dataclasses.dataclass(frozen=True)
class CraniofacialOptions:
    """Which faces: of a model on a data set, or of two folders."""

    data_dir: str = option("", "Voice data set.")
    run_dir: str = option(
        "", "Run folder or bundle; by default the compact model that ships."
    )
    split: str = option("test", "Split to measure.")
    n_examples: int = option(1000, "Random clips of a larger split (Fig. 5: 1,000).")
    sample_seed: int = option(0, "Draws the clips.")
    output_dir: str = option("results", "Folder for the table and the picture.")
    landmarks: Literal["detected", "decoder"] = option(
        "detected",
        "Landmarks of the decoded images by dlib, as in the paper (by DEST), or the "
        "points that the face decoder itself predicts.",
    )
    f2f_dir: str = option("", "Folder of faces from faces, instead of a model.")
    s2f_dir: str = option("", "Folder of faces from voices, of the same names.")


def main(options: CraniofacialOptions) -> None:
    """Measures, prints and writes."""
    from experiments import common, craniofacial
    from experiments.material import Material
    from experiments.options import Inputs

    if options.f2f_dir or options.s2f_dir:
        if options.data_dir or not (options.f2f_dir and options.s2f_dir):
            raise ValueError("give --data_dir, or both of --f2f_dir and --s2f_dir")
        result = craniofacial.run_on_folders(
            options.f2f_dir, options.s2f_dir, options.sample_seed
        )
    elif not options.data_dir:
        raise ValueError("give --data_dir, or both of --f2f_dir and --s2f_dir")
    else:
        names = [field.name for field in dataclasses.fields(Inputs)]
        inputs = Inputs(**{name: getattr(options, name) for name in names})
        result = craniofacial.run(Material(inputs), options.landmarks)
    common.finish(result, options.output_dir)


if __name__ == "__main__":
    flag_config.run(main, CraniofacialOptions)
