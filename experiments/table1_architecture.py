"""Table 1 as built, layer by layer, beside the paper's; also VGG-Face and the decoder.

    python -m experiments.table1_architecture --output_dir=results

Writes table1_architecture.md and .csv. Nothing is trained or loaded; the networks are
built at paper size without memory for their weights.
"""

import csv
import dataclasses
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments.lib import architecture, published, results
from experiments.lib.architecture import BuiltLayer, Shape, text
from experiments.lib.experiment import Experiment, Section
from experiments.lib.published import PublishedLayer
from experiments.lib.results import Result, Row
from speech2face import paper
from speech2face.config import AudioConfig, FaceDecoderConfig, VoiceEncoderConfig
from speech2face.options import Options, option, run_command

if TYPE_CHECKING:
    import keras

NAME = "table1_architecture"
SHORT_SECS = 3.0  # Table 2's shorter clips; a second column of output shapes
_CSV_COLUMNS = [
    "network",
    "layer",
    "operations",
    "kernel",
    "stride",
    "channels",
    "output",
    "output_3_secs",
    "parameters",
    "gmac",
    "published_operations",
    "published_kernel",
    "published_stride",
    "published_channels",
    "difference",
]


@dataclasses.dataclass(frozen=True)
class Table1Options(Options):
    """Output folder."""

    output_dir: str = option("results", "Folder for the table.")


@dataclasses.dataclass(frozen=True)
class Table:
    """One network.

    Attributes:
      title: heading.
      shape_titles: headings of the columns of output shapes.
      input_shapes: input shapes of the network, one for each column, without the batch.
      layers: rows of the network as it is built.
      published: rows as published.
      published_input: input shape as published, for the first column.
      notes: what a reader needs to know about the differences.
    """

    title: str
    shape_titles: Sequence[str]
    input_shapes: Sequence[Shape]
    layers: list[BuiltLayer]
    published: Sequence[PublishedLayer]
    published_input: Shape
    notes: str

    @property
    def n_different(self) -> int:
        """Number of layers that differ from the published ones."""
        pairs = zip(self.layers, self.published)
        return sum(bool(layer.differences(source)) for layer, source in pairs)

    @property
    def n_parameters(self) -> int:
        """Weights of the network."""
        return sum(layer.n_parameters for layer in self.layers)

    @property
    def giga_multiply_adds(self) -> float:
        """Multiplications with additions for one example, in billions."""
        return sum(layer.multiply_adds for layer in self.layers) / 1e9


def build_tables() -> list[Table]:
    """Returns the voice encoder, VGG-Face and the face decoder, at paper size."""
    import keras

    with keras.StatelessScope(initialize_variables=False):  # shapes without weights
        return [_voice_encoder_table(), _vgg_face_table(), _face_decoder_table()]


def _voice_encoder_table() -> Table:
    from speech2face.audio import spectrogram
    from speech2face.models import voice_encoder

    model = voice_encoder.build_table_1(
        VoiceEncoderConfig(), paper.VGG_FACE_FEATURE_DIM
    )
    n_samples = [
        round(secs * paper.SAMPLE_RATE_HZ)
        for secs in (AudioConfig().clip_secs, SHORT_SECS)
    ]
    input_shapes = [(spectrogram.n_frames(n), paper.N_BANDS, 2) for n in n_samples]
    shapes = [architecture.shapes_for(model, shape) for shape in input_shapes]
    return Table(
        title="Voice encoder (Table 1)",
        shape_titles=["output, 6 s", "output, 3 s"],
        input_shapes=input_shapes,
        layers=_layers(model, published.TABLE_1, shapes),
        published=published.TABLE_1,
        published_input=published.TABLE_1_INPUT,
        notes="Time × frequency. A 1 × 1 convolution would leave 57 features, one for "
        "each frequency; the first FC therefore takes all of them.",
    )


def _vgg_face_table() -> Table:
    from speech2face.models import vgg_face

    model = vgg_face.build_vgg_face()  # of one input size: one column of shapes
    return Table(
        title="VGG-Face (Parkhi et al. 2015)",
        shape_titles=["output"],
        input_shapes=[model.input_shape[1:]],
        layers=_layers(model, published.VGG_FACE, [architecture.static_shapes(model)]),
        published=published.VGG_FACE,
        published_input=published.VGG_FACE_INPUT,
        notes="Height × width. The face feature is fc7 before its ReLU.",
    )


