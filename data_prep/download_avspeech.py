"""Downloads AVSpeech: of each video only the segment, cut to the sample.

    python -m data_prep.download_avspeech --csv=avspeech_train.csv --output_dir=avspeech

A row of `status.sqlite` says what became of each segment. The same command goes on
where it was and asks for nothing again whose answer is final; `downloaded.csv` lists
what there is, in AVSpeech's own form: `--csv=downloaded.csv` gives others the same set.
Then: `python -m data_prep.build_tfrecords --layout=avspeech`.
"""

from data_prep.options import DownloadOptions
from speech2face import flag_config


def main(options: DownloadOptions) -> None:
    """Downloads what the flags name, and says what there is."""
    from data_prep import download_job

    print(download_job.describe(download_job.download(options)))


if __name__ == "__main__":
    flag_config.run(main, DownloadOptions)
