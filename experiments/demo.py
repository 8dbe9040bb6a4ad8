"""The whole job on generated people, from media to a page (`make demo`).

    python -m experiments.demo --output_dir=demo

Runs the commands that a real data set takes, shows each, and ends with index.html:
playable voices, true face, F2F and S2F side by side, loss curves, metrics beside
chance. Stopped and started again, it goes on where it was.
"""

import dataclasses

from speech2face import flag_config
from speech2face.config_fields import option


@dataclasses.dataclass(frozen=True)
class DemoOptions:
    """How large a demo, and where."""

    output_dir: str = option("demo", "Folder for everything the demo makes.")
    short: bool = option(False, "A few people and iterations: a check, not a model.")


def main(options: DemoOptions) -> None:
    """Runs every stage, then writes the page."""
    from experiments import demo_job, demo_page

    demo_job.run(options.output_dir, options.short)
    page = demo_page.write(options.output_dir)
    print(f"\nopen {page}")


if __name__ == "__main__":
    flag_config.run(main, DemoOptions)
