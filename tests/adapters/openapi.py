"""The contract as ``docs/openapi.yaml`` states it, and a check of one answer against it."""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import attrs
from tests.parts import needs

FILE = Path(__file__).parents[2] / "docs/openapi.yaml"
URI = "urn:userimages:openapi"


@cache
def document() -> "Document":
    return Document(needs("yaml").safe_load(FILE.read_text()))


@attrs.frozen
class Document:
    """The document, in which an answer must not have a property that is not described."""

    content: dict[str, Any]

    def operations(self) -> set[tuple[str, str, int]]:
        """Return every answer that the document describes, as path, method and status."""
        return {
            (path, method, int(status))
            for path, item in self.content["paths"].items()
            for method, operation in item.items()
            if method != "parameters"
            for status in operation["responses"]
        }

    def check(self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Fail where the document does not allow this answer to *method* of *path* (below the mount point)."""
        response, pointer = self._response(method.lower(), path, status)
        for name, part in response.get("headers", {}).items():
            header, at = self._resolved(part, f"{pointer}/headers/{name}")
            assert name in headers or not header.get("required"), f"{method} {path} {status} has no {name}"
            if name in headers:
                self._validate(headers[name], f"{at}/schema")
        if status == 304:
            assert "Content-Length" not in headers, "of a 304, which some caches would believe"
        if "content" not in response:
            assert body == b""
            return
        media_type = headers["Content-Type"].partition(";")[0]
        assert media_type in response["content"], f"{method} {path} {status} is {media_type}"
        if media_type == "application/json":
            self._validate(json.loads(body), f"{pointer}/content/application~1json/schema")

    def _response(self, method: str, path: str, status: int) -> tuple[dict[str, Any], str]:
        for template, item in self.content["paths"].items():
            pattern = re.sub(r"\{\w+\}", "[^/]+", template.rstrip("/"))
            if re.fullmatch(f"{pattern}/?", path):
                if method not in item:
                    assert status == 405, f"{method} {path} is answered with {status} and is not described"
                    return self._resolved({"$ref": "#/components/responses/MethodNotAllowed"}, "")
                responses = item[method]["responses"]
                assert str(status) in responses, f"{method} {path} is answered with {status}, which is not described"
                escaped = template.replace("/", "~1")
                return self._resolved(responses[str(status)], f"#/paths/{escaped}/{method}/responses/{status}")
        assert status == 404, f"{method} {path} is answered with {status}, and no such path is described"
        return self._resolved({"$ref": "#/components/responses/RouteNotFound"}, "")

    def _resolved(self, part: dict[str, Any], pointer: str) -> tuple[dict[str, Any], str]:
        """Return what *part* refers to, and where that is."""
        if "$ref" not in part:
            return part, pointer
        found = self.content
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return found, part["$ref"]

    def _validate(self, value: object, pointer: str) -> None:
        jsonschema = needs("jsonschema")
        jsonschema.Draft202012Validator(
            {"$ref": f"{URI}{pointer.replace('{', '%7B').replace('}', '%7D')}"},
            registry=registry(),
            format_checker=jsonschema.FormatChecker(),
        ).validate(value)


@cache
def registry() -> Any:
    referencing = needs("referencing")
    resource = needs("referencing.jsonschema").DRAFT202012.create_resource(closed(document().content))
    return referencing.Registry().with_resource(URI, resource)


def closed(part: Any) -> Any:
    """Return *part* with objects that allow what they describe and nothing else: for clients the document is open."""
    if isinstance(part, list):
        return [closed(each) for each in part]
    if not isinstance(part, dict):
        return part
    made = {name: closed(each) for name, each in part.items()}
    if made.get("type") == "object" and "properties" in made:
        made.setdefault("additionalProperties", False)
    return made
