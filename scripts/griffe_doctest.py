"""Let griffe show docstrings as Markdown: an example with ``>>>`` is a block of code, and ``::`` a colon."""

import re
from typing import Any

import griffe


class Doctest(griffe.Extension):
    """Rewrite the docstring of every object that is loaded."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Put a fence around each example, and around what it prints."""
        if obj.docstring:
            text = re.sub(
                r"(?m)^::$\n?|::$", lambda found: ":" if found[0] == "::" and found.start() else "", obj.docstring.value
            )
            obj.docstring.value = re.sub(r"(?m)(^>>> (?:.+\n?)+)", r"```pycon\n\1\n```\n", text)
