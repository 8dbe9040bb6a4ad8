"""Clips: manifests, folder layouts, AVSpeech lists, and reading their media."""
