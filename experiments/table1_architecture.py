"""Table 1 as built, layer by layer, beside the paper's; also VGG-Face and the decoder.

    python -m experiments.table1_architecture --output_dir=results

Writes table1_architecture.md and .csv. Nothing is trained or loaded; the networks are
built at paper size without memory for their weights.
"""

import dataclasses

from speech2face import flag_config
from speech2face.config_fields import option


@dataclasses.dataclass(frozen=True)
class Table1Options:
    """Where to write."""

    output_dir: str = option("results", "Folder for the table.")


def main(options: Table1Options) -> None:
    """Prints the tables and writes them."""
    from experiments import architecture_tables

    tables = architecture_tables.paper_tables()
    print(architecture_tables.to_markdown(tables))
    for path in architecture_tables.write(tables, options.output_dir):
        print(f"wrote {path}")


if __name__ == "__main__":
    flag_config.run(main, Table1Options)
