"""HTML from jinja2 templates: what every page of this project is written with.

A package keeps its templates in its folder `templates`. Each of them may extend
`page.html` of this package, the frame of a whole page:

    {% extends "page.html" %}
    {% block style %}h1 { color: #222; }{% endblock %}
    {% block body %}<h1>{{ title }}</h1>{% endblock %}
"""

import functools
from typing import Any

import jinja2
import markupsafe


def render(
    template_name: str, *, package: str = "speech2face.web", **values: Any
) -> markupsafe.Markup:
    """Fills in a template.

    Args:
      template_name: name of a file in the `templates` folder of `package`.
      package: import name of the package that has the template.
      **values: what the template shows. Text is escaped; `Markup`, which is what this
        function returns, is HTML already and is not escaped a second time.

    Returns:
      HTML, a `str`.
    """
    template = _environment(package).get_template(template_name)
    return markupsafe.Markup(template.render(**values))


@functools.cache
def _environment(package: str) -> jinja2.Environment:
    packages = dict.fromkeys((package, "speech2face.web"))  # each once, in this order
    return jinja2.Environment(
        autoescape=True,
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(one) for one in packages]),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,  # a value that is missing is a bug
    )
