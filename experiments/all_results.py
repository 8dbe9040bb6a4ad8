"""Every experiment in the order of the paper's Section 4, and the page of them all."""

import dataclasses
import html
import pathlib
import time
from typing import Callable, List, Sequence, Tuple

from experiments import (
    architecture_tables,
    attribute_agreement,
    cartoon,
    common,
    craniofacial,
    decoder_views,
    face_sheets,
    feature_map,
    feature_tables,
    run_comparison,
)
from experiments.common import NotApplicable, Result, Row
from experiments.material import Material
from experiments.options import Inputs, Provider, Runs
from speech2face import checkpoints, files
from speech2face.summaries import read_log

PAGE_FILE = "index.html"

# (section of the page, names of its experiments)
SECTIONS = (
    ("3. The model", ("table1_architecture",)),
    ("4. Results", ("fig03_qualitative", "supp_face_decoder")),
    (
        "4.1. Facial features",
        (
            *("fig04_attributes", "fig05_craniofacial", "table2_feature_similarity"),
            *("table3_retrieval", "fig07_retrieval_examples", "supp_tsne"),
        ),
    ),
    (
        "4.2. Ablations, observations, limitations",
        (
            *("fig06_duration", "fig08_convergence", "ablations", "supp_pixel_loss"),
            *("fig09_consistency", "fig10_language", "fig11_failures"),
        ),
    ),
    ("4.3. Speech to cartoon", ("fig12_cartoon",)),
)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of an experiment: its result, or why there is none."""

    name: str
    secs: float
    result: Result = None
    reason: str = ""


def run(inputs: Inputs, runs: Runs, provider: Provider) -> List[Outcome]:
    """Runs every experiment and writes its files as soon as it is done.

    One that does not apply (no labels, no runs) or fails with a user's error is named
    with its reason, and the others go on.
    """
    outcomes = []
    for name, experiment in _experiments(inputs, runs, provider):
        start = time.monotonic()
        try:
            result = experiment()
            if name != "table1_architecture":  # it has files of its own form
                common.write(result, inputs.output_dir)
            outcome = Outcome(name, time.monotonic() - start, result)
        except (NotApplicable, ValueError, OSError) as error:
            reason = " ".join(str(error).split())
            outcome = Outcome(name, time.monotonic() - start, reason=reason)
        outcomes.append(outcome)
        said = outcome.reason and f": not run: {outcome.reason}"
        print(f"{name} ({outcome.secs:.0f} s){said}", flush=True)
    return outcomes


def write_page(outcomes: Sequence[Outcome], inputs: Inputs) -> pathlib.Path:
    """Writes index.html beside the results; returns its path."""
    by_name = {outcome.name: outcome for outcome in outcomes}
    parts = [
        "<h1>Speech2Face: results</h1>",
        f"<p>Every table and figure of the paper (Oh et al., CVPR 2019), for the model "
        f"<code>{html.escape(inputs.run_dir or 'compact, as shipped')}</code> on "
        f"<code>{html.escape(inputs.data_dir)}</code>, {html.escape(inputs.split)}. "
        "Faces from voices are synthetic average faces, not the speakers.</p>",
    ]
    for section, names in SECTIONS:
        parts.append(f"<h2>{html.escape(section)}</h2>")
        parts += [_section(by_name[name]) for name in names if name in by_name]
    path = pathlib.Path(inputs.output_dir) / PAGE_FILE
    page = _PAGE.replace("BODY", "\n".join(parts))
    files.write_atomically(path, page.encode())
    return path


def _experiments(
    inputs: Inputs, runs: Runs, provider: Provider
) -> List[Tuple[str, Callable[[], Result]]]:
    material = Material(inputs)
    asked = (provider.provider, provider.send_faces_to_facepp)
    run_dirs = runs.run_dirs or _own_run(inputs)
    return [
        ("table1_architecture", lambda: _table_1(inputs.output_dir)),
        ("fig03_qualitative", lambda: face_sheets.run_fig03(material)),
        ("supp_face_decoder", lambda: decoder_views.run(material)),
        (
            "fig04_attributes",
            lambda: attribute_agreement.run_fig04(material, *asked),
        ),
        ("fig05_craniofacial", lambda: craniofacial.run(material, "detected")),
        ("table2_feature_similarity", lambda: feature_tables.run_table_2(material)),
        ("table3_retrieval", lambda: feature_tables.run_table_3(material)),
        ("fig07_retrieval_examples", lambda: face_sheets.run_fig07(material)),
        ("supp_tsne", lambda: feature_map.run(material)),
        ("fig06_duration", lambda: face_sheets.run_fig06(material)),
        ("fig08_convergence", lambda: run_comparison.run_fig08(run_dirs, inputs)),
        ("ablations", lambda: run_comparison.run_ablations(runs.run_dirs, inputs)),
        (
            "supp_pixel_loss",
            lambda: run_comparison.run_pixel_loss(runs.run_dirs, inputs),
        ),
        ("fig09_consistency", lambda: face_sheets.run_fig09(material)),
        ("fig10_language", lambda: face_sheets.run_fig10(material)),
        ("fig11_failures", lambda: attribute_agreement.run_fig11(material, *asked)),
        ("fig12_cartoon", lambda: cartoon.run(material)),
    ]


def _own_run(inputs: Inputs) -> Tuple[str, ...]:
    """The measured model itself, if it is a run folder with a log."""
    has_config = (pathlib.Path(inputs.run_dir) / checkpoints.CONFIG_FILE).is_file()
    if inputs.run_dir and has_config and read_log(inputs.run_dir):
        return (inputs.run_dir,)
    return ()


def _table_1(output_dir: str) -> Result:
    tables = architecture_tables.paper_tables()
    architecture_tables.write(tables, output_dir)
    rows = []
    for table in tables:
        pairs = zip(table.layers, table.published)
        n_different = sum(bool(layer.differences(source)) for layer, source in pairs)
        keys = {"network": table.title}
        rows += [
            Row({**keys, "measure": "parameters"}, ours=table.n_parameters),
            Row({**keys, "measure": "GMAC"}, ours=table.giga_multiply_adds),
            Row({**keys, "measure": "layers that differ"}, ours=n_different),
        ]
    return Result(
        name="table1_architecture",
        title="Table 1. Architecture",
        shows="The three networks at paper size, built and compared with what is "
        "published; layer by layer in the files.",
        rows=rows,
    )


def _section(outcome: Outcome) -> str:
    command = f"python -m experiments.{outcome.name}"
    if outcome.result is None:
        return (
            f"<h3>{html.escape(outcome.name)}</h3>"
            f'<p class="note">Not run: {html.escape(outcome.reason)}</p>'
        )
    result = outcome.result
    parts = [f'<h3 id="{result.name}">{html.escape(result.title)}</h3>']
    parts.append(f"<p>{html.escape(result.shows)}</p>")
    if result.picture:
        parts.append(f'<img alt="{html.escape(result.title)}" src="{result.name}.png">')
    parts.append(_table(result))
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in result.notes)
    links = [f'<a href="{result.name}.md">Markdown</a>']
    if result.rows:
        links.append(f'<a href="{result.name}.csv">CSV</a>')
    parts.append(
        f'<ul class="note">{notes}<li><code>{command}</code>, {", ".join(links)}'
        f"</li></ul>"
    )
    return "\n".join(parts)


def _table(result: Result) -> str:
    lines = common.table(result)
    if not lines:
        return ""
    n_keys = len(result.rows[0].keys)
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in lines[0])
    body = []
    for line in lines[1:]:
        cells = [f"<td>{html.escape(cell)}</td>" for cell in line[:n_keys]]
        cells += [f'<td class="number">{html.escape(c)}</td>' for c in line[n_keys:]]
        body.append(f"<tr>{''.join(cells)}</tr>")
    table = f"<table><tr>{head}</tr>{''.join(body)}</table>"
    if len(body) <= 20:
        return table
    return f"<details><summary>{len(body)} rows</summary>{table}</details>"


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Speech2Face: results</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto;
       padding: 0 1rem; color: #222; }
table { border-collapse: collapse; font-size: 14px; margin: 1rem 0; }
th, td { padding: .2rem .7rem; text-align: left; border-bottom: 1px solid #ddd; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
img { max-width: 100%; } .note { color: #666; font-size: 14px; }
h2 { margin-top: 3rem; border-bottom: 2px solid #ddd; }
</style>
<body>
BODY
</body>
</html>
"""
