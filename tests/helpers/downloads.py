"""Downloads of one segment of a local site."""

import pathlib

from data_prep.download import job as download_job
from data_prep.download.job import DownloadOptions

ENDED = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6.0,\npart\n#EXT-X-ENDLIST\n"


def options_for(site, tmp_path, name, **changes):
    (tmp_path / "list.csv").write_text(f"{name},1,3,0.5,0.5\n")
    values = {
        "csv": str(tmp_path / "list.csv"),
        "output_dir": str(tmp_path / "out"),
        "url_template": site.url + "{id}",
        "secs_between_videos": 0.0,
        "n_retries": 0,
        "n_threads": 1,
        "max_secs_per_segment": 20.0,
    }
    return DownloadOptions(**{**values, **changes})


def reason_of(options):
    result = download_job.download(options)
    ((reason, n),) = result["reasons"].items()
    assert n == 1 and not list(pathlib.Path(options.output_dir).glob(".whole*/*"))
    return reason
