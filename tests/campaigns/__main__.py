"""Runs the campaigns: make campaign, or python -m tests.campaigns --help."""

import dataclasses
import pathlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator

from speech2face.errors import UserError
from speech2face.options import Options, option, run_command
from tests.campaigns import kills, media, numbers, photographs, servers, visitors
from tests.campaigns.cases import Report


@dataclasses.dataclass(frozen=True)
class CampaignOptions(Options):
    """Campaigns to run, and the selection and number of their cases."""

    only: tuple[str, ...] = option(
        (), "Some of media, photographs, numbers, servers, visitors, kills; else all."
    )
    seed: int = option(0, "Draws the cases.", minimum=0, maximum=2**31 - 1)
    case: str = option(
        "",
        "Only this case: the number of a file, or a part of the name of a command, "
        "server, visitor or job.",
    )
    n_media: int = option(1200, "Media files.", minimum=1, maximum=1_000_000)
    n_photographs: int = option(800, "Image files.", minimum=1, maximum=1_000_000)
    every: int = option(
        1, "Try only every n-th absurd value of a flag.", minimum=1, maximum=100
    )
    n_mutants: int = option(
        20, "Servers with damaged videos.", minimum=0, maximum=100_000
    )
    n_visitors: int = option(60, "Visitors at once.", minimum=1, maximum=1000)
    n_kills: int = option(20, "SIGKILLs of each job.", minimum=1, maximum=10_000)
    media_dir: str = option(
        "", "Folder with more files to try first, as media.", exists="folder"
    )


def main(options: CampaignOptions) -> int:
    """Runs them, and returns 1 if a case was not survived."""
    unknown = set(options.only) - set(CAMPAIGNS)
    if unknown:
        raise UserError(f"--only={unknown.pop()}: expected some of {sorted(CAMPAIGNS)}")
    status = 0
    for name, campaign in CAMPAIGNS.items():
        if name in options.only or not options.only:
            for report in _in_folder(campaign, options):
                _print(report, name, options)
                status |= bool(report.failures)
    return status


def _in_folder(campaign, options: CampaignOptions) -> Iterator[Report]:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="campaign"))
    try:
        yield from campaign(folder, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _print(report: Report, name: str, options: CampaignOptions) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M')} {report}", flush=True)
    for case, failure in report.failures[:50]:
        print(f"  NOT SURVIVED: {case}: {failure}")
        again = f"--only={name} --seed={options.seed} --case={case.split()[0]}"
        print(f"    again: {sys.executable} -m tests.campaigns {again}", flush=True)


def _files(options: CampaignOptions, n_files: int) -> range:
    if not options.case:
        return range(n_files)
    if not options.case.isdecimal():
        raise UserError(f"--case={options.case}: expected the number of a file")
    return range(int(options.case), int(options.case) + 1)


def _media(folder, o: CampaignOptions) -> Iterator[Report]:
    yield media.run(folder, o.seed, _files(o, o.n_media), o.media_dir)


def _photographs(folder, o: CampaignOptions) -> Iterator[Report]:
    yield photographs.run(folder, o.seed, _files(o, o.n_photographs))


def _numbers(folder, o: CampaignOptions) -> Iterator[Report]:
    yield numbers.run(folder, o.case, o.every)


def _servers(folder, o: CampaignOptions) -> Iterator[Report]:
    yield servers.run(folder, o.seed, o.n_mutants, o.case)


def _visitors(folder, o: CampaignOptions) -> Iterator[Report]:
    yield visitors.run(folder, o.seed, o.n_visitors, o.case)


def _kills(folder, o: CampaignOptions) -> Iterator[Report]:
    yield from kills.run(folder, o.seed, o.n_kills, o.case)


CAMPAIGNS = {
    "media": _media,
    "photographs": _photographs,
    "numbers": _numbers,
    "servers": _servers,
    "visitors": _visitors,
    "kills": _kills,
}

if __name__ == "__main__":
    run_command(main, CampaignOptions)
