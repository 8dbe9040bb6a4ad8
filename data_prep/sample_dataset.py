"""A folder of generated talking people: media, photographs and manifests.

`generate` writes, under the output folder:

    media/<clip>.mp4               a talking head: MPEG-4 video, AAC sound
    faces/<person>_<k>.png         photographs in different light, pose and place
    faces/<person>_normalized.png  frontal, neutral, evenly lit, white background,
                                   eyes 55 px apart at 224 x 224
    manifest.csv                   clips; the voice data set is built from it
    faces.csv                      photographs; the face decoder's data set
    people.json                    every trait, and where each photograph's eyes, mouth
                                   and chin truly are
    sample_people.json             the configuration that made the folder

Paths in the manifests are relative to the output folder. The content is a function of
the configuration alone, byte for byte on one installation.
"""

import concurrent.futures
import csv
import dataclasses
import functools
import json
import multiprocessing
import os
import pathlib
import shutil
import tempfile

import av
import numpy as np
import tqdm
from PIL import Image

from data_prep import sample_faces, sample_traits, sample_voices

FORMAT_VERSION = 1
FRAME_PX, FRAMES_PER_SEC = 240, 10
PHOTO_PX, PHOTOS_PER_PERSON = 256, 3
NORMALIZED_PX, NORMALIZED_EYE_DISTANCE_PX = 224, 55.0
NORMALIZED_EYES_X_PX, NORMALIZED_EYES_Y_PX = 112.0, 95.0

_MARKER = "sample_people.json"
_PHOTO_UNIT_PX, _VIDEO_UNIT_PX = 72.0, 52.0
_MOUTH_STATES = (0.0, 0.09, 0.20)
_MARGIN_PX = 14
_VIDEO_BIT_RATE = 600_000


@dataclasses.dataclass(frozen=True)
class SampleConfig:
    """What determines the content of a sample folder."""

    n_people: int
    clips_per_person: int
    seed: int

    def __post_init__(self):
        if self.n_people < 3:
            raise ValueError(
                f"n_people is {self.n_people}; at least 3 are needed, one a split"
            )
        if self.clips_per_person < 1:
            raise ValueError(
                f"clips_per_person is {self.clips_per_person}; at least 1 is needed"
            )


def generate(config: SampleConfig, output_dir: str, n_workers: int = 0) -> bool:
    """Writes a sample folder, whole or not at all.

    Args:
      config: how many people and clips, and the seed.
      output_dir: new or empty, or a folder this function made from the same config.
      n_workers: processes; 0 for one a core.

    Returns:
      False where the folder was there already.

    Raises:
      ValueError: output_dir holds something else, or espeak-ng is not installed.
    """
    output = pathlib.Path(output_dir)
    if _is_there(config, output):
        return False
    sample_voices.check_installed()
    output.parent.mkdir(parents=True, exist_ok=True)
    draft = pathlib.Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    try:
        _write(config, draft, n_workers)
        draft.chmod(0o755)
        if output.exists():
            output.rmdir()
        draft.rename(output)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return True


def _is_there(config: SampleConfig, output: pathlib.Path) -> bool:
    if not output.exists():
        return False
    if not output.is_dir():
        raise ValueError(f"{output} is a file; give a new or empty folder")
    if not any(output.iterdir()):
        return False
    marker = output / _MARKER
    found = json.loads(marker.read_text()) if marker.is_file() else None
    if found == _marker(config):
        return True
    if found is None:
        raise ValueError(f"{output} is not empty; give a new or empty folder")
    raise ValueError(
        f"{output} holds other sample people, made with {found}; "
        "give a new folder or remove that one"
    )


def _marker(config: SampleConfig) -> dict:
    return {"format_version": FORMAT_VERSION, **dataclasses.asdict(config)}


def _write(config: SampleConfig, folder: pathlib.Path, n_workers: int) -> None:
    (folder / "media").mkdir()
    (folder / "faces").mkdir()
    people = sample_traits.draw_people(config.n_people, config.seed)
    work = functools.partial(_write_person, config=config, folder=folder)
    with concurrent.futures.ProcessPoolExecutor(
        min(n_workers or os.cpu_count() or 1, len(people)),
        mp_context=multiprocessing.get_context("spawn"),
    ) as pool:
        done = pool.map(work, people)
        rows = list(tqdm.tqdm(done, "sample people", len(people), unit="person"))
    _write_csv(folder / "manifest.csv", [clip for row in rows for clip in row["clips"]])
    _write_csv(folder / "faces.csv", [face for row in rows for face in row["faces"]])
    truth = [row["person"] for row in rows]
    (folder / "people.json").write_text(json.dumps(truth, indent=1))
    (folder / _MARKER).write_text(json.dumps(_marker(config)))


