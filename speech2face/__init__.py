"""Speech2Face: from a voice to a canonical image of a face (Oh et al., CVPR 2019)."""
