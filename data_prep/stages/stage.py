"""A step of a record job: takes clips further, or rejects them with a reason.

A stage either adds something to an item or raises. A clip that raises is rejected with
its reason, skips the remaining stages, and does not stop the job. Models are loaded in
`setup`, once for each worker. Nothing here imports Beam.
"""

import dataclasses
from typing import Any

from data_prep import unexpected
from data_prep.clips.manifest import Clip
from data_prep.stages import beam_worker, work_folder
from data_prep.stages.work_folder import Rejection
from speech2face.errors import UserError

# What damaged media raise. MemoryError and EOFError come from absurd sizes in headers.
# A ValueError or RuntimeError that is no UserError may be a library's or a bug's: it
# rejects the clip, too, under a reason of its own (`unexpected`). Any other error is a
# bug and stops the job.
DATA_ERRORS = (ValueError, OSError, RuntimeError, MemoryError, EOFError)


@dataclasses.dataclass
class Item:
    """A clip on its way through the stages.

    Attributes:
      clip: the manifest's row.
      chunk_index: index of the chunk that it belongs to.
      values: what the stages have made so far, by name.
      rejection: why it was rejected; None if it was not.
      tracebacks: of an error that nobody expected, by its kind; empty if there is none.
    """

    clip: Clip
    chunk_index: int = 0
    values: dict[str, Any] = dataclasses.field(default_factory=dict)
    rejection: Rejection | None = None
    tracebacks: dict[str, str] = dataclasses.field(default_factory=dict)


class Stage:
    """One step. The last stage leaves the serialized record in `values['record']`."""

    name = ""

    def setup(self) -> None:
        """Loads models; called once in each worker."""

    def process(self, item: Item) -> None:
        """Takes one clip further, or raises one of `DATA_ERRORS`."""
        raise NotImplementedError

    def process_all(self, items: list[Item]) -> None:
        """Takes a chunk further; items that raise are rejected one by one.

        A stage that is cheaper in batches overrides this instead of `process`.
        """
        for item in items:
            beam_worker.set_current_clip(item.clip.clip_id)
            try:
                self.process(item)
            except DATA_ERRORS as error:
                reject(item, self.name, error)


def reject(item: Item, stage: str, error: Exception) -> None:
    """Marks an item as rejected.

    Args:
      item: the clip; its values are dropped.
      stage: where it was rejected.
      error: why.

    Raises:
      OSError: `error` is a full disk, which is not the clip's fault.
    """
    if getattr(error, "errno", None) in work_folder.DISK_FULL:
        raise error
    detail = " ".join(str(error).split()) or type(error).__name__
    if unexpected.is_unexpected(error):
        kind = unexpected.kind_of(error)
        detail = f"{kind}: {detail}"
        item.tracebacks[kind] = unexpected.traceback_of(error)
    item.rejection = Rejection(item.clip.clip_id, stage, reason_of(error), detail)
    item.values.clear()


def reason_of(error: Exception) -> str:
    """Returns the snake_case reason under which reports count a rejection."""
    if isinstance(error, FileNotFoundError):
        return "missing_file"
    # "invalid" is UserError's default: the place that raised it named no reason.
    if isinstance(error, UserError) and error.reason != "invalid":
        return error.reason
    return unexpected.REASON if unexpected.is_unexpected(error) else "bad_data"
