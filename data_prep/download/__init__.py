"""Downloads AVSpeech segments, resumably and gently."""
