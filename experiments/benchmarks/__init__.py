"""Timings: ratios measured in one run, never asserted on."""
