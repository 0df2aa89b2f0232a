"""Sphinx configuration of the documentation: ``sphinx-build -W -b html docs build/html``."""

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert

import trainer

project = "logistic-neuron trainer"
version = release = trainer.__version__
language = "en"

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
]
exclude_patterns = ["playground", "gallery"]
templates_path = ["_templates"]
html_theme = "furo"
html_title = project
html_extra_path = ["playground.html"]
html_show_sphinx = False

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the tests run the notebook; its outputs are stored in it
nb_mime_priority_overrides = [("html", "text/plain", None)]
copybutton_exclude = ".linenos, .gp, .go"

autosummary_generate = True
autodoc_default_options = {"member-order": "bysource"}
autodoc_typehints = "none"  # numpydoc's sections give the types
numpydoc_show_class_members = False


# Formulas are MathML, which every browser draws by itself: the pages make no request.
def write_inline(translator: Any, node: nodes.math) -> None:
    """Write a formula within a line."""
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def write_block(translator: Any, node: nodes.math_block) -> None:
    """Write a displayed formula, which scrolls where the page is too narrow."""
    formula = convert(node.astext(), display="block")
    translator.body.append(f'<div style="overflow-x: auto; margin: 1.2em 0">{formula}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Register the writers of formulas."""
    app.add_html_math_renderer("mathml", (write_inline, None), (write_block, None))
