"""Builds face records, on which the face decoder is trained, from photographs.

    python -m data_prep.build_decoder_tfrecords --manifest=faces.csv --output_dir=faces
    python -m data_prep.build_decoder_tfrecords --layout=hqvoxceleb \\
        --media_dir=HQVoxCeleb --output_dir=faces

Makes of each photograph the face feature, and a normalized face (frontal, neutral, eyes
level and 55 px apart, on white) with its landmarks and its texture on the mean shape
(Cole et al. 2017). A `normalized_face` that the manifest names replaces the one made
from the photograph. Writes TFRecord shards with `dataset.json`, `report.json`,
`quarantine.csv` and contact sheets. Kill the job at any time; rerun the same command to
resume.
"""

from data_prep.clips.layouts import FaceLayoutOptions
from data_prep.jobs.face import FaceOptions, build_face_records
from data_prep.options import JobOptions, use_one_thread
from data_prep.stages.face_filter import FilterOptions
from speech2face.options import run_command


def main(
    job: JobOptions, layout: FaceLayoutOptions, face: FaceOptions, limits: FilterOptions
) -> None:
    """Builds the data set that the flags describe.

    Args:
      job: inputs, output and workers.
      layout: layout of the photographs on disk.
      face: averages and morphs.
      limits: limits that a photograph must keep.
    """
    use_one_thread()
    build_face_records(job, face, limits, layout)


if __name__ == "__main__":
    run_command(main, JobOptions, FaceLayoutOptions, FaceOptions, FilterOptions)
