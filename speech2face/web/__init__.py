"""The web page of `speech2face.app`.

`server` serves the `page`, whose events call `handlers`; these put sound into `voices`
and show it by `views`.
"""
