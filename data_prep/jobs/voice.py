"""The voice record job: clips in, TFRecord shards with `dataset.json` and a report out.

The steps stand in order in `_build`: plan, stages, report, shards.
"""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any, Literal

from data_prep.clips import layouts, manifest
from data_prep.clips.layouts import LayoutOptions
from data_prep.clips.manifest import Clip
from data_prep.jobs import record_job
from data_prep.options import JobOptions
from data_prep.stages.work_folder import WorkFolder
from speech2face.files import as_path
from speech2face.options import Options, option


@dataclasses.dataclass(frozen=True)
class VoiceOptions(Options):
    """Options of voice records alone."""

    audio_encoding: Literal["pcm", "flac"] = option(
        "pcm", "16-bit samples, or FLAC (about 60 % of the bytes)."
    )
    max_audio_secs: float = option(
        6.0,
        "Keep this much of a clip's sound (Sec. 3: 6 s); 0 keeps all.",
        minimum=0,
        maximum=86_400,
    )
    channel: int = option(
        -1,
        "Channel of sound that has several, from 0 (Sec. 3: 'a single channel'); -1 "
        "takes the mean of all, or the loudest where the mean has much less power "
        "(docs/decisions/one-channel.md).",
        minimum=-1,
        maximum=1023,
    )


MANIFEST = LayoutOptions()  # the default layout: a manifest


def build_voice_records(
    options: JobOptions, voice: VoiceOptions, layout: LayoutOptions = MANIFEST
) -> dict[str, Any]:
    """Builds a voice data set in `options.output_dir`, or resumes building it.

    Args:
      options: inputs, output, recognizer and workers.
      voice: encoding and length of the sound.
      layout: how the media are stored.

    Returns:
      The report: numbers of clips, records and rejections by split, stage and reason.

    Raises:
      FileNotFoundError, UserError, OSError: one line on what is wrong with the flags,
        the manifest, the output folder or the disk.
    """
    record_job.check_options(options)
    clips = layouts.read_clips(options, layout)
    job = record_job.describe(options, clips, "voice", dataclasses.asdict(voice))
    return record_job.build(options, job, lambda: _build(options, voice, clips, job))


def _build(
    options: JobOptions, voice: VoiceOptions, clips: list[Clip], job: dict[str, Any]
) -> dict[str, Any]:
    begin_secs = time.time()
    work = WorkFolder(as_path(options.output_dir) / record_job.WORK_DIR)
    work.start(job, plan_by_clip(clips, options.clips_per_chunk))

    from data_prep.jobs import dataset_writer
    from data_prep.stages import voice as voice_stages

    stages = voice_stages.voice_stages(
        options.recognizer_choice,
        voice.audio_encoding,
        voice.max_audio_secs,
        voice.channel,
    )
    record_job.run_pass(options, work, stages, "clips", options.n_workers)

    report = dataset_writer.write_report(
        options.output_dir, [work], time.time() - begin_secs
    )
    # After the report, which says why no clip gave a record.
    dataset_writer.require_records(options.output_dir, work)
    dataset_writer.write_dataset(
        options.output_dir, [work], "voice", job, options.n_shards
    )
    work.remove()
    record_job.print_report(options.output_dir, report)
    return report


def plan_by_clip(clips: Sequence[Clip], clips_per_chunk: int) -> list[list[Clip]]:
    """Returns chunks of one split each, in the order of the clips' hashes."""
    chunks = []
    for split in manifest.SPLITS:
        members = [clip for clip in clips if clip.split == split]
        members.sort(key=lambda clip: clip.sort_key)
        starts = range(0, len(members), clips_per_chunk)
        chunks += [members[i : i + clips_per_chunk] for i in starts]
    return chunks
