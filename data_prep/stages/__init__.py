"""Stages of the record-building pipeline, and the workers that run them."""
