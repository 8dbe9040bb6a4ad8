"""The state of every segment of a download: one row each, in SQLite.

waiting   not requested yet
done      its file is complete
gone      the video was removed or never existed
private   the owner does not share the video
blocked   not available in this country, at this age or to this account
failed    anything else; the next run tries again, unless the row is final, such as
          that of a segment beyond the end of the video
"""

import contextlib
import pathlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence

from data_prep.clips.avspeech import Segment
from speech2face.errors import UserError
from speech2face.files import PathLike

STATES = ("waiting", "done", "gone", "private", "blocked", "failed")
FILE_NAME = "status.sqlite"

_TABLE = """
CREATE TABLE IF NOT EXISTS segments (
  name TEXT PRIMARY KEY,
  youtube_id TEXT NOT NULL,
  start_secs REAL NOT NULL,
  end_secs REAL NOT NULL,
  face_x REAL NOT NULL,
  face_y REAL NOT NULL,
  state TEXT NOT NULL DEFAULT 'waiting',
  reason TEXT NOT NULL DEFAULT '',
  is_final INTEGER NOT NULL DEFAULT 0,
  n_attempts INTEGER NOT NULL DEFAULT 0,
  fetched_bytes INTEGER NOT NULL DEFAULT 0,
  file_bytes INTEGER NOT NULL DEFAULT 0,
  unix_time REAL NOT NULL DEFAULT 0
)"""
_COLUMNS = "youtube_id, start_secs, end_secs, face_x, face_y"


class Status:
    """The table of one output folder. Several threads may share it."""

    def __init__(self, output_dir: PathLike):
        """Opens the table, or creates it.

        Raises:
          UserError: the file is not a status table.
        """
        path = pathlib.Path(output_dir) / FILE_NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = threading.Lock()
        try:
            # The lock makes sharing between threads safe.
            self._database = sqlite3.connect(path, check_same_thread=False)
            self._database.execute(_TABLE)
        except sqlite3.DatabaseError as error:
            raise UserError(
                f"{path} is not a status table ({error}); move it away"
            ) from None

    def add(self, segments: Sequence[Segment]) -> None:
        """Adds rows; existing ones stay as they are."""
        rows = [
            (s.name, s.youtube_id, s.start_secs, s.end_secs, s.face_x, s.face_y)
            for s in segments
        ]
        with self._transaction():
            self._database.executemany(
                f"INSERT OR IGNORE INTO segments (name, {_COLUMNS}) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )

    def set(
        self,
        segment: Segment,
        state: str,
        reason: str = "",
        *,
        is_final: bool = True,
        fetched_bytes: int = 0,
        file_bytes: int = 0,
    ) -> None:
        """Records how an attempt ended; the row is on disk when this returns.

        Args:
          segment: whose row to update.
          state: one of `STATES`.
          reason: sentence for the user, if the segment is not done.
          is_final: later runs do not request it again.
          fetched_bytes: received in this attempt; the row holds the sum.
          file_bytes: size of the finished file.
        """
        if state not in STATES:
            raise ValueError(f"unknown state {state!r}")
        with self._transaction():
            self._database.execute(
                "UPDATE segments SET state = ?, reason = ?, is_final = ?, "
                "n_attempts = n_attempts + 1, fetched_bytes = fetched_bytes + ?, "
                "file_bytes = ?, unix_time = ? WHERE name = ?",
                (
                    state,
                    reason,
                    int(is_final),
                    fetched_bytes,
                    file_bytes,
                    time.time(),
                    segment.name,
                ),
            )

    def open_segments(self) -> list[Segment]:
        """Returns the segments that are still to be fetched, in order of addition."""
        return self._select("is_final = 0")

    def done_segments(self) -> list[Segment]:
        """Returns the segments whose files are complete, in order of addition."""
        return self._select("state = 'done'")

    def counts(self) -> dict[str, int]:
        """Returns the number of segments in each state."""
        query = "SELECT state, COUNT(*) FROM segments GROUP BY state"
        return dict(self._rows(query))

    def reasons(self) -> dict[str, int]:
        """Returns how many segments are missing for each reason, common ones first."""
        query = (
            "SELECT reason, COUNT(*) AS n FROM segments "
            "WHERE reason != '' GROUP BY reason ORDER BY n DESC"
        )
        return dict(self._rows(query))

    def total_file_bytes(self) -> int:
        """Returns the size of all finished files."""
        return self._rows("SELECT COALESCE(SUM(file_bytes), 0) FROM segments")[0][0]

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with self._lock, self._database:
                yield
        except sqlite3.OperationalError as error:  # such as a full or read-only disk
            raise OSError(f"{self._path}: {error}") from None

    def _select(self, condition: str) -> list[Segment]:
        query = f"SELECT {_COLUMNS} FROM segments WHERE {condition} ORDER BY rowid"
        return [Segment(*row) for row in self._rows(query)]

    def _rows(self, query: str) -> list:
        with self._lock:
            return self._database.execute(query).fetchall()
