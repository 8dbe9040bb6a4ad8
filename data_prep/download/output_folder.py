"""The folder of a download: whose it is, and what a killed job left in it.

status.sqlite    the state of every segment: `status`
downloaded.csv   list of the complete segments
segments/        their files
.whole_videos/   temporary: media that a server gives only whole
"""

import pathlib

from data_prep.download import status
from speech2face import files
from speech2face.errors import UserError
from speech2face.files import PathLike

LIST_FILE = "downloaded.csv"
WHOLE_DIR = ".whole_videos"
_SEGMENTS_DIR = "segments"  # of `avspeech.Segment.path`


def require_own(output_dir: PathLike) -> None:
    """Checks that no file of somebody else has a name that a download writes.

    Raises:
      UserError: names the file or folder.
    """
    folder = pathlib.Path(output_dir)
    if (folder / status.FILE_NAME).is_file():  # `Status` looks into it
        return
    for name in (LIST_FILE, _SEGMENTS_DIR, WHOLE_DIR):
        if (folder / name).exists():
            raise UserError(
                f"{folder / name} exists, and no {status.FILE_NAME} of this command "
                "beside it; choose another --output_dir or move it away",
                reason="foreign_files",
            )


def remove_leftovers(output_dir: PathLike) -> None:
    """Removes the temporary files of a killed run."""
    folder = pathlib.Path(output_dir)
    files.remove(folder / WHOLE_DIR)
    files.sweep(folder, is_ours=True)
    # Not the whole folder: there may be others in it.
    files.sweep_tree(folder / _SEGMENTS_DIR)
