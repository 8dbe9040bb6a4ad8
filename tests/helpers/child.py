"""Runs Python code in a process of its own, with its time and memory measured."""

import dataclasses
import json
import subprocess
import sys
import textwrap
import time

from tests.helpers.paths import REPOSITORY

# Each child says how much its memory grew: libraries that are loaded do not count.
_TEMPLATE = """
import json, resource, sys, traceback
from speech2face.errors import UserError
{imports}
def status_kb(name):
    lines = open("/proc/self/status").read().splitlines()
    return int(next(x for x in lines if x.startswith(name)).split()[1])
before_kb = status_kb("VmRSS")
answer, reason = "", ""
try:
    answer = str(({expression}))
except (UserError, FileNotFoundError) as error:
    answer = str(error)
    reason = getattr(error, "reason", "missing")
peak_mb = (status_kb("VmHWM") - before_kb) / 1e3
print(json.dumps(dict(answer=answer, reason=reason, peak_mb=peak_mb)))
"""


@dataclasses.dataclass
class Outcome:
    """Report of the child.

    Attributes:
      answer: the value as a string, or the message of the error.
      reason: of a UserError; "" without an error.
      peak_mb: growth of resident memory at its peak.
      secs: wall time of the whole process.
    """

    answer: str
    reason: str
    peak_mb: float
    secs: float


def evaluate(imports: str, expression: str, timeout_secs: float = 60.0) -> Outcome:
    """Evaluates an expression in a new process; fails after `timeout_secs`."""
    code = _TEMPLATE.format(imports=textwrap.dedent(imports), expression=expression)
    start = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=timeout_secs,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout.splitlines()[-1])
    return Outcome(**report, secs=time.monotonic() - start)
