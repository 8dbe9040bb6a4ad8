"""The files of face decoders and bundles, and a check of them without TensorFlow."""

from speech2face.files import FolderKind, PathLike, as_path

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "decoder.npz"
ASSETS_FILE = "assets.npz"
RECOGNIZER_FILE = "recognizer.json"
DECODER_DIR = "decoder"  # of a run folder or a bundle
ENCODER_FILE = "voice_encoder.npz"  # of a bundle

# What `files.atomic_path` may replace.
_DECODER_FILES = (CONFIG_FILE, WEIGHTS_FILE, ASSETS_FILE, RECOGNIZER_FILE)
DECODER_KIND = FolderKind("a face decoder", (WEIGHTS_FILE,), _DECODER_FILES)
BUNDLE_KIND = FolderKind(
    "a bundle",
    (ENCODER_FILE,),
    ("config.json", ENCODER_FILE, *(f"{DECODER_DIR}/{n}" for n in _DECODER_FILES)),
)


def check_decoder_folder(folder: PathLike) -> None:
    """Checks that a folder holds a face decoder, without loading it.

    Raises:
      FileNotFoundError: a file is missing.
    """
    run_dir = as_path(folder).parent
    if not as_path(folder).exists() and (run_dir / "run.json").is_file():
        raise FileNotFoundError(
            f"{folder} does not exist: the training in {run_dir} has not ended; give "
            "its command again, and this one when it has"
        )
    for name in _DECODER_FILES:
        if not (as_path(folder) / name).is_file():
            raise FileNotFoundError(
                f"{folder} is not a face decoder (no {name}); train one with "
                "speech2face.train_face_decoder"
            )
