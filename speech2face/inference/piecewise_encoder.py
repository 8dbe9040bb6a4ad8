"""Voice encoders on recordings of any length, with the result of the whole.

A voice encoder is divided at its mean over time (`pieces.TimeMean`). Before the mean,
pieces of several recordings share a batch and the outputs are summed; after it, the
head maps the mean to v_s. Nothing is approximated.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from speech2face.audio import spectrogram
from speech2face.audio.recordings import Recording
from speech2face.config import VoiceEncoderConfig
from speech2face.inference.pieces import Cutter, Piece, TimeMean, cut_or_pad
from speech2face.models import speaker_embedding, speaker_encoder, voice_encoder
from speech2face.paper import HOP_SAMPLES, WINDOW_SAMPLES

# Larger pieces compute fewer samples twice and take more memory.
_TABLE_1_OUTPUTS = 16  # 12 s: 16 % of a piece's frames are computed twice
# 96 s. Fewer take longer, since CAM++ has many small layers; 32 take as long, and more
# memory (docs/performance.md).
_EMBEDDER_WINDOWS = 16


class PiecewiseEncoder:
    """A voice encoder that computes its means over time piece by piece.

    Attributes:
      time_mean: the mean.
    """

    def __init__(self, encoder: keras.Model, config: VoiceEncoderConfig):
        """Divides an encoder; the result shares its weights.

        Args:
          encoder: what `voice_encoder.build_voice_encoder` returned.
          config: what it was built from.
        """
        divide = _divide_table_1
        if config.encoder == "speaker_embedding":
            divide = _divide_speaker_embedding
        self.time_mean, head = divide(encoder, config)
        any_batch = tf.TensorSpec([None, None], tf.float32)
        bound = tf.TensorSpec([None], tf.int32)
        # Of any number of recordings, without a warning of TensorFlow at the fifth.
        self._head = tf.function(head, autograph=False, reduce_retracing=True)
        self._sums = tf.function(
            _sum_of_outputs(self.time_mean.outputs),
            [any_batch, bound, bound],
            autograph=False,
        )

    def features(self, recordings: Sequence[Recording]) -> np.ndarray:
        """Returns v_s [b, d] float32 of recordings of any lengths.

        Each must be long enough for the encoder: `voice_encoder.MIN_SAMPLES`.
        """
        sums: list[Any] = [0.0] * len(recordings)
        for batch in _batches(self.time_mean, recordings):
            members, pieces = zip(*batch)
            for member, piece_sum in zip(members, self.sums(pieces)):
                # float64: an hour has thousands of terms.
                sums[member] = sums[member] + piece_sum.astype(np.float64)
        n_outputs = [self.time_mean.n_outputs(r.n_samples) for r in recordings]
        return self.head(np.stack([s / n for s, n in zip(sums, n_outputs)]))

    def sums(self, pieces: Sequence[Piece]) -> np.ndarray:
        """Returns the weighted sum over the counted outputs of each piece, [b, ...].

        Args:
          pieces: b pieces; equally long ones if the mean is padded.
        """
        longest = max(len(piece.samples) for piece in pieces)
        first = np.array([piece.first for piece in pieces], np.int32)
        end = np.array([piece.end for piece in pieces], np.int32)
        samples = np.stack([cut_or_pad(piece.samples, longest) for piece in pieces])
        sums = self._sums(samples, first, end).numpy()
        weights = np.array([piece.weight for piece in pieces], np.float32)
        return sums * weights.reshape([-1] + [1] * (sums.ndim - 1))

    def head(self, means: np.ndarray) -> np.ndarray:
        """Returns v_s [b, d] float32 of values [b, ...] of the mean over time."""
        return self._head(tf.constant(means, tf.float32)).numpy()


def _batches(
    mean: TimeMean, recordings: Sequence[Recording]
) -> Iterator[list[tuple[int, Piece]]]:
    """Yields lists of (index of recording, piece), padded no longer than one piece.

    Recordings are sorted by length, so that the pieces of a batch need little padding.
    """
    batch: list[tuple[int, Piece]] = []
    for index in sorted(range(len(recordings)), key=lambda i: recordings[i].n_samples):
        for piece in _pieces(mean, recordings[index]):
            lengths = [len(piece.samples), *(len(p.samples) for _, p in batch)]
            is_too_large = max(lengths) * len(lengths) > mean.piece_samples
            if batch and (is_too_large or (mean.padded and len(set(lengths)) > 1)):
                yield batch
                batch = []
            batch.append((index, piece))
    if batch:
        yield batch


def _pieces(mean: TimeMean, recording: Recording) -> Iterator[Piece]:
    cutter = Cutter(mean)
    for block in recording.blocks():
        cutter.push(block)
        yield from cutter.pieces(min_outputs=mean.piece_outputs)
    yield from cutter.last_pieces(recording.n_samples)


def _sum_of_outputs(outputs: Callable[[Any], Any]) -> Callable[..., Any]:
    """Returns `outputs`, summed over time from `first` [b] to before `end` [b]."""

    def sums(waveforms: Any, first: Any, end: Any) -> Any:
        values = tf.cast(outputs(waveforms), tf.float32)  # [b, k, ...]
        index = tf.range(tf.shape(values)[1])
        is_counted = (index >= first[:, None]) & (index < end[:, None])
        return tf.einsum("bk,bk...->b...", tf.cast(is_counted, tf.float32), values)

    return sums


_Divided = tuple[TimeMean, Callable[[Any], Any]]


def _divide_table_1(encoder: keras.Model, config: VoiceEncoderConfig) -> _Divided:
    convolutions, head = voice_encoder.split_at_time_average(
        encoder.get_layer("table_1")
    )
    geometry = voice_encoder.time_geometry(config.padding)
    mean = TimeMean(
        outputs=lambda waveforms: convolutions(
            spectrogram.spectrogram(waveforms), training=False
        ),
        n_outputs=lambda n: geometry.n_outputs(spectrogram.n_frames(n)),
        stride_samples=geometry.stride_frames * HOP_SAMPLES,
        receptive_field_samples=(
            (geometry.span_frames - 1) * HOP_SAMPLES + WINDOW_SAMPLES
        ),
        piece_outputs=_TABLE_1_OUTPUTS,
        live_outputs=_TABLE_1_OUTPUTS,
        n_warm_up=geometry.n_lead,
        padded=config.padding == "same",
    )
    return mean, lambda means: head(means, training=False)


def _divide_speaker_embedding(
    encoder: keras.Model, config: VoiceEncoderConfig
) -> _Divided:
    del config  # all embedders are alike
    layer = encoder.get_layer("speaker_embedding").get_layer("campplus")
    _, head = speaker_encoder.split_after_embedder(encoder)
    window = speaker_embedding.WINDOW_SAMPLES

    def outputs(waveforms: Any) -> Any:
        # [b, k * 96000] -> [b, k, 1216]
        n_windows = tf.shape(waveforms)[1] // window
        vectors = layer.embed_windows(tf.reshape(waveforms, [-1, window]))
        return tf.reshape(vectors, [-1, n_windows, vectors.shape[-1]])

    mean = TimeMean(
        outputs=outputs,
        n_outputs=lambda n: n / window,
        stride_samples=window,
        receptive_field_samples=window,
        piece_outputs=_EMBEDDER_WINDOWS,
        live_outputs=1,  # windows do not overlap
        ends_with_sound=True,
    )
    return mean, lambda means: head(means, training=False)