def _face_decoder_table() -> Table:
    from speech2face.models import face_decoder

    # Any mean landmarks do: only shapes are read.
    landmarks = np.full([paper.N_LANDMARKS, 2], paper.FACE_PX / 2)
    model = face_decoder.build_face_decoder(
        FaceDecoderConfig(), paper.VGG_FACE_FEATURE_DIM, landmarks
    )
    shapes = [architecture.static_shapes(model)]
    return Table(
        title="Face decoder (Cole et al. 2017)",
        shape_titles=["output"],
        input_shapes=[model.input_shape[1:]],
        layers=_layers(model, published.FACE_DECODER, shapes),
        published=published.FACE_DECODER,
        published_input=published.FACE_DECODER_INPUT,
        notes="Height × width. The depth and widths of the landmark branch are not "
        "published; the warp has no weights and is not counted.",
    )


def _layers(
    model: "keras.Model",
    source: Sequence[PublishedLayer],
    shapes: Sequence[dict[str, Shape]],
) -> list[BuiltLayer]:
    return architecture.built_layers(model, [layer.name for layer in source], shapes)


def run() -> Result:
    """Builds the networks; the files hold them layer by layer, the rows their sums."""
    tables = build_tables()
    rows = []
    for table in tables:
        keys = {"network": table.title}
        rows += [
            Row({**keys, "measure": "parameters"}, ours=table.n_parameters),
            Row({**keys, "measure": "GMAC"}, ours=table.giga_multiply_adds),
            Row({**keys, "measure": "layers that differ"}, ours=table.n_different),
        ]
    return Result(
        name=NAME,
        title="Table 1. Architecture",
        shows="The three networks at paper size, built and compared with what is "
        "published; layer by layer in the files.",
        rows=rows,
        document={"md": render_markdown(tables), "csv": render_csv(tables)},
    )


def render_markdown(tables: Sequence[Table]) -> str:
    """Returns all tables as Markdown."""
    return "\n".join(_section(table) for table in tables)


def render_csv(tables: Sequence[Table]) -> str:
    """Returns all layers of all tables as one CSV."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for table in tables:
        for layer, source in zip(table.layers, table.published):
            shapes = [text(shape) for shape in layer.output_shapes]
            writer.writerow(
                [
                    table.title,
                    layer.name,
                    layer.operations,
                    text(layer.kernel),
                    text(layer.stride),
                    layer.channels,
                    shapes[0],
                    shapes[1] if len(shapes) > 1 else "",
                    layer.n_parameters,
                    f"{layer.multiply_adds / 1e9:.4f}",
                    text(source.operations),
                    text(source.kernel),
                    text(source.stride),
                    text(source.channels),
                    layer.differences(source),
                ]
            )
    return stream.getvalue()


def _section(table: Table) -> str:
    header = [
        "layer",
        "operations",
        "kernel",
        "stride",
        "channels",
        *table.shape_titles,
        "parameters",
        "GMAC",
        "published: operations",
        "kernel",
        "stride",
        "channels",
        "difference",
    ]
    rows = [header, ["---"] * len(header), _input_row(table)]
    rows += [_row(*pair) for pair in zip(table.layers, table.published)]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(
        [
            f"## {table.title}",
            "",
            *lines,
            "",
            f"{table.n_parameters:,} parameters, {table.giga_multiply_adds:.1f} GMAC; "
            f"{table.n_different} of {len(table.layers)} layers differ. {table.notes}",
            "",
        ]
    )


def _input_row(table: Table) -> list[str]:
    source = text(table.published_input)
    same = tuple(table.input_shapes[0]) == table.published_input
    built = ["input", "", "", "", "", *map(text, table.input_shapes), "", ""]
    return [*built, source, "", "", "", "" if same else "**input**"]


def _row(layer: BuiltLayer, source: PublishedLayer) -> list[str]:
    difference = layer.differences(source)
    return [
        layer.name,
        layer.operations,
        text(layer.kernel),
        text(layer.stride),
        text(layer.channels),
        *(text(shape) for shape in layer.output_shapes),
        text(layer.n_parameters),
        f"{layer.multiply_adds / 1e9:.3f}",
        text(source.operations),
        text(source.kernel),
        text(source.stride),
        text(source.channels),
        f"**{difference}**" if difference else "",
    ]


EXPERIMENT = Experiment(NAME, Section.MODEL, run, takes=())


def main(options: Table1Options) -> None:
    """Prints the tables and writes them."""
    results.finish(run(), options.output_dir)


if __name__ == "__main__":
    run_command(main, Table1Options)
