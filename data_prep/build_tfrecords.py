"""Builds voice records from clips: of a manifest, AVSpeech, VoxCeleb, or a folder.

    python -m data_prep.build_tfrecords --manifest=clips.csv --output_dir=data
    python -m data_prep.build_tfrecords --layout=avspeech --output_dir=data \\
        --manifest=avspeech_train.csv --test_list=avspeech_test.csv --media_dir=avspeech

Reads the sound of each clip, finds the speaker's face in the frame at its start (or in
the photograph that the manifest names), computes the face feature and writes TFRecord
shards with `dataset.json`, `report.json` and `quarantine.csv`. A killed job goes on
where it was when the same command is given again.
"""

from data_prep.options import JobOptions, LayoutOptions, VoiceOptions
from speech2face import flag_config


def main(job: JobOptions, layout: LayoutOptions, voice: VoiceOptions) -> None:
    """Builds the data set that the flags describe."""
    from data_prep import jobs

    jobs.build_voice_records(job, voice, layout)


if __name__ == "__main__":
    flag_config.run(main, JobOptions, LayoutOptions, VoiceOptions)
