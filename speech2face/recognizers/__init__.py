"""Face recognizers: image -> face feature (v_f) -> face logits (f_VGG)."""
