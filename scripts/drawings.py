"""Draw the pictures of the docs as SVG, each for a light and for a dark page.

The diagrams are below. The bars are drawn over the output of the benchmarks, which is the tables of
``docs/performance.md``: a comment such as ``<!-- bars: speed, column 6, CPU ms, least is best -->`` above a table draws
one of its columns. ``--check`` writes nothing and fails if a drawing is not that of its table.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import attrs

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs/images"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
COLORS = {
    "light": {
        "ink": "#1f2328",
        "soft": "#59636e",
        "line": "#8c959f",
        "box": "#f3f5f8",
        "ours": "#3b5bdb",
        "on": "#ffffff",
        "bar": "#b8c0cc",
    },
    "dark": {
        "ink": "#e6edf3",
        "soft": "#9aa4af",
        "line": "#6e7681",
        "box": "#1b2027",
        "ours": "#748ffc",
        "on": "#0b0d12",
        "bar": "#4a525e",
    },
}


@attrs.define
class Drawing:
    """A picture: its size, its colors, and its elements so far."""

    width: int
    height: int
    title: str
    color: dict[str, str]
    parts: list[str] = attrs.field(factory=list)

    def text(self, x: float, y: float, text: str, *, size: int = 13, anchor: str = "middle", **more: str) -> None:
        """Write one line of text."""
        fill, weight = self.color[more.get("color", "ink")], more.get("weight", "400")
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" fill="{fill}"'
            f' text-anchor="{anchor}">{escape(text)}</text>'
        )

    def box(self, x: float, y: float, w: float, h: float, *lines: str, fill: str = "box") -> None:
        """Draw a box with a title and lines below it."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="8" fill="{self.color[fill]}"'
            f' stroke="{self.color["line" if fill == "box" else fill]}"/>'
        )
        top = y + h / 2 - (len(lines) - 1) * 8.5 + 4.5
        for number, line in enumerate(lines):
            ink = "on" if fill == "ours" else "ink" if number == 0 else "soft"
            self.text(
                x + w / 2,
                top + number * 17,
                line,
                size=12 if number else 13,
                color=ink,
                weight="400" if number else "600",
            )

    def arrow(
        self,
        *points: tuple[float, float],
        label: str = "",
        at: tuple[float, float] | None = None,
        anchor: str = "middle",
    ) -> None:
        """Draw a line through *points* with a head at its end."""
        path = " ".join(f"{'M' if number == 0 else 'L'}{x:g} {y:g}" for number, (x, y) in enumerate(points))
        self.parts.append(
            f'<path d="{path}" fill="none" stroke="{self.color["line"]}" stroke-width="1.5" marker-end="url(#head)"/>'
        )
        if label:
            x, y = at or ((points[0][0] + points[-1][0]) / 2, (points[0][1] + points[-1][1]) / 2 - 6)
            self.text(x, y, label, size=12, color="soft", anchor=anchor)

    def bar(self, x: float, y: float, w: float, h: float, *, ours: bool) -> None:
        """Draw a bar."""
        fill, w = self.color["ours" if ours else "bar"], max(w, 1)
        self.parts.append(f'<rect x="{x:g}" y="{y:g}" width="{w:.1f}" height="{h:g}" rx="3" fill="{fill}"/>')

    def svg(self) -> str:
        """Return the file."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}"'
            f' height="{self.height}" role="img" font-family="{FONT}"><title>{escape(self.title)}</title>'
            '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7"'
            f' orient="auto-start-reverse"><path d="M0 0L10 5L0 10z" fill="{self.color["line"]}"/></marker></defs>'
        )
        return head + "\n" + "\n".join(self.parts) + "\n</svg>\n"


def architecture(color: dict[str, str]) -> Drawing:
    """Draw what imports and calls what."""
    draw = Drawing(760, 430, "The parts of userimages, from the application down to the stores", color)
    draw.box(20, 16, 220, 50, "your application", "upload, list, delete")
    draw.box(270, 16, 220, 50, "an adapter", "Flask, Django, FastAPI")
    draw.box(520, 16, 220, 50, "the console", "sweep, audit, check, rebuild")
    draw.box(270, 100, 220, 46, "userimages.http", "the contract as values")
    draw.box(20, 180, 720, 50, "ImageService", "checks arguments, logs, pages, fills URLs, delegates", fill="ours")
    draw.box(270, 264, 470, 50, "lifecycle", "the order of effects: upload, deletion, sweep, audit, rebuild")
    draw.box(20, 348, 220, 66, "processor", "bytes in, clean images out", "PillowProcessor")
    draw.box(270, 348, 220, 66, "repository", "records and intents", "SQLite, PostgreSQL")
    draw.box(520, 348, 220, 66, "storage", "objects under keys", "disk, R2, S3")
    draw.arrow((130, 66), (130, 178))
    draw.arrow((380, 66), (380, 98))
    draw.arrow((380, 146), (380, 178))
    draw.arrow((630, 66), (630, 178))
    draw.arrow((505, 230), (505, 262))
    draw.arrow((130, 230), (130, 346))
    draw.arrow((380, 314), (380, 346))
    draw.arrow((630, 314), (630, 346))
    return draw


def intent(color: dict[str, str]) -> Drawing:
    """Draw the states between a file that comes in and objects that are gone."""
    draw = Drawing(760, 330, "The life of an intent and of an image", color)
    draw.box(20, 40, 120, 50, "nothing")
    draw.box(250, 40, 200, 50, "intent", "a lease of ten minutes")
    draw.box(560, 40, 180, 50, "image", "listed and served", fill="ours")
    draw.box(560, 220, 180, 50, "intent, due at once", "the image is gone")
    draw.box(250, 220, 200, 50, "claimed intent", "can never be published")
    draw.box(20, 220, 120, 50, "nothing")
    draw.arrow((140, 65), (248, 65), label="begin_upload")
    draw.arrow((450, 65), (558, 65), label="put, publish")
    draw.arrow((650, 90), (650, 218), label="begin_delete", at=(642, 158), anchor="end")
    draw.arrow((560, 258), (525, 258), (525, 304), (80, 304), (80, 272), label="objects deleted, finish", at=(350, 322))
    draw.arrow((350, 90), (350, 218), label="lease over: the sweep claims it", at=(358, 150), anchor="start")
    draw.text(358, 168, "and deletes its objects", size=12, color="soft", anchor="start")
    draw.arrow((250, 245), (142, 245), label="an hour on")
    draw.arrow((290, 40), (290, 14), (80, 14), (80, 38), label="put refused: undone at once", at=(185, 9))
    return draw


def bars(title: str, unit: str, rows: Sequence[tuple[str, float]]) -> Callable[[dict[str, str]], Drawing]:
    """Return what draws a bar for each row; the longest fills the width."""

    def drawn(color: dict[str, str]) -> Drawing:
        draw = Drawing(760, 24 * len(rows) + 34, title, color)
        draw.text(0, 14, f"{title}, {unit}", anchor="start", weight="600")
        longest = max(value for _, value in rows)
        for number, (name, value) in enumerate(rows):
            y, ours = 26 + number * 24, name.startswith("userimages")
            draw.text(190, y + 13, name, anchor="end", weight="600" if ours else "400")
            draw.bar(200, y, 480 * value / longest, 18, ours=ours)
            draw.text(206 + 480 * value / longest, y + 13, f"{value:,g}", anchor="start", size=12, color="soft")
        return draw

    return drawn


def tables(text: str) -> dict[str, Callable[[dict[str, str]], Drawing]]:
    """Return what draws each column of a table that a comment names."""
    found = {}
    for name, column, title, unit, table in re.findall(
        r"<!-- bars: ([a-z-]+), column (\d+), ([^,]+), ([^>]+?) -->\n+((?:\|.*\n)+)", text
    ):
        rows = [[cell.strip(" *`") for cell in line.strip(" |\n").split("|")] for line in table.splitlines()[2:]]
        numbers = [(row[0], re.match(r"[\d,.]+", row[int(column) - 1])) for row in rows]
        found[name] = bars(title, unit, [(row, float(number[0].replace(",", ""))) for row, number in numbers if number])
    return found


def main() -> int:
    """Draw everything, or check that it is drawn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    page = ROOT / "docs/performance.md"
    everything = {"architecture": architecture, "intent": intent}
    everything |= tables(page.read_text(encoding="utf-8")) if page.exists() else {}
    stale = []
    for name, draw in everything.items():
        for scheme, color in COLORS.items():
            file, svg = FOLDER / f"{name}-{scheme}.svg", draw(color).svg()
            if not file.exists() or file.read_text(encoding="utf-8") != svg:
                stale.append(file.name)
                if not check:
                    file.write_text(svg, encoding="utf-8")
    print(
        f"{'draw again, by scripts/drawings.py' if check else 'drawn'}: {', '.join(stale)}"
        if stale
        else f"{len(everything)} drawings are those of their tables"
    )
    return bool(stale and check)


if __name__ == "__main__":
    sys.exit(main())
