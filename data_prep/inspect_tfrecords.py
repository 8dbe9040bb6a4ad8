"""Checks every record of a data set, prints what is in it, and draws some of it.

    python -m data_prep.inspect_tfrecords --data_dir=data --output_dir=data_report

Reads all records (checksums, schema, shapes, ranges, NaN, speakers in one split only),
prints counts, sizes, durations and labels, and writes a contact sheet and, where there
are labels, the figure of the data set (Fig. 4b). Exit status 1 if anything is wrong.
"""

import dataclasses

from speech2face import flag_config
from speech2face.config_fields import option, required


@dataclasses.dataclass(frozen=True)
class InspectOptions:
    """The flags of this command."""

    data_dir: str = required("Data set made by one of the builders.")
    output_dir: str = option("", "Folder for the pictures; '' draws none.")


def main(options: InspectOptions) -> None:
    """Inspects the data set that the flags name."""
    from data_prep import inspection

    summary = inspection.inspect(options.data_dir)
    print(inspection.describe(summary))
    if options.output_dir:
        print(*inspection.write_pictures(summary, options.output_dir), sep="\n")
    if summary["problems"]:
        raise ValueError(f"{options.data_dir} has records that are wrong, see above")


if __name__ == "__main__":
    flag_config.run(main, InspectOptions)
