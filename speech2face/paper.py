"""Constants of the paper (Oh et al., CVPR 2019), each in one place.

Options whose default is the paper's are fields in `speech2face.config`. Published
results are in `experiments.lib.published`.
"""

# Sec. 3, "Implementation details".
SAMPLE_RATE_HZ = 16_000
CLIP_SECS = 6.0
WINDOW_SAMPLES = 400  # Hann window of 25 ms; the paper's "25 mm" is a typo
HOP_SAMPLES = 160  # 10 ms
FFT_SAMPLES = 512
N_BANDS = FFT_SAMPLES // 2 + 1  # 257 rows of a spectrogram (Table 1)
COMPRESSION = 0.3  # exponent of the power-law compression

# Sec. 4.1: Tables 2 and 3 are "over 5000 random samples" of the test set.
N_TEST_CLIPS = 5_000

# Sec. 3: face crops, VGG-Face's input and the decoded face are 224 x 224.
FACE_PX = 224
# dlib's landmarks of a face; Cole et al. 2017 use 65.
N_LANDMARKS = 68

# VGG-Face: length of fc7, which is the face feature, and classes of fc8 (Sec. 3).
VGG_FACE_FEATURE_DIM = 4096
VGG_FACE_IDENTITIES = 2622
