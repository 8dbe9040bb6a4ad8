"""Downloads AVSpeech: only the listed segment of each video, cut to the sample.

    python -m data_prep.download_avspeech --csv=avspeech_train.csv --output_dir=avspeech

`status.sqlite` has a row for each segment: its state and the reason. Kill the job at
any time; rerun the same command to resume. It requests only what no earlier run has
settled. `downloaded.csv` lists the complete segments in AVSpeech's own format, so that
`--csv=downloaded.csv` gives others the same set.
Then: `python -m data_prep.build_tfrecords --layout=avspeech`.
"""

from data_prep.download import job
from data_prep.download.job import DownloadOptions
from speech2face.options import run_command


def main(options: DownloadOptions) -> None:
    """Downloads the listed segments and prints a summary."""
    print(job.describe(job.download(options)))


if __name__ == "__main__":
    run_command(main, DownloadOptions)
