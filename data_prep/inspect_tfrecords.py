"""Checks every record of a data set, prints a summary, and draws some records.

    python -m data_prep.inspect_tfrecords --data_dir=data --output_dir=data_report

Reads all records (checksums, schema, shapes, ranges, NaN, each speaker in one split),
prints counts, sizes, durations and labels, and writes a contact sheet and, if there are
labels, a figure of them (Fig. 4b). Exits with status 1 if anything is wrong.
"""

import dataclasses

from speech2face.data import dataset_info
from speech2face.errors import UserError
from speech2face.options import Options, option, required, run_command


@dataclasses.dataclass(frozen=True)
class InspectOptions(Options):
    """The flags of this command."""

    data_dir: str = required(
        "Data set made by one of the builders.", exists="folder", bucket=True
    )
    output_dir: str = option("", "Folder for the pictures; '' draws none.")


def main(options: InspectOptions) -> None:
    """Inspects the data set that the flags name."""
    # Before TensorFlow: is it a data set at all?
    dataset_info.read(options.data_dir, check_sizes=False)

    from data_prep.jobs import inspection

    summary = inspection.inspect(options.data_dir)
    print(inspection.describe(summary))
    if options.output_dir:
        print(*inspection.write_pictures(summary, options.output_dir), sep="\n")
    if summary["problems"]:
        raise UserError(
            f"{options.data_dir} has records that are wrong, see above",
            reason="wrong_records",
        )


if __name__ == "__main__":
    run_command(main, InspectOptions)