def _write_csv(path: pathlib.Path, rows: list[dict]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _write_person(
    person: sample_traits.Person, config: SampleConfig, folder: pathlib.Path
) -> dict:
    """All files of one person; rows for the manifests and the truth."""
    truth = {**dataclasses.asdict(person), "photographs": {}}
    faces = _write_photographs(person, config, folder, truth["photographs"])
    mouths = sample_faces.build(person, _VIDEO_UNIT_PX, _MOUTH_STATES)
    clips = [
        _write_clip(person, mouths, k, config, folder)
        for k in range(config.clips_per_person)
    ]
    return {"person": truth, "faces": faces, "clips": clips}


def _labels(person: sample_traits.Person) -> dict:
    skin = ("light", "medium", "dark")[min(int(person.skin_tone * 3), 2)]
    return {
        "speaker_id": person.speaker_id,
        "split": person.split,
        "gender": person.gender,
        "age": person.age_years,
        "skin": skin,
        "accent": person.accent,
    }


def _write_photographs(
    person: sample_traits.Person,
    config: SampleConfig,
    folder: pathlib.Path,
    truth: dict,
) -> list[dict]:
    (face,) = sample_faces.build(person, _PHOTO_UNIT_PX)
    normalized = f"faces/{person.speaker_id}_normalized.png"
    image, points = sample_faces.render(face, _normalized_view(), _white_wall())
    Image.fromarray(image).save(folder / normalized)
    truth[normalized] = points
    rows = []
    for k in range(PHOTOS_PER_PERSON):
        rng = sample_traits.generator(config.seed, person.speaker_id, "photo", k)
        view = _photo_view(rng)
        wall = sample_faces.draw_background(rng, PHOTO_PX, PHOTO_PX)
        image, points = sample_faces.render(face, view, wall)
        grain = rng.normal(scale=rng.uniform(0.5, 2.5), size=image.shape)
        image = np.rint(image + grain).clip(0, 255).astype(np.uint8)
        path = f"faces/{person.speaker_id}_{k}.png"
        Image.fromarray(image).save(folder / path)
        truth[path] = points
        rows.append(
            {
                "clip_id": f"{person.speaker_id}_face{k}",
                "face": path,
                "normalized_face": normalized,
                **_labels(person),
            }
        )
    return rows


def _normalized_view() -> sample_faces.View:
    return sample_faces.View(
        width_px=NORMALIZED_PX,
        height_px=NORMALIZED_PX,
        eye_distance_px=NORMALIZED_EYE_DISTANCE_PX,
        centre_x_px=NORMALIZED_EYES_X_PX,
        centre_y_px=NORMALIZED_EYES_Y_PX,
        light_azimuth=0.0,
        light_elevation=25.0,
        light_strength=0.72,
        fill_strength=0.6,
    )


def _white_wall() -> np.ndarray:
    return np.full((NORMALIZED_PX, NORMALIZED_PX, 3), 1.2, np.float32)


def _photo_view(rng: np.random.Generator) -> sample_faces.View:
    return sample_faces.View(
        width_px=PHOTO_PX,
        height_px=PHOTO_PX,
        eye_distance_px=rng.uniform(44, 52),
        centre_x_px=PHOTO_PX / 2 + rng.uniform(-10, 10),
        centre_y_px=PHOTO_PX * 0.44 + rng.uniform(-7, 7),
        roll=rng.uniform(-5, 5),
        yaw=rng.uniform(-9, 9),
        pitch=rng.uniform(-4, 4),
        **_light(rng),
    )


def _light(rng: np.random.Generator) -> dict:
    return {
        "light_azimuth": rng.uniform(-50, 50),
        "light_elevation": rng.uniform(15, 50),
        "light_strength": rng.uniform(0.75, 1.05),
        "fill_strength": rng.uniform(0.3, 0.75),
        "warmth": rng.uniform(-1, 1),
    }


def _write_clip(
    person: sample_traits.Person,
    mouths: list[sample_faces.Face],
    k: int,
    config: SampleConfig,
    folder: pathlib.Path,
) -> dict:
    waveform, text = sample_voices.speak_clip(person, k, config.seed)
    rng = sample_traits.generator(config.seed, person.speaker_id, "video", k)
    view = _video_view(rng)
    heads = [_cut_out(p) for p in sample_faces.photograph(mouths, _padded(view))]
    wall = sample_faces.draw_background(rng, FRAME_PX, FRAME_PX)
    wall = Image.fromarray(sample_faces.to_srgb(wall))
    frames = _animate(heads, wall, _loudness(waveform), rng)
    path = f"media/{person.speaker_id}_{k}.mp4"
    _write_mp4(folder / path, frames, waveform)
    x, y = sample_faces.project({"middle": (0.0, 0.55, 1.0)}, view)["middle"]
    return {
        "clip_id": f"{person.speaker_id}_{k}",
        "media": path,
        "start_secs": "0",
        "end_secs": f"{len(waveform) / sample_voices.SAMPLE_RATE_HZ:.3f}",
        "face_x": f"{x / FRAME_PX:.4f}",
        "face_y": f"{y / FRAME_PX:.4f}",
        **_labels(person),
        "text": text,
    }


def _video_view(rng: np.random.Generator) -> sample_faces.View:
    return sample_faces.View(
        width_px=FRAME_PX,
        height_px=FRAME_PX,
        eye_distance_px=rng.uniform(46, 52),
        centre_x_px=FRAME_PX / 2 + rng.uniform(-10, 10),
        centre_y_px=FRAME_PX * 0.43 + rng.uniform(-6, 6),
        roll=rng.uniform(-3, 3),
        yaw=rng.uniform(-6, 6),
        pitch=rng.uniform(-3, 3),
        **_light(rng),
    )


def _cut_out(picture: np.ndarray) -> Image.Image:
    """A premultiplied picture [h, w, 4] as an image on a transparent ground."""
    colour = sample_faces.to_srgb(picture[..., :3] / np.clip(picture[..., 3:], 1e-4, 1))
    alpha = np.rint(255 * picture[..., 3:].clip(0, 1)).astype(np.uint8)
    return Image.fromarray(np.concatenate([colour, alpha], -1))


def _loudness(waveform: np.ndarray) -> np.ndarray:
    """One value in [0, 1] a video frame."""
    hop = sample_voices.SAMPLE_RATE_HZ / FRAMES_PER_SEC
    edges = np.arange(0, len(waveform) + hop, hop).astype(int)
    rms = [np.sqrt(np.mean(part**2)) for part in np.split(waveform, edges[1:-1])]
    return np.clip(np.array(rms) / (np.percentile(rms, 90) + 1e-6), 0, 1)


def _animate(heads, wall: Image.Image, loudness: np.ndarray, rng: np.random.Generator):
    """Video frames: the mouth follows the loudness, the head sways a little."""
    periods = rng.uniform(1.5, 4.0, size=3)
    phases = rng.uniform(0, 2 * np.pi, size=3)
    for n, level in enumerate(loudness):
        level = 0.0 if n == 0 else level
        sway = np.sin(2 * np.pi * n / FRAMES_PER_SEC / periods + phases) - np.sin(
            phases
        )
        head = heads[min(int(level * len(heads)), len(heads) - 1)]
        head = head.transform(
            wall.size,
            Image.Transform.AFFINE,
            _sway_matrix(1.2 * sway[0], 2.0 * sway[1], 1.4 * sway[2]),
            Image.Resampling.BILINEAR,
        )
        frame = wall.copy()
        frame.paste(head, mask=head.getchannel("A"))
        yield np.asarray(frame)


def _padded(view: sample_faces.View) -> sample_faces.View:
    """The view with a margin all round, for the head to sway in."""
    return dataclasses.replace(
        view,
        width_px=view.width_px + 2 * _MARGIN_PX,
        height_px=view.height_px + 2 * _MARGIN_PX,
        centre_x_px=view.centre_x_px + _MARGIN_PX,
        centre_y_px=view.centre_y_px + _MARGIN_PX,
    )


def _sway_matrix(degrees: float, dx_px: float, dy_px: float) -> tuple:
    """From a frame's pixels to the padded picture: rotation about the neck, shift."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    x, y = FRAME_PX / 2, FRAME_PX * 0.8
    return (
        *(c, s, x - c * x - s * y - dx_px + _MARGIN_PX),
        *(-s, c, y + s * x - c * y - dy_px + _MARGIN_PX),
    )


def _write_mp4(path: pathlib.Path, frames, waveform: np.ndarray) -> None:
    # Not H.264: x264 codes the same frames differently from process to process.
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        video = container.add_stream("mpeg4", rate=FRAMES_PER_SEC)
        video.width = video.height = FRAME_PX
        video.pix_fmt = "yuv420p"
        video.bit_rate = _VIDEO_BIT_RATE
        video.thread_count = 1
        sound = container.add_stream("aac", rate=sample_voices.SAMPLE_RATE_HZ)
        sound.layout = "mono"
        for pixels in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(video.encode())
        frame = av.AudioFrame.from_ndarray(waveform[None], "fltp", "mono")
        frame.sample_rate = sample_voices.SAMPLE_RATE_HZ
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
