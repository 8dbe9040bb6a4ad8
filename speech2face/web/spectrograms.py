"""The spectrogram of a recording as a picture."""

import keras
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from speech2face import paper
from speech2face.audio import spectrogram

WIDTH_PX, HEIGHT_PX = 520, 200  # of the spectrogram, without axes
DYNAMIC_RANGE_DB = 70.0  # the range of speech in a quiet room

_LEFT_PX, _BOTTOM_PX = 60, 28  # for the axes
_FONT_PX = 18  # still legible on a phone, where the picture is half as wide
_KHZ_TICKS = (0, 2, 4, 6, 8)
_TICK_STEPS_SECS = (0.1, 0.5, 1, 2, 5, 10, 20, 60, 300)
_MAX_TICKS = 9  # more labels would overlap
# From silence to the loudest sound: dark violet, red, yellow. Lightness only grows, so
# that the picture also reads without color.
_COLORS = np.array(
    [(12, 8, 38), (84, 15, 109), (187, 55, 84), (249, 142, 9), (252, 255, 164)]
)
_INK = (90, 90, 100)
_MIN_POWER = 1e-12  # silence has no logarithm


def draw(waveform: np.ndarray) -> np.ndarray:
    """Draws the spectrogram of a recording: seconds to the right, kHz upwards.

    Args:
      waveform: [n] float32 at 16 kHz, n >= 400.

    Returns:
      [228, 580, 3] uint8.
    """
    levels = decibels(waveform)[:, ::-1].T  # [frames, bands] -> [bands, frames]
    positions = np.clip(1 + levels / DYNAMIC_RANGE_DB, 0, 1)
    stops = np.linspace(0, 1, len(_COLORS))
    colors = np.stack([np.interp(positions, stops, c) for c in _COLORS.T], axis=-1)
    picture = Image.fromarray(np.round(colors).astype(np.uint8))
    page = Image.new("RGB", (_LEFT_PX + WIDTH_PX, HEIGHT_PX + _BOTTOM_PX), "white")
    page.paste(picture.resize((WIDTH_PX, HEIGHT_PX)), (_LEFT_PX, 0))
    _draw_axes(page, len(waveform) / paper.SAMPLE_RATE_HZ)
    return np.asarray(page)


def decibels(waveform: np.ndarray) -> np.ndarray:
    """Returns levels [frames, 257] in dB relative to the loudest one.

    Args:
      waveform: [n] float32 at 16 kHz, n >= 400.
    """
    spectra = keras.ops.convert_to_numpy(
        spectrogram.complex_spectrogram(waveform[np.newaxis])
    )[0]
    power = np.square(spectra).sum(axis=-1)  # [frames, 257, re and im] -> without
    return 10 * np.log10(np.maximum(power, _MIN_POWER) / max(power.max(), _MIN_POWER))


def _draw_axes(page: Image.Image, secs: float) -> None:
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(_FONT_PX)
    for khz in _KHZ_TICKS:
        y = min(max(HEIGHT_PX * (1 - khz / 8), 9), HEIGHT_PX - 9)  # inside the picture
        draw.text((_LEFT_PX - 5, y), f"{khz} kHz", fill=_INK, font=font, anchor="rm")
    step = next(step for step in _TICK_STEPS_SECS if secs / step <= _MAX_TICKS)
    for tick in np.arange(0, secs + 1e-9, step):
        x = min(_LEFT_PX + WIDTH_PX * tick / secs, _LEFT_PX + WIDTH_PX - 20)
        draw.text((x, HEIGHT_PX + 5), f"{tick:g} s", fill=_INK, font=font, anchor="mt")
