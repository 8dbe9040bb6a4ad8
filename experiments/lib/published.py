"""Numbers and layer tables as published; nothing here is computed or chosen by us.

Constants are named after their item in the paper (Oh et al., CVPR 2019). `_N` is the
number of examples that the paper measured.
"""

from typing import NamedTuple

import numpy as np


class PublishedLayer(NamedTuple):
    """One layer of a published architecture; None where the source says nothing.

    Attributes:
      name: our name of the layer.
      operations: what it does, in order.
      channels: channels or units that come out.
      stride: time x frequency, or height x width.
      kernel: likewise; 'inf' is all of time.
    """

    name: str
    operations: str | None
    channels: int | None
    stride: tuple[int, int] | None
    kernel: tuple[float, int] | None


INF = float("inf")

# Oh et al., CVPR 2019, Table 1 (time x frequency), for an input of 598 x 257 x 2.
TABLE_1 = (
    PublishedLayer("conv1", "CONV RELU BN", 64, (1, 1), (4, 4)),
    PublishedLayer("conv2", "CONV RELU BN", 64, (1, 1), (4, 4)),
    PublishedLayer("conv3", "CONV RELU BN", 128, (1, 1), (4, 4)),
    PublishedLayer("maxpool3", "MAXPOOL", None, (2, 1), (2, 1)),
    PublishedLayer("conv4", "CONV RELU BN", 128, (1, 1), (4, 4)),
    PublishedLayer("maxpool4", "MAXPOOL", None, (2, 1), (2, 1)),
    PublishedLayer("conv5", "CONV RELU BN", 128, (1, 1), (4, 4)),
    PublishedLayer("maxpool5", "MAXPOOL", None, (2, 1), (2, 1)),
    PublishedLayer("conv6", "CONV RELU BN", 256, (1, 1), (4, 4)),
    PublishedLayer("maxpool6", "MAXPOOL", None, (2, 1), (2, 1)),
    PublishedLayer("conv7", "CONV RELU BN", 512, (1, 1), (4, 4)),
    PublishedLayer("conv8", "CONV RELU BN", 512, (2, 2), (4, 4)),
    PublishedLayer("conv9", "CONV", 512, (2, 2), (4, 4)),
    PublishedLayer("avgpool", "AVGPOOL RELU BN", None, (1, 1), (INF, 1)),
    PublishedLayer("fc1", "FC RELU", 4096, (1, 1), (1, 1)),
    PublishedLayer("fc2", "FC", 4096, (1, 1), (1, 1)),
)
TABLE_1_INPUT = (598, 257, 2)  # for 6 seconds

# Parkhi et al., BMVC 2015, Table 3, network D. Its softmax is not part of fc8 here.
VGG_FACE = (
    PublishedLayer("conv1_1", "CONV RELU", 64, (1, 1), (3, 3)),
    PublishedLayer("conv1_2", "CONV RELU", 64, (1, 1), (3, 3)),
    PublishedLayer("pool1", "MAXPOOL", None, (2, 2), (2, 2)),
    PublishedLayer("conv2_1", "CONV RELU", 128, (1, 1), (3, 3)),
    PublishedLayer("conv2_2", "CONV RELU", 128, (1, 1), (3, 3)),
    PublishedLayer("pool2", "MAXPOOL", None, (2, 2), (2, 2)),
    PublishedLayer("conv3_1", "CONV RELU", 256, (1, 1), (3, 3)),
    PublishedLayer("conv3_2", "CONV RELU", 256, (1, 1), (3, 3)),
    PublishedLayer("conv3_3", "CONV RELU", 256, (1, 1), (3, 3)),
    PublishedLayer("pool3", "MAXPOOL", None, (2, 2), (2, 2)),
    PublishedLayer("conv4_1", "CONV RELU", 512, (1, 1), (3, 3)),
    PublishedLayer("conv4_2", "CONV RELU", 512, (1, 1), (3, 3)),
    PublishedLayer("conv4_3", "CONV RELU", 512, (1, 1), (3, 3)),
    PublishedLayer("pool4", "MAXPOOL", None, (2, 2), (2, 2)),
    PublishedLayer("conv5_1", "CONV RELU", 512, (1, 1), (3, 3)),
    PublishedLayer("conv5_2", "CONV RELU", 512, (1, 1), (3, 3)),
    PublishedLayer("conv5_3", "CONV RELU", 512, (1, 1), (3, 3)),
    PublishedLayer("pool5", "MAXPOOL", None, (2, 2), (2, 2)),
    PublishedLayer("fc6", "FC RELU", 4096, (1, 1), (7, 7)),
    PublishedLayer("fc7", "FC RELU", 4096, (1, 1), (1, 1)),
    PublishedLayer("fc8", "FC", 2622, (1, 1), (1, 1)),
)
VGG_FACE_INPUT = (224, 224, 3)

