"""Let griffe show docstrings as Markdown.

An example with ``>>>`` is a block of code, ``::`` is a colon, and an attrs class ends with a table of its fields.
"""

import re
from collections.abc import Iterator
from typing import Any

import griffe


class Doctest(griffe.Extension):
    """Rewrite the docstring of every object that is loaded."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Put a fence around each example, and the fields of an attrs class behind its docstring."""
        if not obj.docstring:
            return
        text = re.sub(r"(?m)^::$\n?", "", obj.docstring.value)
        text = re.sub(r"(?m)::$", ":", text)
        text = re.sub(r"(?m)(^>>> (?:.+\n?)+)", r"```pycon\n\1\n```\n", text)
        text = re.sub(r"(?m)^( {4})(\w+), (\w+): (.+)$", r"\1\2: \4\n\1\3: \4", text)  # two fields on one line
        if isinstance(obj, griffe.Class) and any("attrs." in str(each.value) for each in obj.decorators):
            rows = "".join(fields(obj))
            text += f"\n\n| field | type | default |\n|---|---|---|\n{rows}" if rows else ""
        obj.docstring.value = text


def fields(made: griffe.Class) -> Iterator[str]:
    """Yield a row for each field that the constructor takes."""
    for name, field in made.attributes.items():
        if field.annotation is None or name.startswith("_") or "property" in field.labels:
            continue
        default = "" if field.value is None else str(field.value)
        if default.startswith("attrs.field"):
            said = re.search(r"\bdefault=([^,)]+)|\bfactory=(\w+)", default)
            default = "" if not said else said[1] or f"{said[2]}()"
        kind = str(field.annotation).replace("|", "\\|")
        yield f"| `{name}` | `{kind}` | {f'`{default}`' if default else 'required'} |\n"
