"""Fig. 5 measured again: the authors' own pictures, our landmarks.

The pictures are those of the authors' project page, F2F and S2F of the same clips. They
show what another landmark detector does to the published numbers. They are not
published: we measured them, with `experiments.lib.landmarks`.
"""

# Pearson's r by title of the column, then by measure. `e` is the exaggeration of S2F.
# The first two are of 968 pairs; of the other measures no number was kept. The third
# are 752 of these pairs, by
#   python -m experiments.fig05_craniofacial --f2f_dir=... --s2f_dir=...
FIG_5_OUR_LANDMARKS: dict[str, dict[str, float]] = {
    "authors, e = 0": {
        "upper lip height": 0.129,
        "labio oral region": 0.111,
        "intercanthal idx": 0.185,
        "nasal index": 0.349,
        "vermilion height idx": 0.173,
        "mouth face width idx": 0.109,
    },
    "authors, e = 0.7": {
        "upper lip height": 0.162,
        "labio oral region": 0.137,
        "intercanthal idx": 0.214,
        "nasal index": 0.331,
        "vermilion height idx": 0.155,
        "mouth face width idx": 0.166,
    },
    "authors, e = 0, n = 752": {
        "upper lip height": 0.152,
        "lateral upper lip heights": 0.259,
        "jaw width": 0.106,
        "nose height": 0.174,
        "nose width": 0.320,
        "labio oral region": 0.108,
        "mandibular idx": 0.192,
        "intercanthal idx": 0.194,
        "nasal index": 0.341,
        "vermilion height idx": 0.172,
        "mouth face width idx": 0.073,
        "nose area": 0.270,
    },
}
