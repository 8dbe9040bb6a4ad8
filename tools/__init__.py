"""Scripts that make files which this repository ships.

Maintainers run them from the top folder of a checkout. They are not installed:
`setup.py` packages speech2face, data_prep and experiments only.
"""