# Cole et al., CVPR 2017, Fig. 3, with f_dec of Oh et al. (1000). The landmark branch is
# a "shallow" perceptron of unstated depth and width.
FACE_DECODER = (
    PublishedLayer("f_dec", "FC RELU", 1000, None, None),
    PublishedLayer("landmarks_fc_1", None, None, None, None),
    PublishedLayer("landmarks_fc_2", None, None, None, None),
    PublishedLayer("landmarks_fc_out", "FC", 68 * 2, None, None),
    PublishedLayer("texture_fc", "FC RELU", 14 * 14 * 256, None, None),
    PublishedLayer("texture_deconv_1", "DECONV RELU", 128, (2, 2), (5, 5)),
    PublishedLayer("texture_deconv_2", "DECONV RELU", 64, (2, 2), (5, 5)),
    PublishedLayer("texture_deconv_3", "DECONV RELU", 32, (2, 2), (5, 5)),
    PublishedLayer("texture_deconv_4", "DECONV RELU", 32, (2, 2), (5, 5)),
    PublishedLayer("texture_rgb", "CONV", 3, (1, 1), (1, 1)),
)
FACE_DECODER_INPUT = (4096,)

# Table 2: mean and standard deviation over 5,000 clips, by seconds of audio.
TABLE_2 = {
    3: {"cos_deg": (48.43, 6.01), "l2": (0.19, 0.03), "l1": (9.81, 1.74)},
    6: {"cos_deg": (45.75, 5.09), "l2": (0.18, 0.02), "l1": (9.42, 1.54)},
}

# Table 3: recall in % at K = 1, 2, 5, 10, by (seconds of audio, metric). Its random row
# of 1, 2, 5 and 10 % shows that K is a percentage of the gallery:
# docs/decisions/retrieval-recall.md.
TABLE_3_KS = (1, 2, 5, 10)
TABLE_3 = {
    (3, "l2"): (5.86, 10.02, 18.98, 28.92),
    (3, "l1"): (6.22, 9.92, 18.94, 28.70),
    (3, "cos"): (8.54, 13.64, 24.80, 38.54),
    (6, "l2"): (8.28, 13.66, 24.66, 35.84),
    (6, "l1"): (8.34, 13.70, 24.66, 36.22),
    (6, "cos"): (10.92, 17.00, 30.60, 45.82),
}
TABLE_3_N = 5_000  # faces in the gallery

# The supplementary page prints "Actual rank: r/5000" for 100 random queries. Their
# median; their recalls are those of Table 3 for 6 s and cosine.
MEDIAN_RANK, MEDIAN_RANK_N = 550, 100
MEDIAN_RANK_COLUMN = (6, "cos")
# The same page, summed up: mean, and percent of the queries whose true face is within
# the nearest 1, 2, 5 and 10 % (ranks to 50, 100, 250 and 500).
RANDOM_RETRIEVALS_MEAN_RANK = 919
RANDOM_RETRIEVALS_WITHIN = {1: 10, 2: 13, 5: 31, 10: 46}

# Fig. 4(a), and the matrices of F2F in the supplementary (Fig. 4 there): rows of the
# original face, columns of the reconstruction, in this order of classes. Of age, only
# the diagonal is known; its classes are printed as 10, 20, ... 70.
FIG_4_CLASSES = {
    "gender": ("male", "female"),
    "age": ("<20", "20", "30", "40", "50", "60", "70"),
    "ethnicity": ("asian", "black", "india", "white"),
}
FIG_4_MATRICES = {
    ("gender", "s2f"): ((0.94, 0.06), (0.06, 0.94)),
    ("gender", "f2f"): ((0.98, 0.02), (0.11, 0.89)),
    ("ethnicity", "s2f"): (
        (0.50, 0.03, 0.10, 0.38),
        (0.27, 0.11, 0.13, 0.49),
        (0.27, 0.13, 0.13, 0.48),
        (0.30, 0.04, 0.05, 0.61),
    ),
    ("ethnicity", "f2f"): (
        (0.71, 0.01, 0.03, 0.24),
        (0.21, 0.41, 0.12, 0.25),
        (0.20, 0.12, 0.55, 0.14),
        (0.15, 0.02, 0.06, 0.76),
    ),
}
FIG_4_AGE_DIAGONAL = {
    "s2f": (0.00, 0.26, 0.32, 0.33, 0.30, 0.16, 0.35),
    "f2f": (0.00, 0.58, 0.42, 0.46, 0.52, 0.40, 0.61),
}

