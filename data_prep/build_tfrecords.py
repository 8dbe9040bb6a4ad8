"""Builds voice records from clips: of a manifest, AVSpeech, VoxCeleb, or a folder.

    python -m data_prep.build_tfrecords --manifest=clips.csv --output_dir=data
    python -m data_prep.build_tfrecords --layout=avspeech --output_dir=data \\
        --manifest=avspeech_train.csv --test_list=avspeech_test.csv --media_dir=avspeech

Reads the sound of each clip, finds the speaker's face in the frame at its start (or in
the photograph that the manifest names), computes the face feature and writes TFRecord
shards with `dataset.json`, `report.json` and `quarantine.csv`. Kill the job at any
time; rerun the same command to resume.
"""

from data_prep.clips.layouts import LayoutOptions
from data_prep.jobs.voice import VoiceOptions, build_voice_records
from data_prep.options import JobOptions, use_one_thread
from speech2face.options import run_command


def main(job: JobOptions, layout: LayoutOptions, voice: VoiceOptions) -> None:
    """Builds the data set that the flags describe.

    Args:
      job: inputs, output and workers.
      layout: layout of the media on disk.
      voice: encoding of the sound, and what else only voice records have.
    """
    use_one_thread()
    build_voice_records(job, voice, layout)


if __name__ == "__main__":
    run_command(main, JobOptions, LayoutOptions, VoiceOptions)
