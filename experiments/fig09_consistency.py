"""Fig. 9: faces from different speech of one person.

    python -m experiments.fig09_consistency --data_dir=data/avspeech \\
        --run_dir=runs/paper --output_dir=results

The paper shows segments (a) of one video and (b) of another video of the same person.
Here the speakers are a seeded draw of those with several clips. The table adds the
angle between features within a clip, within a video, between the videos of a speaker
and between speakers, and the ROC area that tells speakers apart. AVSpeech does not know
who speaks, so only (a) exists there; VoxCeleb, or a manifest with the column `video`,
has both.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.lib import plots, results
from experiments.lib.experiment import Experiment, Section
from experiments.lib.inputs import Inputs, n_shown_option
from experiments.lib.material import Material, clips_of_speakers
from experiments.lib.results import Result, Row
from experiments.lib.rows import face_sheet_notes, mean_angle_row
from experiments.lib.videos import videos_of
from speech2face.metrics import similarity
from speech2face.options import Options, run_command

NAME = "fig09_consistency"
N_CLIPS_SHOWN = 5  # of each speaker
N_OTHER_VIDEO_SHOWN = 2  # of these, if the speaker has clips of another video
MAX_CLIPS = 2_000  # all pairs of them are measured: two million
_CLIPS_AT_ONCE = 64  # recordings in memory


@dataclasses.dataclass(frozen=True)
class ConsistencyOptions(Options):
    """Number of speakers to show."""

    n_shown: int = n_shown_option(6, "speakers")


class PairAngles(NamedTuple):
    """All pairs of clips.

    Attributes:
      angle: [n_pairs] degrees between the two voice features.
      same_speaker: [n_pairs] whether both clips are of one speaker.
      same_video: [n_pairs] whether both are known to be of one video.
      two_videos: [n_pairs] whether they are known to be of two videos of one speaker.
    """

    angle: np.ndarray
    same_speaker: np.ndarray
    same_video: np.ndarray
    two_videos: np.ndarray

    @property
    def within(self) -> np.ndarray:
        """Angles between clips of one speaker."""
        return self.angle[self.same_speaker]

    @property
    def between(self) -> np.ndarray:
        """Angles between clips of two speakers."""
        return self.angle[~self.same_speaker]


def compute_pair_angles(
    features: np.ndarray,
    speaker_ids: Sequence[str],
    videos: Sequence[str | None],
) -> PairAngles:
    """Measures all pairs of n clips.

    Args:
      features: voice features [n, d].
      speaker_ids: n names.
      videos: n names, None where the video is unknown.
    """
    # Each pair once, and no clip with itself.
    left, right = np.triu_indices(len(features), 1)
    speakers = np.unique(np.asarray(speaker_ids), return_inverse=True)[1]
    names = np.array(["" if video is None else video for video in videos])
    video = np.unique(names, return_inverse=True)[1]
    known = names != ""
    same_speaker = speakers[left] == speakers[right]
    of_known = same_speaker & known[left] & known[right]
    is_one_video = video[left] == video[right]
    return PairAngles(
        # One matrix product: a copy of the features for each pair would be 30 GB twice.
        similarity.pair_angles(features, features)[left, right],
        same_speaker,
        of_known & is_one_video,
        of_known & ~is_one_video,
    )


def measure_half_angles(material: Material, indices: Sequence[int]) -> np.ndarray:
    """Angles [n] in degrees between the features of the two halves of clips."""
    encode = material.model.voice_features
    angles: dict[int, float] = {}
    stream = material.stream(indices)
    while batch := list(itertools.islice(stream, _CLIPS_AT_ONCE)):
        waveforms = [example.waveform for _, example in batch]
        first = encode([w[: len(w) // 2] for w in waveforms])
        second = encode([w[len(w) // 2 :] for w in waveforms])
        of_batch = similarity.feature_distances(first, second)["cos_deg"]
        angles.update(zip((index for index, _ in batch), of_batch.tolist()))
    return np.array([angles[index] for index in indices])


def run(material: Material, n_shown: int = 6) -> Result:
    """Compares the faces and the features of different clips of one speaker."""
    predictions = material.predictions()
    clips = clips_of_speakers(predictions.speaker_ids)
    speakers = sorted(clips)
    # Sorted, then shuffled: the order does not depend on that of the records.
    np.random.default_rng(material.inputs.sample_seed).shuffle(speakers)
    measured = _whole_speakers(clips, speakers)
    measured_speakers = [predictions.speaker_ids[i] for i in measured]
    halves = measure_half_angles(material, measured)
    videos = videos_of(predictions)
    pairs = compute_pair_angles(
        predictions.voice_features[measured],
        measured_speakers,
        [videos[i] for i in measured],
    )
    sheet, captions = [], []
    for speaker in speakers[:n_shown]:
        indices = shown_clips(clips[speaker], videos)
        faces = material.faces(predictions.voice_features[indices]).images
        sheet.append([material.photographs(indices[:1])[0], *faces])
        captions.append(["", *_video_captions([videos[i] for i in indices])])
    n_columns = max(len(line) for line in sheet) - 1
    titles = ["true face", *(f"S2F, clip {k + 1}" for k in range(n_columns))]
    return Result(
        name=NAME,
        title="Fig. 9. Consistency",
        shows="Faces from different speech of the same person; the paper finds them "
        "consistent within and between videos, and gives no number.",
        rows=render_rows(pairs, halves, measured_speakers),
        picture=plots.face_sheet(
            sheet, titles, captions if pairs.same_video.any() else None
        ),
        notes=[
            "angle between predicted features: of the two halves of a clip, of two "
            "clips of one video (a), of two videos of one speaker (b), of two speakers",
            _video_note(pairs),
            "halves are short: each is tiled to the length of the training clips",
            "ROC area: how often two clips of one speaker are nearer than clips of two",
            *face_sheet_notes(),
        ],
        provenance=material.provenance(),
    )


def render_rows(
    pairs: PairAngles, halves: np.ndarray, speaker_ids: Sequence[str]
) -> list[Row]:
    """Makes the table.

    Args:
      pairs: angles between clips.
      halves: [n] angles between the two halves of each clip.
      speaker_ids: speaker of each of the n clips.
    """
    of_videos = {
        "(a) clips of one video": pairs.angle[pairs.same_video],
        "(b) clips of two videos of one speaker": pairs.angle[pairs.two_videos],
    }
    return [
        mean_angle_row("halves of a clip", halves, speaker_ids),
        *(
            _pairs_row(name, angles)
            for name, angles in of_videos.items()
            if len(angles)
        ),
        _pairs_row("clips of one speaker", pairs.within),
        _pairs_row("clips of two speakers", pairs.between),
        Row(
            {"angle (deg)": "ROC area, one speaker or two"},
            ours=_roc_area(pairs),
            n=len(pairs.angle),
            chance=0.5,
        ),
    ]


def shown_clips(clips: Sequence[int], videos: Sequence[str | None]) -> list[int]:
    """The clips of one speaker that are drawn: of one video first, then of others.

    Args:
      clips: indices of the speaker's clips.
      videos: video of each of all clips, None where it is unknown.
    """
    first = [i for i in clips if videos[i] == videos[clips[0]]]
    others = [i for i in clips if videos[i] != videos[clips[0]]]
    n_others = min(len(others), N_OTHER_VIDEO_SHOWN)
    return [*first[: N_CLIPS_SHOWN - n_others], *others[:n_others]]


def _video_captions(videos: Sequence[str | None]) -> list[str]:
    order = list(dict.fromkeys(video for video in videos if video is not None))
    return ["" if v is None else f"video {order.index(v) + 1}" for v in videos]


def _video_note(pairs: PairAngles) -> str:
    if pairs.two_videos.any():
        return "the pictures of each speaker: clips of one video, then of another"
    if pairs.same_video.any():
        return (
            "every speaker of this data has one video, so there is no (b): AVSpeech "
            "does not know who speaks; VoxCeleb has several videos of each person"
        )
    return (
        "which clips are of one video is unknown: give a column `video` in the manifest"
    )


def _pairs_row(title: str, angles: np.ndarray) -> Row:
    # Without an interval: pairs that share a clip are not independent.
    return Row(
        {"angle (deg)": title},
        ours=float(angles.mean()),
        sd=float(angles.std()),
        n=len(angles),
    )


def _roc_area(pairs: PairAngles) -> float | None:
    from sklearn.metrics import roc_auc_score

    if not len(pairs.between):
        return None
    # Minus: a small angle should mean one speaker.
    return float(roc_auc_score(pairs.same_speaker, -pairs.angle))


def _whole_speakers(clips: dict[str, list[int]], speakers: Sequence[str]) -> list[int]:
    """All clips of the first speakers, as many as stay within `MAX_CLIPS`."""
    chosen: list[int] = []
    for speaker in speakers:
        if len(chosen) + len(clips[speaker]) > MAX_CLIPS:
            break
        chosen += clips[speaker]
    return chosen


EXPERIMENT = Experiment(NAME, Section.ABLATIONS, run)


def main(inputs: Inputs, options: ConsistencyOptions) -> None:
    """Measures, prints and writes."""
    results.finish(run(Material(inputs), options.n_shown), inputs.output_dir)


if __name__ == "__main__":
    run_command(main, Inputs, ConsistencyOptions)