# Fig. 4(b): how many of 4,986 faces are of each class. The numbers are garbled in the
# text of the PDF by a constant offset of the character codes; decoded, each group adds
# up to 4,986, and the ages have the printed percentages. Face++'s classes, in order.
# The youngest class is printed "<10", but holds all faces under 20: there is no other
# class of theirs, and the matrices call it 10.
FIG_4_N = 4_986
FIG_4_COUNTS = {
    "gender": {"male": 3119, "female": 1867},
    "age": {
        "<20": 97,
        "20": 1464,
        "30": 1372,
        "40": 937,
        "50": 609,
        "60": 322,
        "70": 167,
        ">80": 18,
    },
    "ethnicity": {"white": 2505, "india": 435, "black": 603, "asian": 1443},
}


def fig_4_diagonal(attribute: str, side: str) -> dict[str, float]:
    """The paper's agreement in each class of an attribute, on 's2f' or 'f2f'."""
    classes = FIG_4_CLASSES[attribute]
    if attribute == "age":
        return dict(zip(classes, FIG_4_AGE_DIAGONAL[side]))
    matrix = FIG_4_MATRICES[attribute, side]
    return {name: row[i] for i, (name, row) in enumerate(zip(classes, matrix))}


def fig_4_agreement(attribute: str, side: str) -> float:
    """The paper's agreement: its classes, weighted by how many faces each has."""
    diagonal = fig_4_diagonal(attribute, side)
    counts = FIG_4_COUNTS[attribute]
    weights = [counts[name] for name in diagonal]
    return float(np.average(list(diagonal.values()), weights=weights))


def fig_4_matrix(attribute: str, side: str) -> np.ndarray:
    """The paper's row rates; NaN where they are not known."""
    if attribute == "age":
        diagonal = FIG_4_AGE_DIAGONAL[side]
        matrix = np.full([len(diagonal)] * 2, np.nan)
        np.fill_diagonal(matrix, diagonal)
        return matrix
    return np.array(FIG_4_MATRICES[attribute, side])


# Fig. 5(c): Pearson's r between F2F and S2F, each with p < 0.001. It says 1,000 clips;
# the authors' statistics file has the same r to three digits and names the rest.
FIG_5 = {
    "upper lip height": 0.16,
    "lateral upper lip heights": 0.26,
    "jaw width": 0.11,
    "nose height": 0.14,
    "nose width": 0.35,
    "labio oral region": 0.17,
    "mandibular idx": 0.20,
    "intercanthal idx": 0.21,
    "nasal index": 0.38,
    "vermilion height idx": 0.29,
    "mouth face width idx": 0.20,
    "nose area": 0.28,
}
FIG_5_RANDOM = 0.02  # nasal index of random pairs
FIG_5_N = 1_000
FIG_5_N_PUBLISHED = 968  # pairs of pictures on the project page; r and p imply them
FIG_5_EXAGGERATION = 0.7  # of S2F: docs/decisions/exaggeration.md
FIG_5_ITERATION = 770_001  # of the model, 3.62 epochs

# Fig. 8: what its axes show; the curves themselves are a picture.
FIG_8_ITERATIONS = (40_000, 120_000)
FIG_8_LOSS = (1.42, 1.50)


class PublishedScore(NamedTuple):
    """Scores of a later paper on HQ-VoxCeleb; None where it reports none.

    Attributes:
      cosine: cosine of the embeddings of a generated face and of the speaker's faces.
      recall_5: recall@5 in percent.
      recall_10: recall@10 in percent.
      vggface_score: mean of the parts.
      vggface_score_sd: standard deviation of the parts.
    """

    cosine: float | None = None
    recall_5: float | None = None
    recall_10: float | None = None
    vggface_score: float | None = None
    vggface_score_sd: float | None = None


# README of github.com/BAI-Yeqi/SF2F_PyTorch, by method and side of the pictures in px.
SF2F_README = {
    ("Voice2Face", 64): PublishedScore(None, None, None, 15.47, 0.67),
    ("SF2F without fuser", 64): PublishedScore(None, None, None, 18.59, 0.87),
    ("SF2F", 64): PublishedScore(None, None, None, 19.49, 0.59),
    ("SF2F without fuser", 128): PublishedScore(None, None, None, 19.31, 0.65),
    ("SF2F", 128): PublishedScore(None, None, None, 20.10, 0.47),
}

# Ma et al., "Vox2Face", Information 17(2):200, 2026, Table 2: their own runs of the
# older methods. Taken from another reader's notes, since the article itself could not
# be read. Its abstract has the cosine, recall@10 and score of the last two rows, and
# calls the one before the last "a strong diffusion baseline".
VOX2FACE_TABLE_2 = {
    "Speech2Face": PublishedScore(0.213, 4.6, 8.7, 13.43),
    "Voice2Face": PublishedScore(0.259, 8.7, 12.3, 15.03),
    "SF2F": PublishedScore(0.295, 14.6, 29.8, 18.82),
    "Vox2Face": PublishedScore(0.322, 17.3, 32.1, 23.21),
}
HQ_VOXCELEB_TEST_PEOPLE = 378  # the same notes; 2,890 in training, 370 in validation
