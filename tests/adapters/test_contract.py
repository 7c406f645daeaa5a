"""What takes several requests, or a body by hand, on every framework; one request is a row of `table.py`."""

import json
import socket
from urllib.parse import quote, urlsplit

import pytest

from userimages import ImageService, ObjectNotFoundError
from userimages.repositories.memory import MemoryRepository
from userimages.storages.memory import MemoryStorage
from userimages.testing import faulty, make_image
from userimages.testing.faults import before

JPEG = make_image("JPEG", (160, 80))
TEN_MIB = 10 * 2**20
NOBODY = "019e0000-0000-7000-8000-000000000000"  # an id that no image has


def upload(site, session=None, *, files=None, headers=None, **fields):
    fields = {"username": "ana", "image_type": "gallery"} | fields
    session = session or site.session()
    with session:
        return session.post(
            f"{site.url}/api/upload_user_image/",
            data={name: value for name, value in fields.items() if value is not None},
            files={"image": ("cat.jpg", JPEG, "image/jpeg")} if files is None else files,
            headers=headers,
            timeout=30,
        )


def uploaded(site, **fields):
    answer = upload(site, **fields)
    assert answer.status_code == 200, answer.text
    return answer.json()["image"]


def ask(site, method, path, **options):
    with site.session() as session:
        options.setdefault("allow_redirects", False)
        return session.request(method, f"{site.url}/api/{path}", timeout=30, **options)


# C13


@pytest.mark.contract("C13")
def test_an_upload_answers_with_the_record(site):
    """An upload answers with the record."""
    answer = upload(site, image_type="profile", is_primary="True", caption="My <b>cat</b> & me")

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json().keys() == {"success", "message", "image"}
    assert answer.json()["success"] is True
    assert answer.json()["message"] == "Image uploaded successfully"
    image = answer.json()["image"]
    assert list(image) == [
        *("id", "url", "image_type", "is_primary", "caption", "uploaded_at", "width", "height", "size_bytes"),
        *("mime_type", "placeholder", "frames", "variants"),
    ]
    assert image["image_type"] == "profile"
    assert image["is_primary"] is True
    assert image["caption"] == "My cat & me"
    assert image["uploaded_at"].endswith("+00:00")
    assert (image["width"], image["height"], image["mime_type"]) == (160, 80, "image/jpeg")
    assert image["size_bytes"] > 0


@pytest.mark.contract("C13")
def test_a_form_without_a_file_is_a_bad_request(site):
    """A form without a chosen file or without a form is 400."""
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    nothing_chosen = (
        b'--x\r\nContent-Disposition: form-data; name="username"\r\n\r\nana\r\n'
        b'--x\r\nContent-Disposition: form-data; name="image"; filename=""\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n\r\n--x--\r\n"
    )
    answers = [
        ask(site, "POST", "upload_user_image/", data=nothing_chosen, headers=headers),
        ask(site, "POST", "upload_user_image/", json={"username": "ana"}),
        ask(site, "POST", "upload_user_image/", data=b"garbage", headers=headers),
        ask(site, "POST", "upload_user_image/", data=b"", headers={"Content-Type": "multipart/form-data"}),
        ask(site, "POST", "upload_user_image/"),
    ]

    assert [answer.status_code for answer in answers] == [400] * 5
    assert {answer.json()["code"] for answer in answers} == {"missing_fields"}


@pytest.mark.contract("C13")
def test_a_file_that_is_not_an_image_is_unsupported(site):
    """A file that is no image is 415, and nothing is stored."""
    answer = upload(site, files={"image": ("cat.jpg", b"<script>alert(1)</script>", "image/jpeg")})

    assert answer.status_code == 415
    assert answer.json()["error"].startswith("Unsupported file format")
    assert answer.json()["code"] == "unsupported_format"
    assert ask(site, "GET", "user_images/ana/").json()["count"] == 0


