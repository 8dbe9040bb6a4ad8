"""Trains the voice encoder: from a data set and a face decoder to a run folder.

The steps are those of `speech2face.training.job`.
"""

import contextlib
import dataclasses

from speech2face import locks
from speech2face.artifacts import decoder_bundle, run_folder
from speech2face.artifacts.decoder_bundle import DecoderBundle
from speech2face.artifacts.decoder_files import DECODER_DIR
from speech2face.config import AugmentConfig, VoiceTrainingConfig
from speech2face.data import dataset_info, input_pipeline
from speech2face.errors import UserError
from speech2face.files import PathLike, as_path
from speech2face.models import speaker_encoder, voice_encoder
from speech2face.training import distribution, frozen_embeddings, speaker_head
from speech2face.training.job import (
    Job,
    check_same_recognizer,
    run_loop,
    set_seed,
    validates,
)
from speech2face.training.validation import VoiceValidator
from speech2face.training.voice import VoiceTrainer


@dataclasses.dataclass(frozen=True)
class VoiceJob(Job):
    """A training of the voice encoder against `decoder`, the frozen face decoder."""

    config: VoiceTrainingConfig
    trainer: VoiceTrainer
    decoder: DecoderBundle


def train_voice_encoder(
    config: VoiceTrainingConfig,
    data_dir: PathLike,
    decoder_dir: PathLike,
    run_dir: PathLike,
) -> int:
    """Trains the voice encoder in `run_dir`, or resumes; returns the iteration reached.

    Args:
      config: everything about networks, losses and loop.
      data_dir: voice data set of `data_prep.build_tfrecords`.
      decoder_dir: trained face decoder.
      run_dir: run folder to create or to resume.

    Raises:
      FileNotFoundError: data set or decoder are not there.
      UserError: they do not fit together, are damaged, or `run_dir` is another run.
    """
    with distribution.scope(config.loop.strategy), contextlib.ExitStack() as held:
        job = prepare_voice_training(config, data_dir, decoder_dir)
        if distribution.is_chief():
            held.enter_context(locks.locked(run_dir))
            run_folder.prepare_run(run_dir, config, data_dir, job.must_match)
            # With its decoder, the run folder is all that inference needs.
            job.decoder.save(as_path(run_dir) / DECODER_DIR)
        validate = None
        if validates(config.loop, job.info):
            validate = VoiceValidator(
                data_dir, job.info, config, job.trainer, job.decoder, run_dir
            )
        # After the run folder's checks: embedding all clips may take hours.
        return run_loop(prepare_encoder(job), run_dir, validate)


def prepare_voice_training(
    config: VoiceTrainingConfig, data_dir: PathLike, decoder_dir: PathLike
) -> VoiceJob:
    """Reads and builds what `train_voice_encoder` needs before it writes anything.

    Args:
      config: everything about networks, losses and loop.
      data_dir: voice data set of `data_prep.build_tfrecords`.
      decoder_dir: trained face decoder.

    Raises:
      FileNotFoundError: data set or decoder are not there.
      UserError: they do not fit together, or are damaged.
    """
    info = dataset_info.read(
        data_dir, kind="voice", check_sizes=not config.loop.skip_corrupt
    )
    parse = input_pipeline.voice_parser(
        info, config.audio, config.augment, config.loop.seed
    )
    n_steps = input_pipeline.n_iterations(info, config.loop)
    decoder = decoder_bundle.load(decoder_dir)
    check_same_recognizer(info, decoder.recognizer, data_dir, decoder_dir)
    voice_encoder.check_clip_secs(config.voice_encoder, config.audio.clip_secs)
    if config.loop.host_spectrogram and config.voice_encoder.encoder != "table1":
        raise UserError(
            "--host_spectrogram needs --encoder=table1: the other encoder has no such "
            "spectrogram"
        )
    set_seed(config.loop)  # after the decoder, which draws weights before it loads them
    face_norm = decoder.normalizer.mean_norm(info.feature_statistics)
    trainer = VoiceTrainer(config, decoder, face_norm)
    return VoiceJob(
        config=config,
        data_dir=data_dir,
        info=info,
        parse=parse,
        n_steps=n_steps,
        trainer=trainer,
        must_match={"data_set": info.checksum, "face_decoder": decoder.checksum()},
        decoder=decoder,
    )


def prepare_encoder(job: VoiceJob) -> VoiceJob:
    """Fits a new head on the speaker recognizer; moves the fixed part to the parser.

    The parser may compute the encoder's fixed first part: the frozen recognizer then
    runs once for each clip, and spectrograms are computed on the host's cores.
    """
    parse = job.parse
    if job.config.voice_encoder.encoder == "speaker_embedding":
        clips = _embed_training_clips(job)
        # A checkpoint, if there is one, overwrites this.
        speaker_head.fit(
            job.trainer.model,
            job.config.voice_encoder,
            clips.vectors,
            job.decoder.normalizer.normalize(clips.face_features),
            clips.speakers,
        )
        if frozen_embeddings.is_possible(job.config):
            parse = frozen_embeddings.embedding_parser(clips, parse)
    elif job.config.loop.host_spectrogram:
        parse = input_pipeline.spectrogram_parser(parse)
    return dataclasses.replace(job, parse=parse)


def _embed_training_clips(job: VoiceJob) -> frozen_embeddings.EmbeddedClips:
    loop = job.config.loop
    embed, _ = speaker_encoder.split_after_embedder(job.trainer.model)
    parse = input_pipeline.voice_parser(
        job.info, job.config.audio, AugmentConfig(), loop.seed
    )
    return frozen_embeddings.embed_split(
        job.data_dir, job.info, "train", parse, embed, loop.skip_corrupt
    )
