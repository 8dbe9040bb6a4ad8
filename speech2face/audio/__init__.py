"""Sound: any file -> waveform at 16 kHz -> spectrogram (Sec. 3)."""
