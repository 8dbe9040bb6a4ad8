"""What became of every segment of a download: one row each, in SQLite.

The states:

    waiting   not asked for yet
    done      its file is there
    gone      removed, or never was
    private   its owner lets nobody see it
    blocked   not for this country, age or account
    failed    anything else; tried again by the next run, unless it is final, such as a
              segment behind the video's end
"""

import pathlib
import sqlite3
import threading
import time
from typing import Dict, List, Sequence

from data_prep.avspeech import Segment

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
    """The table of one output folder; may be used by several threads."""

    def __init__(self, output_dir: str):
        path = pathlib.Path(output_dir) / FILE_NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        try:
            self._database = sqlite3.connect(path, check_same_thread=False)
            self._database.execute(_TABLE)
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{path} is no status table ({error})") from None

    def add(self, segments: Sequence[Segment]) -> None:
        """Adds rows; those that are there already stay as they are."""
        rows = [(s.name, *_cells(s)) for s in segments]
        with self._lock, self._database:
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
        """Notes how an attempt ended; on the disk when this returns."""
        if state not in STATES:
            raise AssertionError(state)
        with self._lock, self._database:
            self._database.execute(
                "UPDATE segments SET state = ?, reason = ?, is_final = ?, "
                "n_attempts = n_attempts + 1, fetched_bytes = fetched_bytes + ?, "
                "file_bytes = ?, unix_time = ? WHERE name = ?",
                (
                    *(state, reason, int(is_final), fetched_bytes, file_bytes),
                    *(time.time(), segment.name),
                ),
            )

    def open_segments(self) -> List[Segment]:
        """Those that may still be had, in order of addition."""
        return self._select("is_final = 0")

    def done_segments(self) -> List[Segment]:
        """Those whose files are there, in order of addition."""
        return self._select("state = 'done'")

    def counts(self) -> Dict[str, int]:
        """Number of segments in each state."""
        query = "SELECT state, COUNT(*) FROM segments GROUP BY state"
        return dict(self._rows(query))

    def reasons(self) -> Dict[str, int]:
        """Number of segments for each reason for being absent, common ones first."""
        query = (
            "SELECT reason, COUNT(*) AS n FROM segments "
            "WHERE reason != '' GROUP BY reason ORDER BY n DESC"
        )
        return dict(self._rows(query))

    def total_file_bytes(self) -> int:
        """Size of all files that are there."""
        return self._rows("SELECT COALESCE(SUM(file_bytes), 0) FROM segments")[0][0]

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def _select(self, condition: str) -> List[Segment]:
        query = f"SELECT {_COLUMNS} FROM segments WHERE {condition} ORDER BY rowid"
        return [Segment(*row) for row in self._rows(query)]

    def _rows(self, query: str) -> list:
        with self._lock:
            return self._database.execute(query).fetchall()


def _cells(segment: Segment) -> tuple:
    numbers = (segment.start_secs, segment.end_secs, segment.face_x, segment.face_y)
    return (segment.youtube_id, *numbers)
