"""The table of requests and answers, on the values alone and over the sockets of every framework."""

import io
import json
import re
from collections.abc import Mapping

import attrs
import pytest
from tests.adapters.openapi import FILE, document
from tests.adapters.table import DATA, rows
from tests.parts import needs

from userimages.http import Api, FilePart, Form, LengthRequiredError, Request

ROWS = dict(rows())


@attrs.frozen
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def over_values(backstage, ask):
    """Answer *ask* without a framework, as an adapter would that can read no body without a length."""

    def form():
        if ask.chunked:
            raise LengthRequiredError
        images = [FilePart(io.BytesIO(ask.image[1]), ask.image[0], ask.image[2])] * ask.copies if ask.image else []
        return Form({name: text for name, text in (ask.fields or {}).items() if name != "image"}, images)

    length = sum(map(len, (ask.fields or {}).values())) + (len(ask.image[1]) if ask.image else 0)
    headers = {"Content-Length": str(length), **ask.headers}
    api = Api(backstage.service, authorize=backstage.authorize)
    source = object()
    response = api(
        Request(method=ask.method, path=ask.path, query=ask.query, headers=headers, form=form, source=source)
    )
    body = response.body if isinstance(response.body, bytes) else b"".join(response.body)
    return Answer(response.status, dict(response.headers), body)


def over_http(site, ask):
    """Answer *ask* by a request of a page of the site; the session compares the answer with the document."""
    files = [("image", ask.image)] * ask.copies if ask.image else None
    data = ask.fields
    if data and not files and "image" in data:
        files = {name: (None, text) for name, text in data.items()}  # parts without a file name
        data = None
    with site.session() as session:
        prepared = session.prepare_request(
            needs("requests").Request(
                ask.method, f"{site.url}/api/{ask.path}?{ask.query}", data=data, files=files, headers=ask.headers
            )
        )
        if ask.chunked:
            body = prepared.body if isinstance(prepared.body, bytes) else prepared.body.encode()
            prepared.body = iter([body[:10], body[10:]])
            del prepared.headers["Content-Length"]
            prepared.headers["Transfer-Encoding"] = "chunked"
        answer = session.send(prepared, timeout=30, allow_redirects=False)
        return Answer(answer.status_code, answer.headers, answer.content)


def prepared(row, service):
    """Return *row* with the facts of an image that is there, and that image."""
    image = service.upload("ana", DATA, image_type="gallery")
    facts = {"id": image.id, "upper": str(image.id).upper(), "etag": f'"{image.sha256}"', "digest": image.sha256}
    headers = {name: text.format(**facts) for name, text in row.ask.headers.items()}
    ask = attrs.evolve(row.ask, path=row.ask.path.format(**facts), headers=headers)
    return attrs.evolve(row, ask=ask, has={name: text.format(**facts) for name, text in row.has.items()}), image


def judge(row, answer, status, image):
    """Compare an answer with its row. No header shows where the bytes are, and none sets a cookie."""
    is_json = "json" in answer.headers.get("Content-Type", "") and answer.body
    content = json.loads(answer.body) if is_json else {}
    expected = row.code if status == row.status else ""
    assert (answer.status, content.get("code", "")) == (status, expected)
    assert content.get("error", "").startswith(row.says)
    assert {name: answer.headers.get(name) for name in row.has} == row.has
    assert answer.body == (answer.body if row.body is None else row.body)
    assert image.key.rpartition("/")[2] not in str(answer.headers)
    assert "Set-Cookie" not in answer.headers


@pytest.mark.contract("C11")
@pytest.mark.contract("C13")
@pytest.mark.contract("C14")
@pytest.mark.contract("C17")
@pytest.mark.contract("C18")
@pytest.mark.contract("C19")
@pytest.mark.parametrize("name", ROWS)
def test_values_answer_as_the_table_says(name, backstage):
    """The contract without a framework gives the answers of the table, and each is as the document describes it."""
    row, image = prepared(ROWS[name], backstage.service)
    row.meanwhile(backstage)
    answer = over_values(backstage, row.ask)

    judge(row, answer, row.status, image)
    document().check(row.ask.method, f"/{row.ask.path}", answer.status, answer.headers, answer.body)


@pytest.mark.contract("C11")
@pytest.mark.contract("C13")
@pytest.mark.contract("C14")
@pytest.mark.contract("C17")
@pytest.mark.contract("C18")
@pytest.mark.contract("C19")
@pytest.mark.parametrize("name", ROWS)
def test_servers_answer_as_the_table_says(name, light):
    """Every framework gives the answers of the table; only a body without a length works on some of them."""
    row, image = prepared(ROWS[name], light.backstage.service)
    row.meanwhile(light.backstage)
    answer = over_http(light, row.ask)

    judge(row, answer, 200 if row.ask.chunked and light.framework != "django" else row.status, image)


def test_the_document_is_openapi():
    """The document is valid OpenAPI 3.1."""
    content = needs("yaml").safe_load(FILE.read_text())

    needs("openapi_spec_validator").validate(content)
    assert content["openapi"].startswith("3.1.")


def test_every_documented_answer_is_in_the_table():
    """No path, method and status of the document is without a row, and no row without a place in the document."""

    def template(ask):
        path = re.sub(r"user_image/[^/]+/", "user_image/{id}/", f"/{ask.path}")
        return path.replace("/user_images/ana/", "/user_images/{username}/")

    tried = {(template(row.ask), row.ask.method.lower(), row.status) for row in ROWS.values()}

    by_ticket = {each for each in document().operations() if each[0] == "/staged_upload/{id}/"}  # see test_direct
    assert {status for *_, status in by_ticket} == {204, 400, 403, 412, 413}
    assert document().operations() - by_ticket - tried == set()
    assert {each for each in tried - document().operations() if each[2] not in (404, 405)} == set()
