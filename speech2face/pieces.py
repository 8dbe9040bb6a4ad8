"""Voice encoders on recordings of any length: in pieces, with the result of the whole.

Every voice encoder averages over time, Table 1 the outputs of its last convolution,
a speaker embedder the embeddings of its windows, and what follows sees the mean only.
So a recording can be cut: a piece holds the samples of some outputs, the next one
begins `stride_samples` behind the last of them, and the two overlap by what an output
sees beyond its stride. Nothing is approximated; memory is that of a piece. Pieces of
several recordings share a batch.

An embedder also brings a recording to a level. That needs the power of the whole
beforehand: see `Recording`.
"""

import dataclasses
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence

import keras
import numpy as np
import tensorflow as tf

from speech2face import audio
from speech2face.config import VoiceEncoderConfig
from speech2face.models import speaker_embedding, voice_encoder
from speech2face.recordings import Recording

_TABLE_1_OUTPUTS = 16  # 12 s: 16 % of a piece's frames are computed twice
_WINDOWS = 64  # 49 s


@dataclasses.dataclass(frozen=True)
class TimeMean:
    """One mean over time in an encoder, and how its terms follow from the samples.

    Output k sees `span_samples` from sample k * `stride_samples` on, counted from
    `n_before` samples of silence before the recording.

    Attributes:
      outputs: waveforms [b, n] at their level -> [b, k, ...].
      n_outputs: samples of a recording -> outputs that it has; those that need samples
        behind its end see silence, or with `padded` the padding of the convolutions.
      piece_outputs: outputs of a full piece.
      n_lead: first outputs of a piece that are wrong unless it begins the recording,
        because of the convolutions' padding.
      padded: whether there is such padding.
      gain: mean square of a recording -> factor to its level; None: 1 whatever it is.
    """

    outputs: Callable[[Any], Any]
    n_outputs: Callable[[int], int]
    stride_samples: int
    span_samples: int
    piece_outputs: int
    n_before: int = 0
    n_lead: int = 0
    padded: bool = False
    gain: Optional[Callable[[float], float]] = None

    @property
    def piece_samples(self) -> int:
        """Length of a full piece."""
        n_strides = self.piece_outputs + self.n_lead - 1
        return n_strides * self.stride_samples + self.span_samples

    def level(self, mean_square: float) -> float:
        """Returns what a recording of that mean square is multiplied by."""
        return self.gain(mean_square) if self.gain else 1.0


@dataclasses.dataclass(frozen=True)
class Piece:
    """Samples [n] float32 and which of their outputs count: `first` to `last` - 1."""

    samples: np.ndarray
    first: int
    last: int


class Cutter:
    """Cuts a recording, coming in blocks of any size, into the pieces of a `TimeMean`.

    Attributes:
      n_cut: outputs that pieces were given out for.
    """

    def __init__(self, part: TimeMean):
        """Begins a recording."""
        self._part = part
        self._blocks = [np.zeros(part.n_before, np.float32)]
        self._n_held = part.n_before
        self._origin = 0  # the output that begins where the held samples do
        self.n_cut = 0

    def push(self, block: np.ndarray) -> None:
        """Adds samples [n]."""
        self._blocks.append(block)
        self._n_held += len(block)

    def pieces(self, n_least: int) -> Iterator[Piece]:
        """Gives out what is whole, full pieces and one of at least `n_least` outputs.

        What comes later does not change the outputs of these.
        """
        while (n_whole := self._n_whole()) >= n_least:
            n_wanted = min(n_whole, self._part.piece_outputs)
            n_skipped = self.n_cut - self._origin
            n_samples = self._reach(n_skipped + n_wanted)
            yield Piece(self._held()[:n_samples], n_skipped, n_skipped + n_wanted)
            self.n_cut += n_wanted
            self._forget()

    def rest(self, n_samples: int) -> Iterator[Piece]:
        """Yields the last piece, if the recording ends here after `n_samples`.

        It is not given out: another block may follow.
        """
        n_rest = self._part.n_outputs(n_samples) - self.n_cut
        if n_rest <= 0:
            return
        samples, first = self._held(), self.n_cut - self._origin
        if not self._part.padded:
            samples = _exactly(samples, self._reach(first + n_rest))
        yield Piece(samples, first, first + n_rest)

    def _n_whole(self) -> int:
        n_strides = (
            self._n_held - self._part.span_samples
        ) // self._part.stride_samples
        return self._origin + n_strides + 1 - self.n_cut

    def _reach(self, n_outputs: int) -> int:
        return (n_outputs - 1) * self._part.stride_samples + self._part.span_samples

    def _held(self) -> np.ndarray:
        self._blocks = [np.concatenate(self._blocks)]
        return self._blocks[0]

    def _forget(self) -> None:
        origin = max(0, self.n_cut - self._part.n_lead)
        n_old = (origin - self._origin) * self._part.stride_samples
        self._blocks = [self._held()[n_old:].copy()]
        self._n_held -= n_old
        self._origin = origin