@pytest.mark.contract("C13")
def test_an_empty_or_broken_file_is_a_bad_request(site):
    """An empty file and a broken one are 400 with a reason."""
    empty = upload(site, files={"image": ("cat.jpg", b"", "image/jpeg")})
    broken = upload(site, files={"image": ("cat.jpg", JPEG[: len(JPEG) // 2], "image/jpeg")})

    assert (empty.status_code, empty.json()["code"]) == (400, "empty_image")
    assert (broken.status_code, broken.json()["code"]) == (400, "broken_image")


@pytest.mark.contract("C24")
def test_ten_mebibytes_exactly_pass_over_http(light):
    """Ten mebibytes exactly pass over HTTP."""
    answer = upload(light, files={"image": ("cat.jpg", bytes(TEN_MIB), "image/jpeg")})

    assert answer.json()["image"]["size_bytes"] == TEN_MIB


@pytest.mark.contract("C13")
def test_a_body_far_over_the_limit_is_too_large(light):
    """A body far over the limit is 413 before the service sees it."""
    seen = []
    light.backstage.service.processor = lambda data, image_type: seen.append(len(data))
    answer = upload(light, files={"image": ("cat.jpg", bytes(2 * TEN_MIB), "image/jpeg")})

    assert answer.status_code == 413
    assert answer.json() == {"error": "File size exceeds 10MB limit", "code": "file_too_large"}
    assert ask(light, "POST", "upload_user_image/", data={"caption": "x" * 2 * TEN_MIB}).status_code == 413
    assert seen == []


@pytest.mark.contract("C13")
def test_a_body_announced_as_huge_is_refused_at_once(light):
    """A body that is announced as huge is 413 at once."""
    where = urlsplit(light.url)
    token = "Cookie: csrftoken=" + "a" * 32 + "\r\nX-CSRFToken: " + "a" * 32
    head = (
        f"POST /api/upload_user_image/ HTTP/1.1\r\nHost: {where.netloc}\r\n{token}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 9999999999\r\n\r\n--x\r\n"
    )
    with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(65536).split()[1] == b"413"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Werkzeug leaves its file to the GC
@pytest.mark.contract("C13")
def test_a_body_of_unknown_length_is_limited(light):
    """A body of unknown length is read up to the limit or not at all."""

    def parts(size):
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
        for _ in range(size // 2**16):
            yield bytes(2**16)
        yield b'\r\n--x\r\nContent-Disposition: form-data; name="username"\r\n\r\nana'
        yield b'\r\n--x\r\nContent-Disposition: form-data; name="image_type"\r\n\r\ngallery\r\n--x--\r\n'

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    small = ask(light, "POST", "upload_user_image/", data=parts(2**17), headers=headers)
    if light.framework == "django":  # WSGI as Django reads it knows no body without a length
        assert (small.status_code, small.json()["code"]) == (411, "length_required")
        return
    assert small.json()["image"]["size_bytes"] == 2**17
    assert ask(light, "POST", "upload_user_image/", data=parts(2 * TEN_MIB), headers=headers).status_code == 413


@pytest.mark.contract("C13")
def test_an_idempotency_key_makes_a_retry_safe(site):
    """An idempotency key makes a retry safe."""
    first, again = (upload(site, headers={"Idempotency-Key": "try-1"}) for _ in range(2))
    other = upload(site, headers={"Idempotency-Key": "try-1"}, files={"image": ("b.jpg", make_image("JPEG", (9, 9)))})

    assert first.json() == again.json()
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert ask(site, "GET", "user_images/ana/").json()["count"] == 1


# C14


@pytest.mark.contract("C14")
def test_a_list_is_newest_first(light):
    """A list is newest first, with `count` and `next`."""
    ids = [uploaded(light)["id"] for _ in range(3)][::-1]
    first = ask(light, "GET", "user_images/ana/?limit=2").json()
    second = ask(light, "GET", "user_images/ana/", params={"limit": 2, "cursor": first["next"]}).json()

    assert (first["success"], first["count"], second["count"], second["next"]) == (True, 2, 1, None)
    assert [image["id"] for image in first["images"] + second["images"]] == ids
    assert list(first) == ["success", "images", "count", "next"]


@pytest.mark.parametrize("user", ["..", ".", "a/b", "../../etc", "ana maría", "用户", "a%2Fb", "a?b#c", "a+b", "a&b=c"])
@pytest.mark.contract("C14")
def test_any_name_is_listed_by_the_query(light, user):
    """Any name is listed by the query."""
    image = uploaded(light, username=user)
    answer = ask(light, "GET", "user_images/", params={"username": user})

    assert [each["id"] for each in answer.json()["images"]] == [image["id"]]


@pytest.mark.parametrize("user", ["ana maría", "用户", "a%2Fb", "a?b#c", "a+b", "a&b=c", "a'b\"c<d>"])
@pytest.mark.contract("C14")
def test_a_name_is_listed_by_the_path(light, user):
    """A name without a slash is listed by the path."""
    image = uploaded(light, username=user)
    answer = ask(light, "GET", f"user_images/{quote(user, safe='')}/")

    assert [each["id"] for each in answer.json()["images"]] == [image["id"]]


# C33, C34


@pytest.mark.contract("C33")
def test_one_record_is_answered(light):
    """One record is that of the list."""
    image = uploaded(light, caption="Sea")

    assert ask(light, "GET", f"user_image/{image['id']}/").json() == {"success": True, "image": image}


@pytest.mark.contract("C34")
def test_an_update_answers_with_the_record(light):
    """An update answers with the record as it is now."""
    image = uploaded(light, caption="Sea")
    answer = ask(light, "POST", f"user_image/{image['id']}/update/", data={"caption": "<b>Shore</b>"})

    changed = image | {"caption": "Shore"}
    assert answer.json() == {"success": True, "message": "Image updated successfully", "image": changed}
    assert ask(light, "GET", f"user_image/{image['id']}/").json()["image"] == changed


# C15, C16


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.contract("C15")
def test_an_image_is_deleted(light, method):
    """An image is deleted."""
    path = f"user_image/{uploaded(light)['id']}/delete/"
    answer, again = ask(light, method, path), ask(light, method, path)

    assert answer.status_code == 200
    assert answer.json() == {"success": True, "message": "Image deleted successfully"}
    assert again.status_code == 404
    assert again.json() == {"error": "Image not found", "code": "image_not_found"}
    assert list(light.backstage.service.storage.list()) == []


@pytest.mark.contract("C16")
def test_one_image_is_primary(light):
    """One image is primary."""
    first, second = uploaded(light, is_primary="true"), uploaded(light)
    answer = ask(light, "POST", f"user_image/{second['id']}/set_primary/")
    images = ask(light, "GET", "user_images/ana/").json()["images"]

    assert answer.json() == {"success": True, "message": "Primary image updated successfully"}
    assert [image["id"] for image in images if image["is_primary"]] == [second["id"]]
    assert ask(light, "POST", f"user_image/{second['id']}/set_primary/").status_code == 200
    assert first["is_primary"] is True


# C11, C17


@pytest.mark.contract("C11")
def test_an_image_is_served_inline_as_what_it_is(site):
    """An image is served inline as what it is."""
    png = make_image("PNG", (40, 30), mode="RGBA")
    image = uploaded(site, files={"image": ("cat.png", png, "image/png")})
    answer = ask(site, "GET", f"user_image/{image['id']}/serve/")

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == image["mime_type"] == "image/webp"
    assert len(answer.content) == image["size_bytes"] == int(answer.headers["Content-Length"])
    assert answer.content[8:12] == b"WEBP"


@pytest.mark.contract("C17")
def test_head_has_the_headers_of_get_and_no_body(light):
    """`HEAD` has the headers of `GET` and no body."""
    path = f"user_image/{uploaded(light)['id']}/serve/"
    get, head = ask(light, "GET", path), ask(light, "HEAD", path)

    assert head.content == b""
    assert lasting_headers(head) == lasting_headers(get)
    assert raw(light, f"HEAD /api/{path} HTTP/1.1").endswith(b"\r\n\r\n")
    assert raw(light, f"HEAD /api/user_image/{NOBODY}/serve/ HTTP/1.1").endswith(b"\r\n\r\n")


def lasting_headers(response):
    """The headers that say something of the image: not of the connection, nor of the second."""
    passing = {"date", "connection", "keep-alive"}
    return {name: value for name, value in response.headers.lower_items() if name not in passing}


def raw(site, first_line, headers="", body=b""):
    """Send a request as it stands and return all that comes back."""
    where = urlsplit(site.url)
    with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
        head = f"{first_line}\r\nHost: {where.netloc}\r\nConnection: close\r\n{headers}\r\n"
        connection.sendall(head.encode("latin-1") + body)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


@pytest.mark.contract("C12")
def test_there_is_no_debug_route(light):
    """There is no debug route."""
    for path in ("debug/r2-status/", "test-r2-storage/"):
        with light.stranger() as session:
            assert session.get(f"{light.url}/api/{path}", timeout=30).status_code == 404


# C18, C19


@pytest.mark.contract("C18")
def test_get_changes_nothing_on_any_route(light):
    """A change by `GET` is impossible on every route."""
    image = uploaded(light)
    for path in ("upload_user_image/", *(f"user_image/{image['id']}/{each}/" for each in ("delete", "set_primary"))):
        assert ask(light, "GET", path).status_code == 405
    assert ask(light, "GET", "user_images/ana/").json()["images"] == [image]


SECRET = "AKIA-s3cr3t"


@pytest.mark.parametrize(
    "error", [RuntimeError, OSError, ValueError, KeyError, MemoryError, UnicodeError, TimeoutError]
)
@pytest.mark.contract("C19")
def test_a_secret_in_an_exception_stays_inside(light, error):
    """A secret in an internal exception never reaches the client."""
    image = uploaded(light)
    service = light.backstage.service
    broken = {name: before(error(SECRET)) for name in ("begin_upload", "get", "list", "begin_delete", "set_primary")}
    for storage, repository in (
        (
            faulty(
                service.storage, put=before(error(SECRET)), open=before(error(SECRET)), delete=before(error(SECRET))
            ),
            None,
        ),
        (None, faulty(service.repository, **broken)),
    ):
        light.backstage.service = ImageService(
            storage or service.storage, repository or service.repository, processor=service.processor
        )
        answers = [
            upload(light),
            ask(light, "GET", "user_images/ana/"),
            ask(light, "GET", f"user_image/{image['id']}/serve/"),
            ask(light, "POST", f"user_image/{image['id']}/set_primary/"),
            ask(light, "DELETE", f"user_image/{image['id']}/delete/"),
        ]
        for answer in answers:
            assert SECRET not in answer.text + str(answer.headers)
        assert 500 in {answer.status_code for answer in answers}
        assert {answer.json()["error"] for answer in answers if answer.status_code == 500} == {"Server error"}


@pytest.mark.contract("C19")
def test_a_missing_object_s_message_stays_inside(light):
    """A missing object's message stays inside."""
    image = uploaded(light)
    storage = faulty(light.backstage.service.storage, open=before(ObjectNotFoundError(SECRET)))
    light.backstage.service.storage = storage
    answer = ask(light, "GET", f"user_image/{image['id']}/serve/")

    assert answer.json() == {"error": "Image file not found", "code": "object_not_found"}


# C20


@pytest.mark.contract("C20")
def test_a_guard_is_asked_on_every_route(light):
    """A guard that says no is asked on every route."""
    image = uploaded(light)
    asked = []
    light.backstage.guard = lambda action, user: asked.append((action, user))
    named = [upload(light), ask(light, "GET", "user_images/ana/"), ask(light, "GET", "user_images/?username=ana")]
    by_id = [
        ask(light, method, f"user_image/{image['id']}/{verb}/")
        for method, verb in [("POST", "delete"), ("DELETE", "delete"), ("POST", "set_primary"), ("GET", "serve")]
    ]

    assert [answer.status_code for answer in named] == [403] * 3
    assert {answer.text for answer in named} == {'{"error": "Forbidden", "code": "forbidden"}'}
    missing = ask(light, "GET", f"user_image/{NOBODY}/serve/")
    for answer in by_id:
        assert (answer.status_code, answer.text) == (404, missing.text)
    assert ask(light, "HEAD", f"user_image/{image['id']}/serve/").status_code == 404
    assert asked == [
        ("upload", "ana"),
        ("list", "ana"),
        ("list", "ana"),
        ("delete", "ana"),
        ("delete", "ana"),
        ("set_primary", "ana"),
        ("serve", "ana"),
        ("serve", "ana"),
    ]
    light.backstage.guard = lambda action, user: True
    assert ask(light, "GET", "user_images/ana/").json()["images"] == [image]


@pytest.mark.contract("C20")
def test_a_page_of_another_site_changes_nothing(light):
    """A page of another site changes nothing."""
    image = uploaded(light)
    there = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    with light.stranger() as session:
        if light.framework == "django":
            session.cookies.set("csrftoken", "a" * 32)  # the browser sends the cookie; the page cannot read it
        answers = [
            session.request(method, f"{light.url}/api/{path}", headers=there, timeout=10)
            for method, path in [
                ("DELETE", f"user_image/{image['id']}/delete/"),
                ("POST", f"user_image/{image['id']}/set_primary/"),
            ]
        ]
        answers.append(upload(light, session, headers=there))

    assert [answer.status_code for answer in answers] == [403] * 3
    assert {answer.json()["code"] for answer in answers} == {"forbidden"}
    assert ask(light, "GET", "user_images/ana/").json()["images"] == [image]


# Hostile names


def hostile_names():
    """Return 200 names: of paths, of headers, of markup, of devices, of every awkward character, of great length."""
    pieces = [
        "..",
        ".",
        "a/../b",
        "..\\..\\x",
        "%2e%2e%2f",
        "~",
        "~a",
        "CON",
        "nul.jpg",
        "aux",
        "a:b",
        "a|b",
        "a*b",
        "\r\nSet-Cookie: a=b",
        "a\nb",
        "a\rb",
        '"',
        "';--",
        "\\",
        "a;b",
        "<img src=x onerror=alert(1)>",
        "&amp;",
        "${jndi:ldap://x}",
        "{{7*7}}",
        "%s%n",
        "`id`",
        "$(id)",
        "a\tb",
        "\x7f",
        "\x1b[31m",
        "\u202egpj.exe",
        "\u200b",
        "\ufeff",
        "é",
        "e\u0301",
        "ﬁ",
        "İ",
        "ß",
        "用户",
        "🙂",
        "a" * 150,
        "é" * 75,
        " ",
        "a b",
        "-rf",
        "a//b",
        "/etc/passwd",
        "\\\\host\\share",
        "file:///x",
        "?x=y",
        "#x",
    ]
    affixes = ["{}", "x{}", "{}.jpg", "{}{}"]
    return [affix.format(piece, piece)[:150] for piece in pieces for affix in affixes][:200]


HARMLESS = {
    "server",
    "date",
    "content-type",
    "content-length",
    "connection",
    "cache-control",
    "x-content-type-options",
    "x-robots-tag",
    "x-frame-options",
    "referrer-policy",
    "cross-origin-opener-policy",
    "vary",
}


@pytest.mark.contract("C3")
def test_hostile_user_names_keep_to_their_prefix(light):
    """200 hostile user names keep to their own prefix and out of the headers."""
    names = hostile_names()
    assert len(names) == 200
    for name in dict.fromkeys(names):  # each on a new connection: a kept one waits 40 ms for every delayed ACK
        answer = upload(light, username=name, files={"image": ("a.jpg", b"x")})
        assert answer.status_code == 200, (name, answer.text)
        assert {header.lower() for header in answer.headers} <= HARMLESS
        assert ask(light, "GET", "user_images/", params={"username": name}).json()["count"] == 1, name
    keys = [stored.key for stored in light.backstage.service.storage.list()]
    segments = {key.split("/")[1] for key in keys}
    assert len(segments) == len(set(names))
    assert all(key.isascii() and key.startswith("users/") and key.count("/") == 3 for key in keys)
    assert not {".", "..", ""} & segments


@pytest.mark.contract("C25")
def test_hostile_file_names_change_the_status_alone(light):
    """200 hostile file names change nothing but the status."""
    for name in hostile_names():
        body = (
            b'--x\r\nContent-Disposition: form-data; name="username"\r\n\r\nana\r\n'
            b'--x\r\nContent-Disposition: form-data; name="image_type"\r\n\r\ngallery\r\n'
            b'--x\r\nContent-Disposition: form-data; name="image"; filename="' + name.encode() + b'"\r\n'
            b"Content-Type: image/jpeg\r\n\r\nbytes\r\n--x--\r\n"
        )
        token = "Cookie: csrftoken=" + "a" * 32 + "\r\nX-CSRFToken: " + "a" * 32 + "\r\n"
        headers = f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(body)}\r\n{token}"
        head, _, answer = raw(light, "POST /api/upload_user_image/ HTTP/1.1", headers, body).partition(b"\r\n\r\n")
        status = int(head.split()[1])
        assert status in (200, 400, 415), (name, head)
        assert {line.split(b":")[0].decode().lower() for line in head.split(b"\r\n")[1:]} <= HARMLESS
        assert json.loads(answer)
        if status != 200:
            assert json.loads(answer)["code"] in ("missing_fields", "unsupported_format")
    storage, repository = light.backstage.service.storage, light.backstage.service.repository
    assert isinstance(storage, MemoryStorage)
    assert isinstance(repository, MemoryRepository)
    assert {key.key.split("/")[1] for key in storage.list()} == {"ana"}
    assert all(len(key.key) < 80 for key in storage.list())
