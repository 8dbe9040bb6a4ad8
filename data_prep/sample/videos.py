"""Videos of generated people who speak: the head sways, the mouth follows the voice.

The face is rendered once for each opening of the mouth, on a transparent picture with a
margin; a frame pastes one of these over the wall, moved a little. Positions are in
pixels of the frame, origin at the top left.
"""

import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import av
import numpy as np
from PIL import Image

from data_prep.sample import camera, faces, voices
from data_prep.sample.canvas import to_srgb
from data_prep.sample.photographs import random_light
from data_prep.sample.traits import Person, generator

FRAME_PX, FRAMES_PER_SEC = 240, 10

_UNIT_PX = 52.0  # of the canvas: about the distance between the eyes in a frame
_MOUTH_OPENINGS = (0.0, 0.09, 0.20)  # closed, half open, open; units
_MARGIN_PX = 14  # more than any sway moves the head
_BIT_RATE = 600_000


@dataclasses.dataclass(frozen=True)
class Clip:
    """A video that was written.

    Attributes:
      path: relative to the sample's folder.
      secs: its length.
      face_xy: middle of the face as fractions of width and height.
      text: what is said.
    """

    path: str
    secs: float
    face_xy: tuple[float, float]
    text: str


def write_clips(
    person: Person, n_clips: int, seed: int, folder: pathlib.Path
) -> list[Clip]:
    """Writes a person's videos.

    Args:
      person: who speaks.
      n_clips: how many.
      seed: decides on text, light, place, background and sway.
      folder: folder of the sample; the videos lie in its subfolder `media`.

    Returns:
      The clips in order.
    """
    mouths = faces.build(person, _UNIT_PX, _MOUTH_OPENINGS)
    return [_write_clip(person, mouths, k, seed, folder) for k in range(n_clips)]


def _write_clip(
    person: Person,
    mouths: Sequence[faces.Face],
    index: int,
    seed: int,
    folder: pathlib.Path,
) -> Clip:
    waveform, text = voices.speak_clip(person, index, seed)
    rng = generator(seed, person.speaker_id, "video", index)
    view = _random_view(rng)
    heads = [_cut_out(p) for p in camera.photograph(mouths, _with_margin(view))]
    wall = camera.draw_background(rng, FRAME_PX, FRAME_PX)
    frames = _animate(heads, Image.fromarray(to_srgb(wall)), _loudness(waveform), rng)
    path = f"media/{person.speaker_id}_{index}.mp4"
    _write_mp4(folder / path, frames, waveform)
    x, y = camera.project({"middle": camera.MIDDLE}, view)["middle"]
    secs = len(waveform) / voices.SAMPLE_RATE_HZ
    return Clip(path, secs, (x / FRAME_PX, y / FRAME_PX), text)


def _random_view(rng: np.random.Generator) -> camera.View:
    return camera.View(
        width_px=FRAME_PX,
        height_px=FRAME_PX,
        eye_distance_px=rng.uniform(46, 52),
        center_x_px=FRAME_PX / 2 + rng.uniform(-10, 10),
        center_y_px=FRAME_PX * 0.43 + rng.uniform(-6, 6),
        roll=rng.uniform(-3, 3),
        yaw=rng.uniform(-6, 6),
        pitch=rng.uniform(-3, 3),
        **random_light(rng),
    )


def _with_margin(view: camera.View) -> camera.View:
    """The view with a margin on all sides, into which the head may sway."""
    return dataclasses.replace(
        view,
        width_px=view.width_px + 2 * _MARGIN_PX,
        height_px=view.height_px + 2 * _MARGIN_PX,
        center_x_px=view.center_x_px + _MARGIN_PX,
        center_y_px=view.center_y_px + _MARGIN_PX,
    )


def _cut_out(picture: np.ndarray) -> Image.Image:
    """A premultiplied picture [h, w, 4] as an image on a transparent ground."""
    color = to_srgb(picture[..., :3] / np.clip(picture[..., 3:], 1e-4, 1))
    alpha = np.rint(255 * picture[..., 3:].clip(0, 1)).astype(np.uint8)
    return Image.fromarray(np.concatenate([color, alpha], -1))


def _loudness(waveform: np.ndarray) -> np.ndarray:
    """[n_frames] in [0, 1]: the level of each frame, 1 for the loudest tenth."""
    hop = voices.SAMPLE_RATE_HZ / FRAMES_PER_SEC
    edges = np.arange(0, len(waveform) + hop, hop).astype(int)
    rms = [np.sqrt(np.mean(part**2)) for part in np.split(waveform, edges[1:-1])]
    return np.clip(np.array(rms) / (np.percentile(rms, 90) + 1e-6), 0, 1)


def _animate(
    heads: Sequence[Image.Image],
    wall: Image.Image,
    loudness: np.ndarray,
    rng: np.random.Generator,
) -> Iterator[np.ndarray]:
    """Draws the frames, [FRAME_PX, FRAME_PX, 3] uint8 each."""
    # Rotation, sideways and up-and-down movement: each with its own period.
    periods_secs = rng.uniform(1.5, 4.0, size=3)
    phases = rng.uniform(0, 2 * np.pi, size=3)
    for n, level in enumerate(loudness):
        # The first frame is where the manifest says, with the mouth closed.
        head = heads[min(int(level * len(heads)), len(heads) - 1) if n else 0]
        angles = 2 * np.pi * n / FRAMES_PER_SEC / periods_secs + phases
        sway = np.sin(angles) - np.sin(phases)
        head = head.transform(
            wall.size,
            Image.Transform.AFFINE,
            _sway_matrix(1.2 * sway[0], 2.0 * sway[1], 1.4 * sway[2]),
            Image.Resampling.BILINEAR,
        )
        frame = wall.copy()
        frame.paste(head, mask=head.getchannel("A"))
        yield np.asarray(frame)


def _sway_matrix(degrees: float, dx_px: float, dy_px: float) -> tuple[float, ...]:
    """Affine map from a frame's pixels to the picture with a margin.

    Args:
      degrees: rotation about the neck.
      dx_px: shift to the right.
      dy_px: shift down.

    Returns:
      Two rows of three, as Pillow takes them.
    """
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    neck_x, neck_y = FRAME_PX / 2, FRAME_PX * 0.8
    offset_x = neck_x - c * neck_x - s * neck_y - dx_px + _MARGIN_PX
    offset_y = neck_y + s * neck_x - c * neck_y - dy_px + _MARGIN_PX
    return (c, s, offset_x, -s, c, offset_y)


def _write_mp4(
    path: pathlib.Path, frames: Iterable[np.ndarray], waveform: np.ndarray
) -> None:
    # Not H.264: x264 encodes the same frames differently from process to process.
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        video = container.add_stream("mpeg4", rate=FRAMES_PER_SEC)
        video.width = video.height = FRAME_PX
        video.pix_fmt = "yuv420p"
        video.bit_rate = _BIT_RATE
        video.thread_count = 1  # else the slices depend on the number of cores
        sound = container.add_stream("aac", rate=voices.SAMPLE_RATE_HZ)
        sound.layout = "mono"
        for pixels in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(video.encode())
        frame = av.AudioFrame.from_ndarray(waveform[None], "fltp", "mono")
        frame.sample_rate = voices.SAMPLE_RATE_HZ
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
