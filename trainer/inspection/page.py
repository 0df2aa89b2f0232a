"""One HTML file from a template, styles, scripts and data; it makes no request."""

import base64
import html
import json
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources.abc import Traversable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def self_contained_page(
    template: Traversable,
    styles: Sequence[Traversable],
    scripts: Sequence[Traversable],
    data: Any,
    title: str,
) -> str:
    """Fill a template with styles, scripts and data.

    The placeholders of a template are ``{{policy}}``, ``{{title}}``, ``{{style}}``,
    ``{{script}}`` and ``{{data}}``. The content security policy allows only these styles and this
    script, by their hashes: the page makes no request, and no name or label can run as code.

    Parameters
    ----------
    template : path
        The HTML with the placeholders.
    styles, scripts : sequence of path
        Files that are joined in this order.
    data : object
        Data for the script, stored as JSON; see `encoded` for arrays.
    title : str
        Title of the page.

    Returns
    -------
    str
        The HTML.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from trainer import self_contained_page
    >>> with TemporaryDirectory() as folder:
    ...     template = Path(folder, "page.html")
    ...     _ = template.write_text("<title>{{title}}</title>{{data}}")
    ...     self_contained_page(template, [], [], {"J": 0.25}, "Cost & more")
    '<title>Cost &amp; more</title>{"J":0.25}'
    """
    style, script = (
        "\n".join(path.read_text(encoding="utf-8") for path in paths) for paths in (styles, scripts)
    )
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    # "<" could end the element that contains the data.
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    parts = {
        "policy": policy,
        "title": html.escape(title),
        "style": style,
        "script": script,
        "data": text.replace("<", "\\u003c"),
    }
    head, *rest = template.read_text(encoding="utf-8").split("{{")
    filled = [head]
    for piece in rest:
        name, _, after = piece.partition("}}")
        filled += [parts[name], after]
    return "".join(filled)


def encoded(values: Array) -> str:
    """An array as base64 of little-endian float64, in row order, without loss of precision."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode("ascii")


def _hash(text: str) -> str:
    digest = base64.b64encode(sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"
