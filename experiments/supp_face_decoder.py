"""The face decoder, looked at: faces compared, walks between faces, branches alone.

    python -m experiments.supp_face_decoder --data_dir=data/avspeech --split=val \\
        --compared_dirs="authors' F2F=f2f,authors' S2F=s2f" --output_dir=results

Pictures in the folders are named <clip_id>.jpg or .png. They and ours are read back by
the face recognizer, so that decoders and models compare on the same clips.
"""

import dataclasses
from typing import Tuple

from experiments.options import Inputs
from speech2face import flag_config
from speech2face.config_fields import option


@dataclasses.dataclass(frozen=True)
class ComparedOptions:
    """What is shown beside the model's own faces."""

    compared_dirs: Tuple[str, ...] = option(
        (), "Folders of other pictures of the same clips, label=folder each."
    )
    n_shown: int = option(12, "How many random clips to show.")


def main(inputs: Inputs, options: ComparedOptions) -> None:
    """Measures, prints and writes."""
    from experiments import common, decoder_views
    from experiments.material import Material

    material = Material(inputs)
    result = decoder_views.run(material, options.compared_dirs, options.n_shown)
    common.finish(result, inputs.output_dir)
    common.finish(decoder_views.run_space(material), inputs.output_dir)


if __name__ == "__main__":
    flag_config.run(main, Inputs, ComparedOptions)