class PiecewiseEncoder:
    """A voice encoder, taken apart at its means over time.

    Attributes:
      parts: the means; several speaker embedders stand side by side.
    """

    def __init__(self, encoder: keras.Model, config: VoiceEncoderConfig):
        """Takes apart `encoder`, as `build_voice_encoder(config, ...)` returned it."""
        if config.encoder == "speaker_embedding":
            self.parts, head = _speaker_embedding_parts(encoder, config)
        else:
            self.parts, head = _table_1_parts(encoder, config)
        any_batch = tf.TensorSpec([None, None], tf.float32)
        bound = tf.TensorSpec([None], tf.int32)
        self._head = tf.function(head, autograph=False)
        self._sums = [
            tf.function(
                _summed(part.outputs), [any_batch, bound, bound], autograph=False
            )
            for part in self.parts
        ]

    def features(self, recordings: Sequence[Recording]) -> np.ndarray:
        """Returns v_s [b, d] float32 of recordings of any lengths.

        Each must be long enough for the encoder: `voice_encoder.MIN_SAMPLES`.
        """
        return self.head(
            [self._means(index, recordings) for index in range(len(self.parts))]
        )

    def sums(self, index: int, pieces: Sequence[Piece]) -> np.ndarray:
        """Returns the sums over the outputs of each piece, of `parts[index]`: [b, ...].

        Pieces of a padded part must be equally long.
        """
        longest = max(len(piece.samples) for piece in pieces)
        first = np.array([piece.first for piece in pieces], np.int32)
        last = np.array([piece.last for piece in pieces], np.int32)
        samples = np.stack([_exactly(piece.samples, longest) for piece in pieces])
        return self._sums[index](samples, first, last).numpy()

    def head(self, means: Sequence[np.ndarray]) -> np.ndarray:
        """Returns v_s [b, d] float32 of the means [b, ...] of all parts."""
        means = [tf.constant(mean, tf.float32) for mean in means]
        return self._head(means).numpy()

    def _means(self, index: int, recordings: Sequence[Recording]) -> np.ndarray:
        part = self.parts[index]
        sums: Dict[int, Any] = dict.fromkeys(range(len(recordings)), 0.0)
        for batch in _batches(part, recordings):
            members, pieces = zip(*batch)
            for member, summed in zip(members, self.sums(index, pieces)):
                sums[member] = sums[member] + summed.astype(np.float64)
        return np.stack(
            [sums[i] / part.n_outputs(r.n_samples) for i, r in enumerate(recordings)]
        )


def _batches(part: TimeMean, recordings: Sequence[Recording]) -> Iterator[List[tuple]]:
    """Yields lists of (index of recording, piece), together no longer than one piece.

    Similar lengths come together, so that little is computed for nothing.
    """
    batch: List[tuple] = []
    for index in sorted(range(len(recordings)), key=lambda i: recordings[i].n_samples):
        for piece in _pieces(part, recordings[index]):
            lengths = [len(piece.samples), *(len(p.samples) for _, p in batch)]
            too_much = max(lengths) * len(lengths) > part.piece_samples
            if batch and (too_much or (part.padded and len(set(lengths)) > 1)):
                yield batch
                batch = []
            batch.append((index, piece))
    if batch:
        yield batch


def _pieces(part: TimeMean, recording: Recording) -> Iterable[Piece]:
    cutter, gain = Cutter(part), np.float32(part.level(recording.mean_square))
    for block in recording.blocks():
        cutter.push(block * gain)
        yield from cutter.pieces(n_least=part.piece_outputs)
    yield from cutter.rest(recording.n_samples)


def _summed(outputs: Callable[[Any], Any]) -> Callable[..., Any]:
    """`outputs`, summed from `first` [b] to `last` [b]."""

    def sums(waveforms, first, last):
        values = tf.cast(outputs(waveforms), tf.float32)
        at = tf.range(tf.shape(values)[1])
        counts = (at >= first[:, None]) & (at < last[:, None])
        return tf.einsum("bk,bk...->b...", tf.cast(counts, tf.float32), values)

    return sums


def _table_1_parts(encoder: keras.Model, config: VoiceEncoderConfig):
    convolutions, head = voice_encoder.split_at_time_average(
        encoder.get_layer("table_1")
    )
    geometry = voice_encoder.time_geometry(config.padding)
    hop, frame = audio.HOP_SAMPLES, audio.WINDOW_SAMPLES
    part = TimeMean(
        outputs=lambda waveforms: convolutions(
            audio.spectrogram(waveforms), training=False
        ),
        n_outputs=lambda n: geometry.n_outputs(audio.n_frames(n)),
        stride_samples=geometry.stride_frames * hop,
        span_samples=(geometry.span_frames - 1) * hop + frame,
        piece_outputs=_TABLE_1_OUTPUTS,
        n_lead=geometry.n_lead,
        padded=config.padding == "same",
    )
    return [part], lambda means: head(means[0], training=False)


def _speaker_embedding_parts(encoder: keras.Model, config: VoiceEncoderConfig):
    embedding = encoder.get_layer("speaker_embedding")
    head = keras.Model(encoder.get_layer("center").input, encoder.output)
    parts = [_embedder_part(embedding.get_layer(n)) for n in config.speaker_embedders]

    def feature(means):
        units = [speaker_embedding.unit(mean) for mean in means]
        return head(tf.concat(units, axis=-1), training=False)

    return parts, feature


def _embedder_part(layer: speaker_embedding.SpeakerEmbedding) -> TimeMean:
    embedder = layer.embedder
    hop = audio.HOP_SAMPLES
    return TimeMean(
        outputs=lambda waveforms: layer.embed_windows(
            speaker_embedding.whole_windows(waveforms, embedder)
        ),
        n_outputs=lambda n: speaker_embedding.n_windows(n, embedder),
        stride_samples=embedder.step_frames * hop,
        span_samples=(embedder.window_frames - 1) * hop + embedder.fft_samples,
        piece_outputs=_WINDOWS,
        n_before=speaker_embedding.silence_before(embedder),
        gain=lambda power: float(speaker_embedding.level_gain(power, embedder)),
    )


def _exactly(samples: np.ndarray, n_samples: int) -> np.ndarray:
    """`samples` followed by silence, or cut, so that there are `n_samples`."""
    missing = max(0, n_samples - len(samples))
    return np.pad(samples[:n_samples], (0, missing))
