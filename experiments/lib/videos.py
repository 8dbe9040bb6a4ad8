"""Finds the video of a clip: Fig. 9 compares clips of one video and of two."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from speech2face.inference.evaluation import Predictions

VIDEO_LABEL = "video"

# <id of the video>_<start>-<end>, in seconds: data_prep/clips/avspeech.py
_AVSPEECH_CLIP = re.compile(r".{11}_\d+(\.\d+)?-\d+(\.\d+)?")


def videos_of(predictions: "Predictions") -> list[str | None]:
    """The video of each clip; None where nothing says it.

    A manifest says it with the column `video`. The ids of published data sets say it,
    too: VoxCeleb's are person/video/utterance, and AVSpeech has the id of the video as
    the speaker, since it does not know who speaks.
    """
    return [
        video_of(*clip)
        for clip in zip(
            predictions.clip_ids, predictions.speaker_ids, predictions.labels
        )
    ]


def video_of(clip_id: str, speaker_id: str, labels: dict[str, str]) -> str | None:
    """Returns the video of one clip, or None if nothing tells it.

    Args:
      clip_id: name of the clip.
      speaker_id: its speaker; in AVSpeech the video.
      labels: its labels, which may name the video.
    """
    if labels.get(VIDEO_LABEL):
        return labels[VIDEO_LABEL]
    parts = clip_id.split("/")
    if len(parts) == 3 and parts[0] == speaker_id:  # data_prep/clips/voxceleb.py
        return "/".join(parts[:2])
    if _AVSPEECH_CLIP.fullmatch(clip_id) and clip_id.startswith(f"{speaker_id}_"):
        return speaker_id
    return None
