"""Build the site of the docs in ``site/``, and check it.

The parts of the reference that are no docstrings are written first: the console, the errors and the HTTP API. Then
zensical builds the pages. A link or an anchor that leads nowhere, a file of another host, or a public name that no page
of the reference describes is an error.
"""

import argparse
import inspect
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import yaml

from userimages import cli, config, errors, http, model, processing, testing
from userimages.storages import r2

ROOT = Path(__file__).resolve().parent.parent
GENERATED = ROOT / "build/reference"
SITE = ROOT / "site"
PUBLIC = ("userimages", "userimages.processing", "userimages.http", "userimages.testing")


def console() -> Iterator[str]:
    """Yield the help of each command."""
    parser = cli._parser()
    (commands,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    yield f"```text\n{parser.format_help()}```\n"
    for name, command in commands.choices.items():
        yield f"## userimages {name}\n\n```text\n{command.format_help()}```\n"


def error_table() -> Iterator[str]:
    """Yield a row for each error of the tree, nested as it is."""
    yield "| error | code | status | words over HTTP |\n|---|---|---|---|\n"

    def rows(error: type[errors.UserImagesError], depth: int) -> Iterator[str]:
        nearest = next(each for each in error.__mro__ if each in http.STATUS)
        status, words = http.STATUS[nearest]
        link = f"[{error.__name__}][userimages.errors.{error.__name__}]"
        words = words.format(limit=10) or "its message"
        yield f"| {'&ensp;' * 2 * depth}{link} | `{error.code}` | {status} | {words} |\n"
        for each in error.__subclasses__():
            if each.__module__ == "userimages.errors":
                yield from rows(each, depth + 1)

    for each in errors.UserImagesError.__subclasses__():
        if each.__module__ == "userimages.errors":
            yield from rows(each, 0)
    for error, (status, words) in http.STATUS.items():
        if error.__module__ == "userimages.http.errors":
            yield f"| of HTTP alone | `{error.code}` | {status} | {words or 'its message'} |\n"  # type: ignore[attr-defined]


def http_api() -> Iterator[str]:
    """Yield each route of openapi.yaml: what it takes and what it answers."""
    api = yaml.safe_load((ROOT / "docs/openapi.yaml").read_text(encoding="utf-8"))

    def found(node: dict[str, object]) -> dict[str, object]:
        while "$ref" in node:
            target: object = api
            for part in str(node["$ref"]).removeprefix("#/").split("/"):
                target = target[part]  # type: ignore[index]
            node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}  # type: ignore[dict-item]
        return node

    def one_line(text: object) -> str:
        return " ".join(str(text or "").split()).replace("|", "\\|")

    def kind(schema: dict[str, object]) -> str:
        schema = found(schema)
        if "enum" in schema:
            return " or ".join(f"`{each}`" for each in schema["enum"])  # type: ignore[attr-defined]
        if isinstance(types := schema.get("type", ""), list):
            return " or ".join(types)
        return f"{types} ({schema['format']})" if "format" in schema else str(types)

    def fields(schema: dict[str, object]) -> Iterator[str]:
        schema = found(schema)
        yield "| field | type | |\n|---|---|---|\n"
        for name, each in schema.get("properties", {}).items():  # type: ignore[attr-defined]
            needed = "required. " if name in schema.get("required", ()) else ""  # type: ignore[operator]
            yield f"| `{name}` | {kind(each)} | {needed}{one_line(found(each).get('description'))} |\n"
        yield "\n"

    for path, routes in api["paths"].items():
        shared = routes.get("parameters", [])
        for method, route in routes.items():
            if method not in {"get", "post", "put", "delete", "head"}:
                continue
            yield f"## {method.upper()} {path}\n\n{route['summary']}. {one_line(route.get('description'))}\n\n"
            if parameters := [found(each) for each in [*shared, *route.get("parameters", [])]]:
                yield "| parameter | in | type | |\n|---|---|---|---|\n"
                for each in parameters:
                    needed = "required. " if each.get("required") else ""
                    said = one_line(each.get("description") or found(each["schema"]).get("description"))
                    yield f"| `{each['name']}` | {each['in']} | {kind(each['schema'])} | {needed}{said} |\n"
                yield "\n"
            for media, body in found(route.get("requestBody", {})).get("content", {}).items():
                yield f"Body, as `{media}`:\n\n"
                yield from fields(body["schema"])
            yield "| status | answer |\n|---|---|\n"
            for status, answer in route["responses"].items():
                yield f"| {status} | {one_line(found(answer).get('description'))} |\n"
            yield "\n"
    yield "## Objects of the answers\n\n"
    for name, schema in api["components"]["schemas"].items():
        if "properties" in schema:
            yield f"### {name}\n\n{one_line(schema.get('description'))}\n\n"
            yield from fields(schema)


