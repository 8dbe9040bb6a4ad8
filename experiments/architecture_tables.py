"""The three networks of the paper at its size, as tables beside what is published."""

import csv
import dataclasses
import io
import pathlib
from typing import Dict, List, Sequence

import keras
import numpy as np

from experiments import architecture, published
from experiments.architecture import BuiltLayer, text
from experiments.published import PublishedLayer
from speech2face import audio, files
from speech2face.config import AudioConfig, FaceDecoderConfig, VoiceEncoderConfig
from speech2face.models import face_decoder, vgg_face, voice_encoder

FEATURE_DIM = 4096
_BUILT_COLUMNS = (
    *("layer", "operations", "kernel", "stride", "channels"),
    *("output", "output_3_secs", "parameters", "gmac"),
)
_PUBLISHED_COLUMNS = (
    *("published_operations", "published_kernel"),
    *("published_stride", "published_channels"),
)


@dataclasses.dataclass(frozen=True)
class Table:
    """One network.

    Attributes:
      title: heading.
      shape_titles: heading of each column of output shapes.
      input_shapes: of the network, one for each column, without batch.
      layers: as built.
      published: as published, row by row.
      published_input: as published, for the first column.
      notes: what a reader needs to know about the differences.
    """

    title: str
    shape_titles: Sequence[str]
    input_shapes: Sequence[architecture.Shape]
    layers: List[BuiltLayer]
    published: Sequence[PublishedLayer]
    published_input: architecture.Shape
    notes: str

    @property
    def n_parameters(self) -> int:
        """Of the network."""
        return sum(layer.n_parameters for layer in self.layers)

    @property
    def giga_multiply_adds(self) -> float:
        """Of one example."""
        return sum(layer.multiply_adds for layer in self.layers) / 1e9


def paper_tables() -> List[Table]:
    """Returns the voice encoder, VGG-Face and the face decoder, at paper size."""
    with keras.StatelessScope(initialize_variables=False):  # shapes without weights
        return [_voice_encoder_table(), _vgg_face_table(), _face_decoder_table()]


def to_markdown(tables: Sequence[Table]) -> str:
    """Returns all tables as Markdown."""
    return "\n".join(_section(table) for table in tables)


def to_csv(tables: Sequence[Table]) -> str:
    """Returns all layers of all tables as one CSV."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["network", *_BUILT_COLUMNS, *_PUBLISHED_COLUMNS, "difference"])
    for table in tables:
        for layer, source in zip(table.layers, table.published):
            shapes = [text(shape) for shape in layer.output_shapes]
            writer.writerow(
                [table.title, layer.name, layer.operations]
                + [text(v) for v in (layer.kernel, layer.stride)]
                + [layer.channels, shapes[0], shapes[1] if shapes[1:] else ""]
                + [layer.n_parameters, f"{layer.multiply_adds / 1e9:.4f}"]
                + [text(source.operations), text(source.kernel), text(source.stride)]
                + [text(source.channels), layer.differences(source)]
            )
    return stream.getvalue()


def write(tables: Sequence[Table], output_dir: str) -> List[pathlib.Path]:
    """Writes table1_architecture.md and .csv; returns their paths."""
    stem = pathlib.Path(output_dir) / "table1_architecture"
    contents = {".md": to_markdown(tables), ".csv": to_csv(tables)}
    for suffix, content in contents.items():
        files.write_atomically(stem.with_suffix(suffix), content.encode())
    return [stem.with_suffix(suffix) for suffix in contents]


def _voice_encoder_table() -> Table:
    model = voice_encoder.build_table_1(VoiceEncoderConfig(), FEATURE_DIM)
    input_shapes = [
        (audio.n_frames(round(secs * audio.SAMPLE_RATE_HZ)), audio.N_BANDS, 2)
        for secs in (AudioConfig().clip_secs, 3.0)
    ]
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
    model = vgg_face.build_vgg_face()
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
    landmarks = np.full([face_decoder.N_LANDMARKS, 2], face_decoder.IMAGE_PX / 2)
    model = face_decoder.build_face_decoder(FaceDecoderConfig(), FEATURE_DIM, landmarks)
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
    model: keras.Model,
    source: Sequence[PublishedLayer],
    shapes: Sequence[Dict[str, architecture.Shape]],
) -> List[BuiltLayer]:
    return architecture.built_layers(model, [layer.name for layer in source], shapes)


def _section(table: Table) -> str:
    header = ["layer", "operations", "kernel", "stride", "channels"]
    header += [*table.shape_titles, "parameters", "GMAC"]
    header += ["published: operations", "kernel", "stride", "channels", "difference"]
    rows = [header, ["---"] * len(header), _input_row(table)]
    rows += [_row(*pair) for pair in zip(table.layers, table.published)]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    n_different = sum(bool(row[-1]) for row in rows[2:])
    return "\n".join(
        [
            f"## {table.title}",
            "",
            *lines,
            "",
            f"{table.n_parameters:,} parameters, {table.giga_multiply_adds:.1f} GMAC; "
            f"{n_different} of {len(table.layers)} layers differ. {table.notes}",
            "",
        ]
    )


def _input_row(table: Table) -> List[str]:
    source = text(table.published_input)
    same = tuple(table.input_shapes[0]) == table.published_input
    built = ["input", "", "", "", "", *map(text, table.input_shapes), "", ""]
    return built + [source, "", "", "", "" if same else "**input**"]


def _row(layer: BuiltLayer, source: PublishedLayer) -> List[str]:
    difference = layer.differences(source)
    return [
        layer.name,
        layer.operations,
        *(text(v) for v in (layer.kernel, layer.stride, layer.channels)),
        *(text(shape) for shape in layer.output_shapes),
        text(layer.n_parameters),
        f"{layer.multiply_adds / 1e9:.3f}",
        text(source.operations),
        *(text(v) for v in (source.kernel, source.stride, source.channels)),
        f"**{difference}**" if difference else "",
    ]
