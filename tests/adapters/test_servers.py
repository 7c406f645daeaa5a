"""What only a real server in a process of its own can show: broken connections, chunks, and what reaches stderr."""

import json
import os
import socket
import struct

import attrs
import pytest
from tests.adapters.servers import SERVERS, request, started

from userimages.testing import make_image

JPEG = make_image("JPEG", (160, 80))
FORM = "Content-Type: multipart/form-data; boundary=x"
LIST = "GET /api/user_images/ana/ HTTP/1.1"
UPLOAD = f"POST /api/upload_user_image/ HTTP/1.1\r\n{FORM}"


@pytest.fixture(scope="module", params=SERVERS)
def server(request, tmp_path_factory):
    needed, command = SERVERS[request.param]
    with started(command, needed, tmp_path_factory.mktemp("server"), USERIMAGES_EXAMPLE_OPEN="1") as running:
        yield attrs.evolve(running, name=request.param)


def form(data=JPEG, disposition='name="image"; filename="cat.jpg"', kind=""):
    fields = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
        for name, text in (("username", "ana"), ("image_type", "gallery"))
    )
    head = f"{fields}--x\r\nContent-Disposition: form-data; {disposition}\r\n{kind}\r\n"
    return head.encode() + data + b"\r\n--x--\r\n"


def sent(server, body):
    """Upload *body* and return the status and the JSON of the answer."""
    return parsed(server.raw(f"{UPLOAD}\r\nContent-Length: {len(body)}", body))


def parsed(answer):
    head, _, content = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(content)


def images(server):
    return parsed(server.raw(LIST))[1]["count"]


@pytest.mark.parametrize(
    "kind",
    [
        *("", "Content-Type: image/*", "Content-Type: */*", "Content-Type: jpg", "Content-Type: text/plain"),
        *("Content-Type: multipart/form-data", "Content-Type: application/x-www-form-urlencoded"),
    ],
)
@pytest.mark.contract("C25")
def test_an_odd_part_type_is_ignored(server, kind):
    """The type of the part is a client library's guess, and the bytes decide."""
    status, answer = sent(server, form(kind=f"{kind}\r\n" if kind else ""))

    assert (status, answer["success"]) == (200, True), answer


@pytest.mark.parametrize("size", [100, 700_000, 5_000_000])
@pytest.mark.contract("C13")
def test_a_part_without_a_file_name_is_no_file(server, size):
    """Such a part is a text field, so the image is missing, whatever limit of text fields the framework has."""
    status, answer = sent(server, form(bytes(size), disposition='name="image"'))

    assert (status, answer["code"]) == (400, "missing_fields")
    assert answer["error"].startswith("Missing required fields: image")
    assert "username" not in answer["error"]


@pytest.mark.contract("C13")
def test_a_chunked_body_works_or_needs_a_length(server):
    """A body without a length is read, or the answer says that the length is missing; never that fields are."""
    body = form()
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:50], body[50:])]
    status, answer = parsed(server.raw(f"{UPLOAD}\r\nTransfer-Encoding: chunked", *chunks, b"0\r\n\r\n", resets=True))

    assert (status, answer.get("code")) in ((200, None), (411, "length_required"))
    assert (status == 411) is ("django" in server.name or server.name == "runserver")


@pytest.mark.contract("C13")
def test_a_client_that_sends_it_all_reads_the_refusal(server):
    """Who reads no answer before all is sent gets it too, as behind a proxy: the connection is not reset."""
    body = form(bytes(12_000_000))
    parts = [body[start : start + 65536] for start in range(0, len(body), 65536)]
    status, answer = parsed(server.raw(f"{UPLOAD}\r\nContent-Length: {len(body)}", *parts))

    assert (status, answer) == (413, {"error": "File size exceeds 10MB limit", "code": "file_too_large"})


@pytest.mark.contract("C17")
def test_a_not_modified_has_no_length(server):
    """No server and no middleware adds ``Content-Length: 0``, which some caches take for the length of the image."""
    _, answer = sent(server, form())
    path = f"/api/user_image/{answer['image']['id']}/serve/"
    raw = server.raw(f"GET {path} HTTP/1.1\r\nIf-None-Match: *")

    assert b" 304 " in raw.splitlines()[0]
    assert b"content-length" not in raw.lower()
    assert raw.endswith(b"\r\n\r\n")


def test_a_get_whose_body_never_comes_is_answered(server):
    """The body of a GET is not waited for."""
    with server.connect() as connection:
        connection.sendall(request(f"{LIST}\r\nContent-Length: 100000"))
        assert connection.recv(65536).split()[1] == b"200"


@pytest.mark.parametrize("ends", ["quietly", "by a reset"])
@pytest.mark.parametrize("framing", ["Content-Length: 5000", "Transfer-Encoding: chunked"])
def test_a_client_that_goes_away_is_no_error(server, framing, ends):
    """An upload that is cut off is no error of the server: no 500, no traceback, nothing stored."""
    before = images(server)
    started = b"1388\r\n" if "chunked" in framing else b""
    for part in (b"", started, started + form()[:150], b"5\r\n" + form()[:150]):
        with server.connect() as connection:
            connection.sendall(request(f"{UPLOAD}\r\n{framing}") + part)
            if ends == "by a reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert images(server) == before
    printed = server.log.read_text()

    assert "Traceback" not in printed
    assert "answered with 500" not in printed


@pytest.mark.contract("C19")
def test_the_cause_of_an_error_is_seen_without_set_up(tmp_path, server_command):
    """Where an application has set up no logging, the cause of a 500 is on stderr all the same."""
    needed, command = server_command
    with started(command, needed, tmp_path, USERIMAGES_EXAMPLE_OPEN="1") as server:
        assert images(server) == 0
        os.rename(server.data / "objects", server.data / "elsewhere")
        status, answer = sent(server, form())

        assert (status, answer["error"]) == (500, "Storage error")
        printed = server.logged("userimages.errors.StorageError: The root folder")
        assert "A request failed and was answered with 500." in printed
        assert "Traceback" in printed


@pytest.fixture(params=SERVERS)
def server_command(request):
    return SERVERS[request.param]