class Page(HTMLParser):
    """What a page has to give and asks for: the ids of its elements, its links, and its files."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.files: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the attributes that matter."""
        facts = dict(attrs)
        self.ids |= {str(facts[name]) for name in ("id", "name") if facts.get(name)}
        if tag == "a" and facts.get("href"):
            self.links.append(str(facts["href"]))
        if tag in {"script", "img", "iframe", "source", "video"} and facts.get("src"):
            self.files.append(str(facts["src"]))
        if tag == "link" and facts.get("href") and facts.get("rel") not in {"canonical", "prev", "next"}:
            self.files.append(str(facts["href"]))


def dead_links(pages: Mapping[Path, Page]) -> Iterator[str]:
    """Yield each link, heading and file that is not there, and each file of another host."""
    for path, page in pages.items():
        name = path.relative_to(SITE)
        for each in page.files:
            if re.match(r"(https?:)?//", each):
                yield f"{name} loads {each} from another host"
            elif not each.startswith("data:") and not (path.parent / unquote(re.split("[?#]", each)[0])).exists():
                yield f"{name} shows {each}, which is not there"
        for link in page.links:
            if re.match(r"[a-z]+:", link):
                continue
            target, anchor = urldefrag(link)
            where = (path.parent / unquote(target)).resolve() if target else path
            where = where / "index.html" if where.is_dir() else where
            if not where.exists():
                yield f"{name} links to {link}, which is not there"
            elif anchor and where in pages and unquote(anchor) not in pages[where].ids and anchor != "__skip":
                yield f"{name} links to {link}, and the page has no such heading"
    for path in SITE.rglob("*.css"):
        if found := re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^)\"']+", path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(SITE)} loads {found[0]} from another host"


def left_out(ids: set[str]) -> Iterator[str]:
    """Yield each public name and each setting that the reference leaves out."""
    for module in PUBLIC:
        for name in sys.modules[module].__all__:
            found = getattr(sys.modules[module], name)
            homes = {f"{module}.{name}", f"{getattr(found, '__module__', module)}.{name}"}
            if (inspect.isclass(found) or inspect.isfunction(found)) and not homes & ids:
                yield f"no page of the reference describes {module}.{name}"
    records = {name for name, found in vars(model).items() if getattr(found, "__module__", "") == "userimages.model"}
    for name in sorted(records):
        if inspect.isclass(getattr(model, name)) and f"userimages.model.{name}" not in ids:
            yield f"no page of the reference describes userimages.model.{name}"
    settings = {*config.SETTINGS, *(r2._variable(name) for name in r2._SETTINGS)}
    told = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").rglob("configuration.md"))
    yield from (f"the page of the settings lacks {name}" for name in sorted(settings) if f"`{name}`" not in told)


def main() -> int:
    """Write, build, check, and return how it ended."""
    GENERATED.mkdir(parents=True, exist_ok=True)
    for name, parts in (("console", console()), ("errors", error_table()), ("http-api", http_api())):
        (GENERATED / f"{name}.md").write_text("".join(parts), encoding="utf-8")
    shutil.rmtree(SITE, ignore_errors=True)
    zensical = Path(sys.executable).with_name("zensical")
    built = subprocess.run(
        [zensical, "build", "--strict", "--clean"], cwd=ROOT, check=False, text=True, stdout=-1, stderr=-2
    )
    if built.returncode:
        print(built.stdout)
        return 1
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in SITE.rglob("*.html") if path.name != "404.html"}
    found = [*dead_links(pages), *left_out(set().union(*(page.ids for page in pages.values())))]
    print("\n".join(found) or f"site: {len(pages)} pages, no link that is dead, no file of another host")
    return bool(found)


if __name__ == "__main__":
    processing, testing  # noqa: B018 - imported so that their names are known
    sys.exit(main())
