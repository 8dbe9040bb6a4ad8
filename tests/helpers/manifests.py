"""Writes clips as a manifest."""

import csv
import dataclasses
import os
import pathlib

from data_prep.clips.manifest import KNOWN_COLUMNS, Clip


def write_manifest(path, clips: list[Clip], media_dir: str = "") -> None:
    """Writes a CSV that `read_manifest` reads back as the same clips.

    Args:
      path: the file.
      clips: its rows.
      media_dir: folder to which the paths in the file are relative; '' writes them as
        they are.
    """
    labels = sorted({name for clip in clips for name, _ in clip.labels})
    with pathlib.Path(path).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*KNOWN_COLUMNS, *labels])
        for clip in clips:
            row = {**dataclasses.asdict(clip), **dict(clip.labels)}
            for name in ("media", "face", "normalized_face"):
                if row[name] and media_dir:
                    row[name] = os.path.relpath(row[name], media_dir)
            points = row["normalized_landmarks"]
            row["normalized_landmarks"] = " ".join(map(repr, points))
            cells = [row.get(name) for name in (*KNOWN_COLUMNS, *labels)]
            writer.writerow(["" if cell is None else cell for cell in cells])
