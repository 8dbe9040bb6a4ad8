"""Batches of a small voice data set."""

from speech2face.config import AudioConfig, AugmentConfig, LoopConfig
from speech2face.data import input_pipeline
from speech2face.data.record_stream import WHOLE_BATCH


def batches(
    dataset,
    first_step=0,
    augment=AugmentConfig(),  # noqa: B008
    damage=None,
    share=WHOLE_BATCH,
    **loop,
):
    folder, info = dataset
    loop = LoopConfig(**{"batch_size": 4, "epochs": 3.0, "shuffle_buffer": 8, **loop})
    parse = input_pipeline.voice_parser(
        info, AudioConfig(clip_secs=0.2), augment, loop.seed
    )
    return input_pipeline.training_batches(
        folder, info, loop, parse, first_step, share, damage
    )


def clip_ids(stream):
    return [clip for batch in stream for clip in batch["clip_id"].numpy()]
