"""Fakes of folders and archives of published data sets."""

import io
import tarfile
import zipfile

import numpy as np
import soundfile
from PIL import Image

from data_prep.clips import layouts
from data_prep.clips.layouts import LayoutOptions
from data_prep.options import JobOptions


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def clips_in(layout, media_dir, listed="", **options):
    job = JobOptions(output_dir="out", manifest=str(listed), media_dir=str(media_dir))
    return layouts.read_clips(job, LayoutOptions(layout=layout, **options))


def wav(seed=0, secs=1.0):
    """Bytes of a WAV of noise."""
    file = io.BytesIO()
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, round(16_000 * secs))
    soundfile.write(file, noise, 16_000, format="WAV", subtype="PCM_16")
    return file.getvalue()


def png(level):
    file = io.BytesIO()
    Image.new("RGB", (32, 24), (level,) * 3).save(file, "PNG")
    return file.getvalue()


def write_tar(path, files):
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def write_zip(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
