"""A caption as plain text: what a browser would take for a tag is removed, and nothing else."""

import re

from userimages.errors import InvalidFieldError

_TAG_PASSES = 8
_CONTROLS = re.compile(r"[\x01-\x08\x0b-\x1f\x7f-\x9f]")


def plain_text(caption: str) -> str:
    """Return *caption* (without NUL) with no HTML tags and no control characters but tabs and line ends.

    Tags that only appear once others are gone go too, as far as anybody types them.
    """
    text = _CONTROLS.sub("", caption.replace("\r\n", "\n").replace("\r", "\n"))
    for _ in range(_TAG_PASSES):
        fewer = _without_tags(text) if "<" in text else text
        if fewer == text:
            return text
        text = fewer
    raise InvalidFieldError(
        f"The caption holds HTML tags within tags, {_TAG_PASSES} deep or more.", field="caption", hint="Remove them."
    )


def _without_tags(text: str) -> str:
    """Return *text* without what a browser would take for a tag, a comment or a declaration.

    An ampersand travels as NUL, which the text cannot hold, so that the parser leaves entities as they were typed;
    what it holds back as unfinished (``a <b``) is text.
    """
    from html.parser import HTMLParser

    kept: list[str] = []

    class TextOnly(HTMLParser):
        def handle_data(self, data: str) -> None:
            kept.append(data)

        def parse_marked_section(self, i: int, report: int = 1) -> int:
            """Take ``<![`` for the comment that it is in HTML: the parser's own way is to raise AssertionError."""
            return self.parse_bogus_comment(i)

    parser = TextOnly(convert_charrefs=False)
    parser.feed(text.replace("&", "\0"))
    return "".join((*kept, parser.rawdata)).replace("\0", "&")
