"""The web page of `speech2face.app`: voices in, what is shown of them, the page."""
