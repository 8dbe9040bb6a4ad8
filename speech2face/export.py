"""Makes a model bundle, one folder with all that inference needs, from a run.

python -m speech2face.export --run_dir=runs/compact --output_dir=bundle
"""

import dataclasses

from speech2face import flag_config
from speech2face.config import option, required


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """What to export."""

    run_dir: str = required("Run folder, or a bundle.")
    output_dir: str = required("Folder of the bundle.")
    half: bool = option(False, "Store the weights as float16: half the bytes.")


def main(options: ExportOptions) -> None:
    """Writes the bundle."""
    from speech2face.inference import Speech2Face

    Speech2Face.load(options.run_dir).save(options.output_dir, options.half)
    print(f"bundle in {options.output_dir}")


if __name__ == "__main__":
    flag_config.run(main, ExportOptions)
