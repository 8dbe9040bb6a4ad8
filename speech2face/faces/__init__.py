"""Face detection and crops: image -> face box -> 224 x 224 crop (Sec. 3)."""
