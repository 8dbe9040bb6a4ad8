"""Installs speech2face; `constraints.txt` holds the versions it is tested with."""

import pathlib
import re
import sys

import setuptools
from setuptools.command import build_py

# Those of tensorflow-io 0.37.1 and TensorFlow 2.16.
FIRST_PYTHON, LAST_PYTHON = (3, 10), (3, 12)
if not FIRST_PYTHON <= sys.version_info[:2] <= LAST_PYTHON:
    # pip 24 looks at `python_requires` last: with 3.13 it would first compile numpy.
    sys.exit(
        "speech2face needs Python 3.{} to 3.{}, and this is {}.{}; with make: "
        "make install PYTHON=python3.11".format(
            FIRST_PYTHON[1], LAST_PYTHON[1], *sys.version_info[:2]
        )
    )

EXTRAS = {
    # Building data sets: Beam runs the pipeline, yt-dlp fetches AVSpeech.
    "prep": ["apache-beam>=2.60", "yt-dlp"],
    # The generated sample people: a speech synthesizer (GPL), hence apart.
    "sample": ["espeakng-loader>=0.2"],
    # Tables and figures of the paper.
    "experiments": [
        "jinja2>=3.1",  # the pages of results
        "matplotlib>=3.7",
        "opencv-python-headless>=4.8",  # cartoons
        "requests>=2.28",  # --provider=facepp
        "scikit-learn>=1.3",
        "scipy>=1.10",
    ],
    # The web page.
    "app": [
        "gradio>=6.31",  # serves its own fonts and scripts
        "jinja2>=3.1",  # what the page shows
        "opencv-python-headless>=4.8",  # cartoons
    ],
    # --data_dir=s3://..., gs://...
    "buckets": ["fsspec>=2024.2", "gcsfs>=2024.2", "s3fs>=2024.2"],
    # Models for other runtimes.
    "export": ["onnx>=1.16", "onnxruntime>=1.17", "tf2onnx>=1.16"],
    # The book of `make docs`.
    "docs": [
        "mkdocs>=1.6",
        "mkdocs-material>=9.5",
        "mkdocstrings[python]>=0.26",
    ],
    "test": [
        "codespell>=2.3",
        "hypothesis>=6.100",
        "import-linter>=2.0",
        # An S3 server, as moto's extra "server" without the other services' packages.
        "flask>=3.0",
        "flask-cors>=4.0",
        "ipykernel>=6.29",  # the notebooks of examples
        "moto[s3]>=5.0",
        "mypy>=1.11",
        "nbclient>=0.10",
        "playwright>=1.45",  # the web page in the machine's Chromium
        "pytest>=8.0",
        "pytest-cov>=5.0",
        "pytest-xdist>=3.6",
        "ruff>=0.6",
    ],
}
EXTRAS["all"] = sorted({package for extra in EXTRAS.values() for package in extra})
# Not part of "all": NVIDIA's libraries are 3 GB.
EXTRAS["gpu"] = ["tensorflow[and-cuda]>=2.16"]

# Each command is `python -m package.command` and a script `speech2face-command`.
COMMANDS = (
    "train",
    "train_face_decoder",
    "calibrate_loss",
    "evaluate",
    "reconstruct",
    "retrieve",
    "export",
    "import_vgg_face",
    "app",
    "build_tfrecords",
    "build_decoder_tfrecords",
    "download_avspeech",
    "inspect_tfrecords",
    "sample_people",
    "demo",
    "run_all",
)
SCRIPTS = [
    f"speech2face-{name.replace('_', '-')} = speech2face.console:{name}"
    for name in COMMANDS
]

# Read, not imported: an isolated build does not have the repository on its path.
VERSION_FILE = pathlib.Path(__file__).with_name("speech2face") / "version.py"
VERSION = re.search(r'__version__ = "(.+)"', VERSION_FILE.read_text())[1]


class BuildWithFlagFiles(build_py.build_py):
    """Puts the flag files, which lie beside the packages, into `speech2face`.

    No symbolic link does it: archives, Windows and some ways to copy a repository lose
    them. An editable install reads the folder where it is.
    """

    def run(self) -> None:
        """Builds, and copies the flag files, unless the install is an editable one."""
        super().run()
        if not self.editable_mode:
            for source, target in self._flag_files():
                self.mkpath(str(target.parent))
                self.copy_file(str(source), str(target))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Returns the paths of everything that `run` writes."""
        targets = [str(target) for _, target in self._flag_files()]
        return [*super().get_outputs(include_bytecode), *targets]

    def _flag_files(self) -> list[tuple[pathlib.Path, pathlib.Path]]:
        folder = pathlib.Path(self.build_lib, "speech2face", "configs")
        sources = sorted(pathlib.Path(__file__).with_name("configs").glob("*.flags"))
        return [(source, folder / source.name) for source in sources]


setuptools.setup(
    name="speech2face",
    version=VERSION,
    description="Speech2Face (CVPR 2019) in TensorFlow/Keras: a face from a voice",
    long_description=pathlib.Path(__file__).with_name("README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=setuptools.find_packages(
        include=["speech2face*", "data_prep*", "experiments*"]
    ),
    package_data={
        "speech2face": [
            "py.typed",
            "examples/*",
            "keras_home/*",
            "pretrained/**/*",
            "web/templates/*",
        ],
        "experiments": ["templates/*"],
    },
    cmdclass={"build_py": BuildWithFlagFiles},
    entry_points={"console_scripts": SCRIPTS},
    python_requires=f">=3.{FIRST_PYTHON[1]},<3.{LAST_PYTHON[1] + 1}",
    install_requires=[
        "absl-py>=2.0",
        "av>=12.0,<19",  # 19 takes no `metadata_errors`: old titles are not UTF-8
        "dlib-bin>=19.24",  # the module `dlib` as a wheel
        "face_recognition_models>=0.3.0",  # dlib's weights
        "h5py>=3.8",
        "librosa>=0.10",
        "numpy>=1.23",
        "pillow>=10.1",
        "setuptools<81",  # face_recognition_models imports pkg_resources
        "scikit-learn>=1.3",  # prototypes of a recognizer without a classifier
        "scipy>=1.10",
        "soundfile>=0.12",
        "soxr>=0.3",
        "tensorboard>=2.16",  # summaries; the newest TensorFlow leaves it out
        "tensorflow>=2.16",
        "tensorflow-io>=0.37.1",
        "tqdm>=4.60",
        "webrtcvad-wheels>=2.0.11",  # --trim_silence
    ],
    extras_require=EXTRAS,
)
