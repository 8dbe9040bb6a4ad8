"""Builds voice records from a manifest of clips.

    python -m data_prep.build_tfrecords --manifest=clips.csv --output_dir=data

Reads the sound of each clip, finds the speaker's face in the frame at its start (or in
the photograph that the manifest names), computes the face feature and writes TFRecord
shards with `dataset.json`, `report.json` and `quarantine.csv`. A killed job goes on
where it was when the same command is given again.
"""

from data_prep.options import JobOptions, VoiceOptions
from speech2face import flag_config


def main(job: JobOptions, voice: VoiceOptions) -> None:
    """Builds the data set that the flags describe."""
    from data_prep import jobs

    jobs.build_voice_records(job, voice)


if __name__ == "__main__":
    flag_config.run(main, JobOptions, VoiceOptions)
