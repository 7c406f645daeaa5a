"""What only the values of ``userimages.http`` can show; the rules of all transports are `tests/adapters/table.py`."""

import hashlib
import io
import json
import logging
from uuid import uuid4

import attrs
import pytest

from userimages import (
    BrokenImageError,
    BusyError,
    ConfigurationError,
    ConflictError,
    EmptyImageError,
    FileTooLargeError,
    ImageNotFoundError,
    ImageService,
    InvalidFieldError,
    KeyTakenError,
    LimitExceededError,
    ObjectNotFoundError,
    RejectedImageError,
    RepositoryError,
    StorageError,
    StorageUnavailableError,
    UnsupportedFormatError,
    UserImagesError,
)
from userimages.http import STATUS, Api, FilePart, Form, Request
from userimages.repositories.memory import MemoryRepository
from userimages.storages.memory import MemoryStorage
from userimages.testing import faulty, instant_processor, make_image
from userimages.testing.faults import before

SECRET = "s3cr3t-of-the-backend"
DATA = b"0123456789"


class Caller:
    """Calls an ``Api`` as an adapter does, and counts what that costs."""

    def __init__(self, service=None, **options):
        self.calls = []
        self.service = service or ImageService(MemoryStorage(), MemoryRepository(), processor=instant_processor)
        options.setdefault("authorize", self._note)
        self.api = Api(self.service, **options)

    def _note(self, source, action, user):
        self.calls.append((source, action, user))
        return True

    def __call__(self, method, path, query="", *, headers=None, form=Form):
        request = Request(
            method=method, path=path, query=query, headers=headers or {}, form=form, source="the framework's request"
        )
        response = self.api(request)
        if not isinstance(response.body, bytes):
            body = b"".join(response.body)
            response.body.close()
            response = attrs.evolve(response, body=body)
        return response

    def json(self, *args, **kwargs):
        response = self(*args, **kwargs)
        return response.status, json.loads(response.body)

    def upload(self, fields=None, *, filename="cat.jpg", content_type="image/jpeg", data=DATA, headers=None):
        fields = {"username": "ana", "image_type": "gallery", **(fields or {})}
        form = Form(fields, [FilePart(io.BytesIO(data), filename, content_type)])
        return self.json("POST", "upload_user_image/", form=lambda: form, headers=headers)

    def uploaded(self, **fields):
        status, answer = self.upload(fields)
        assert status == 200, answer
        return answer["image"]["id"]


# Serving: ranges, validators, headers


@pytest.mark.contract("C17")
def test_digits_of_another_script_are_not_a_range():
    """Sockets do not carry them, so they are not in the table of all transports, nor is a star between spaces."""
    call = Caller()
    path = f"user_image/{call.uploaded()}/serve/"

    assert call("GET", path, headers={"Range": "bytes=٣-٤"}).body == DATA
    assert call("GET", path, headers={"If-None-Match": " * "}).status == 304


@pytest.mark.contract("C17")
def test_a_range_of_other_bytes_is_the_whole():
    """A range of other bytes, by `If-Range`, is the whole."""
    call = Caller()
    path = f"user_image/{call.uploaded()}/serve/"
    etag = call("GET", path).headers["ETag"]

    assert call("GET", path, headers={"Range": "bytes=0-1", "If-Range": etag}).status == 206
    for other in ('"other"', f"W/{etag}", "Mon, 23 Nov 2026 17:00:00 GMT"):
        assert call("GET", path, headers={"Range": "bytes=0-1", "If-Range": other}).body == DATA


@pytest.mark.contract("C11")
def test_the_headers_of_a_served_image():
    """The headers of a served image are exactly these."""
    call = Caller()
    id = call.uploaded(image_type="profile")

    response = call("GET", f"user_image/{id}/serve/", "variant=64")

    assert response.headers == {
        "Content-Type": "image/webp",
        "Content-Length": "12",
        "Content-Disposition": f'inline; filename="profile-{id}-64.webp"',
        "ETag": f'"{hashlib.sha256(DATA + b"64").hexdigest()}"',
        "Cache-Control": "private, max-age=3600",
        "Accept-Ranges": "bytes",
        "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'",
        "Cross-Origin-Resource-Policy": "same-site",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex",
    }
    assert response.body == DATA + b"64"


@pytest.mark.contract("C11")
def test_a_type_of_no_image_is_never_served():
    """A stored type that is no image's is never served as such."""
    call = Caller()
    image = call.service.get(call.uploaded())
    call.service.repository = OneRow(attrs.evolve(image, mime_type="text/html"))

    assert call("GET", f"user_image/{image.id}/serve/").headers["Content-Type"] == "application/octet-stream"


@attrs.define
class OneRow:
    """A repository with one image in it."""

    image: object

    def get(self, id, *, user=None):
        return self.image


@pytest.mark.contract("C11")
@pytest.mark.cost
def test_head_and_not_modified_open_no_object():
    """`HEAD` and 304 open no object, and a `GET` opens one."""
    opened = []

    class Counting(MemoryStorage):
        def open(self, key, *, start=0, length=None):
            opened.append((start, length))
            return super().open(key, start=start, length=length)

    call = Caller(ImageService(Counting(), MemoryRepository(), processor=instant_processor))
    path = f"user_image/{call.uploaded()}/serve/"

    head = call("HEAD", path, headers={"Range": "bytes=0-1"})
    call("GET", path, headers={"If-None-Match": "*"})
    call("GET", path, headers={"Range": "bytes=77-"})
    assert (head.status, head.body, head.headers["Content-Length"], opened) == (200, b"", "10", [])

    call("GET", path, headers={"Range": "bytes=3-6"})
    assert opened == [(3, 4)]


@pytest.mark.contract("C11")
@pytest.mark.cost
def test_serving_reads_one_row():
    """Serving reads one row."""
    reads = []

    class Counting(MemoryRepository):
        def get(self, id, *, user=None):
            reads.append(id)
            return super().get(id, user=user)

    call = Caller(ImageService(MemoryStorage(), Counting(), processor=instant_processor))
    id = call.uploaded()
    reads.clear()
    call("GET", f"user_image/{id}/serve/")

    assert len(reads) == 1


@pytest.mark.contract("C11")
def test_an_unread_stream_is_closed():
    """A stream is closed even if nobody reads it."""
    stream = io.BytesIO(DATA)

    class Storage(MemoryStorage):
        def open(self, key, *, start=0, length=None):
            return stream

    call = Caller(ImageService(Storage(), MemoryRepository(), processor=instant_processor))
    request = Request(
        method="GET", path=f"user_image/{call.uploaded()}/serve/", query="", headers={}, form=Form, source=None
    )
    call.api(request).body.close()

    assert stream.closed


# Uploading: the client's word, and the fields


@pytest.mark.parametrize(
    "filename",
    ["cat.jpg", "CAT.JPEG", "blob", "cat.jfif", "cat", "cat.heic", "a.b.webp", "é.png", "cat.tiff", "cat.bmp", "a.txt"],
)
@pytest.mark.parametrize(
    "content_type",
    [
        *("", "image/jpeg", "image/jpg", "application/octet-stream", "image/x-new", "blob", "image/*", "*/*"),
        *("text/plain", "multipart/form-data", "application/x-www-form-urlencoded", "application/unknown"),
        *("image/tiff", "video/mp4"),
    ],
)
@pytest.mark.contract("C25")
def test_a_harmless_name_or_type_passes(filename, content_type):
    """A name or type that says nothing else passes."""
    status, _ = Caller().upload(filename=filename, content_type=content_type)

    assert status == 200


@pytest.mark.parametrize(
    ("filename", "content_type"),
    [
        *(
            (f"cat.{each}", "")
            for each in ("html", "HTM", "svg", "svgz", "xhtml", "js", "mjs", "css", "php", "phtml", "sh", "exe", "xslt")
        ),
        *(("cat.jpg.html", ""), ("cat.html ", ""), ("cat.html.", ""), ("a/b.svg", "image/jpeg")),
        *(("cat.jpg", each) for each in ("text/html", "image/svg+xml", "TEXT/HTML; charset=utf-8", "text/xml")),
        *(("cat.jpg", each) for each in ("application/xhtml+xml", "text/javascript", "application/x-httpd-php")),
    ],
)
@pytest.mark.contract("C25")
def test_a_dangerous_name_or_type_is_unsupported(filename, content_type):
    """A name or type that is dangerous to serve is refused with 415."""
    status, answer = Caller().upload(filename=filename, content_type=content_type)

    assert status == 415
    assert answer["error"].startswith("Unsupported file format")
    assert answer["code"] == "unsupported_format"


@pytest.mark.parametrize(
    ("text", "truth"), [("true", True), ("TRUE", True), ("on", True), ("False", False), ("", False)]
)
@pytest.mark.contract("C13")
def test_is_primary_is_true_or_false_in_any_case(text, truth):
    """`is_primary` is true or false, in any case."""
    _, answer = Caller().upload({"is_primary": text})

    assert answer["image"]["is_primary"] is truth


@pytest.mark.parametrize("text", ["1", "yes", "off", "truest"])
@pytest.mark.contract("C13")
def test_an_unclear_is_primary_is_refused(text):
    """An `is_primary` that is neither is not taken for false."""
    status, answer = Caller().upload({"is_primary": text})

    assert (status, answer["code"]) == (400, "invalid_field")


@pytest.mark.contract("C13")
def test_an_idempotency_key_gives_the_first_answer():
    """The same idempotency key gives the first answer, and another file a conflict."""
    call = Caller()
    headers = {"Idempotency-Key": "once"}
    (_, first), (_, again) = call.upload(headers=headers), call.upload(headers=headers)
    status, other = call.upload(headers=headers, data=b"something else")

    assert first == again
    assert (status, other["code"]) == (409, "conflict")
    assert len(call.service.list("ana")) == 1


@pytest.mark.contract("C13")
def test_all_missing_fields_are_named():
    """All of them at once, and the body of another method is never read."""

    def unread():
        raise AssertionError

    call = Caller()
    status, answer = call.json("POST", "upload_user_image/", form=lambda: Form({"username": "ana"}))

    assert (status, answer["code"]) == (400, "missing_fields")
    assert answer["error"] == "Missing required fields: image, image_type"
    assert call("PUT", "upload_user_image/", form=unread).status == 405
    assert call("POST", "upload_user_image/", form=unread, headers={"Sec-Fetch-Site": "cross-site"}).status == 403


@pytest.mark.contract("C13")
def test_a_form_without_a_chosen_file_lacks_an_image():
    """A form in which no file was chosen lacks an image."""
    status, answer = Caller().upload(filename="", data=b"")

    assert (status, answer["error"]) == (400, "Missing required fields: image")


@pytest.mark.contract("C19")
def test_json_is_not_stored_and_not_sniffed():
    """JSON is not stored and not sniffed."""
    response = Caller()("GET", "user_images/ana/")

    assert response.headers == {
        "Content-Type": "application/json",
        "Content-Length": str(len(response.body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex",
    }


# Guard


@pytest.mark.parametrize("user", ["a\0b", "a" * 151, "\ud800"])
@pytest.mark.contract("C20")
def test_the_guard_never_sees_an_impossible_name(user):
    """The guard never sees a name that cannot be."""
    call = Caller()

    assert call.upload({"username": user})[0] == 400
    assert call.json("GET", "user_images/", f"username={'a' * 151}")[0] == 400
    assert call.calls == []


ROUTES = [
    ("POST", "upload_user_image/", "upload", 403),
    ("GET", "user_images/ana/", "list", 403),
    ("GET", "user_images/", "list", 403),
    ("POST", "user_image/{id}/delete/", "delete", 404),
    ("DELETE", "user_image/{id}/delete/", "delete", 404),
    ("POST", "user_image/{id}/set_primary/", "set_primary", 404),
    ("POST", "user_image/{id}/update/", "update", 404),
    ("GET", "user_image/{id}/", "serve", 404),
    ("GET", "user_image/{id}/serve/", "serve", 404),
    ("HEAD", "user_image/{id}/serve/", "serve", 404),
]


def everything(call, id):
    form = Form({"username": "ana", "image_type": "gallery", "caption": "Sea"}, [FilePart(io.BytesIO(DATA), "cat.jpg")])
    for method, path, action, status in ROUTES:
        query = "username=ana" if path == "user_images/" else ""
        yield call(method, path.format(id=id), query, form=lambda: form), action, status


@pytest.mark.contract("C20")
def test_the_guard_is_asked_once_on_every_route():
    """The guard is asked once on every route, with the action and the user."""
    call = Caller()
    for method, path, action, _ in ROUTES:
        id = call.uploaded()
        call.calls.clear()
        fields = {"username": "ana", "image_type": "gallery", "caption": "Sea"}
        form = Form(fields, [FilePart(io.BytesIO(DATA), "cat.jpg")])
        query = "username=ana" if path == "user_images/" else ""
        assert call(method, path.format(id=id), query, form=lambda form=form: form).status == 200
        assert call.calls == [("the framework's request", action, "ana")]


async def never_awaited(source, action, user):
    return True


@pytest.mark.parametrize("answer", [False, None, 0, "yes", 1])
@pytest.mark.contract("C20")
def test_only_true_lets_a_request_through(answer):
    """A guard that does not say true lets nothing through on any route."""
    allowed = Caller()
    id = allowed.uploaded()
    refused = Caller(allowed.service, authorize=lambda *_: answer)

    for response, _, status in everything(refused, id):
        assert response.status == status
    assert [str(image.id) for image in allowed.service.list("ana")] == [id]
    assert not allowed.service.get(id).is_primary


@pytest.mark.contract("C20")
def test_a_coroutine_lets_nothing_through():
    """A guard that is a coroutine lets nothing through."""
    pending = []

    def guard(*args):
        pending.append(never_awaited(*args))
        return pending[-1]

    assert Caller(authorize=guard)("GET", "user_images/ana/").status == 403
    pending[0].close()


@pytest.mark.contract("C20")
def test_a_guard_cannot_be_left_out():
    """A guard cannot be left out."""
    with pytest.raises(TypeError, match="authorize"):
        Api(ImageService.in_memory())


@pytest.mark.contract("C19")
def test_a_refusal_looks_like_a_missing_image():
    """A guard that says no looks like a missing image."""
    call = Caller()
    id = call.uploaded()
    refused = Caller(call.service, authorize=lambda *_: False)

    for method, path, _, status in ROUTES:
        if status == 404:
            assert refused(method, path.format(id=id)) == call(method, path.format(id=uuid4()))


@pytest.mark.parametrize(
    ("site", "origin", "status"),
    [
        ("cross-site", "https://evil.example", 403),
        ("Cross-Site", "", 403),
        ("cross-site", "null", 403),
        ("cross-site", "https://app.example.net", 200),
        ("same-origin", "", 200),
        ("same-site", "", 200),
        ("none", "", 200),
        ("", "", 200),
        ("", "https://evil.example", 403),
        ("", "null", 403),
        ("", "https://pictures.example.evil.example", 403),
        ("", "https://pictures.example:8443", 403),
        ("", "https://[", 403),
        ("", "https://pictures.example", 200),
        ("", "http://Pictures.example", 200),
        ("", "https://app.example.net", 200),
    ],
)
@pytest.mark.contract("C20")
def test_another_sites_page_changes_nothing(site, origin, status):
    """Another site's page changes nothing unless its origin is listed."""
    call = Caller(trusted_origins=["https://app.example.net"])
    id = call.uploaded()

    headers = {"Sec-Fetch-Site": site, "Origin": origin, "Host": "pictures.example"}
    assert call("POST", f"user_image/{id}/set_primary/", headers=headers).status == status
    assert call("GET", f"user_image/{id}/serve/", headers=headers).status == 200


# Errors

ERRORS = [
    (StorageError(SECRET), 500, "Storage error", "storage_error"),
    (KeyTakenError(SECRET), 500, "Storage error", "storage_error"),
    (StorageUnavailableError(SECRET, retry_after=7), 503, "Storage error", "storage_unavailable"),
    (RepositoryError(SECRET), 500, "Database error", "repository_error"),
    (ConfigurationError(SECRET), 500, "Server error", "server_error"),
    (UserImagesError(SECRET), 500, "Server error", "server_error"),
    (RuntimeError(SECRET), 500, "Server error", "server_error"),
    (MemoryError(SECRET), 500, "Server error", "server_error"),
    (KeyError(SECRET), 500, "Server error", "server_error"),
    (OSError(5, SECRET), 500, "Server error", "server_error"),
    (ObjectNotFoundError(SECRET), 404, "Image file not found", "object_not_found"),
    (ImageNotFoundError(SECRET), 404, "Image not found", "image_not_found"),
    (ConflictError(SECRET), 409, STATUS[ConflictError][1], "conflict"),
    (BusyError(SECRET, retry_after=3), 503, STATUS[BusyError][1], "busy"),
    (FileTooLargeError(SECRET, limit=10 * 2**20), 413, "File size exceeds 10MB limit", "file_too_large"),
]


@pytest.mark.parametrize(("error", "status", "words", "code"), ERRORS, ids=lambda each: type(each).__name__)
@pytest.mark.contract("C19")
def test_the_cause_of_an_error_is_in_the_log_alone(error, status, words, code, caplog):
    """An error within never shows its cause, and the log holds it."""
    caplog.set_level(logging.ERROR, "userimages.http")
    call = Caller()
    call.service.repository = faulty(call.service.repository, list=before(error))

    response = call("GET", "user_images/ana/")

    assert json.loads(response.body) == {"error": words, "code": code}
    assert response.status == status
    assert SECRET not in repr(response)
    retry_after = getattr(error, "retry_after", None)
    assert response.headers.get("Retry-After") == (None if retry_after is None else str(retry_after))
    causes = [record.exc_info[1] for record in caplog.records if record.name == "userimages.http"]
    assert [str(cause) for cause in causes] == ([str(error)] if status >= 500 else [])


@pytest.mark.parametrize(
    ("error", "status", "sentence", "code"),
    [
        (EmptyImageError("The file is empty.", hint="Send one."), 400, "The file is empty.", "empty_image"),
        (BrokenImageError("It ends early."), 400, "It ends early.", "broken_image"),
        (LimitExceededError("900 Mpx.", code="too_many_pixels"), 400, "900 Mpx.", "too_many_pixels"),
        (RejectedImageError("No."), 400, "No.", "rejected_image"),
        (InvalidFieldError("The type.", field="image_type"), 400, "The type.", "invalid_field"),
        (UnsupportedFormatError("It is HEIC."), 415, "Unsupported file format: It is HEIC.", "unsupported_format"),
    ],
    ids=lambda each: type(each).__name__,
)
@pytest.mark.contract("C19")
def test_what_a_client_can_mend_is_said(error, status, sentence, code):
    """What the client can mend is said without the hint for programmers."""

    def refuse(data, image_type):
        raise error from RuntimeError(SECRET)

    call = Caller(ImageService(MemoryStorage(), MemoryRepository(), processor=refuse))

    assert call.upload() == (status, {"error": sentence, "code": code})


@pytest.mark.contract("C19")
def test_every_error_of_the_library_has_its_status():
    """Every error of the library has its status."""

    def tree(root):
        return {root}.union(*(tree(each) for each in root.__subclasses__()))

    for error in tree(UserImagesError):
        nearest = next(each for each in error.__mro__ if each in STATUS)
        assert nearest is not Exception or error in (UserImagesError, ConfigurationError), error


@pytest.mark.contract("C13")
def test_the_limit_of_the_processor_is_named():
    """A smaller limit of the processor is the limit that is named."""

    def small(data, image_type):
        return instant_processor(data, image_type)

    small.max_bytes = 2 * 2**20
    call = Caller(ImageService(MemoryStorage(), MemoryRepository(), processor=small))
    status, answer = call.upload(data=bytes(2 * 2**20 + 1))

    assert (status, answer["error"]) == (413, "File size exceeds 2MB limit")
    assert call.api.max_body < 3 * 2**20


# Routes


@pytest.mark.parametrize(
    "path", ["", "nothing/", "user_image/", "upload_user_image/more/", "debug/r2-status/", "user_images/a/b/"]
)
@pytest.mark.contract("C18")
def test_another_path_is_not_found_as_json(path):
    """Another path is 404 as JSON."""
    status, answer = Caller().json("GET", path)

    assert (status, answer) == (404, {"error": "Not found", "code": "not_found"})


@pytest.mark.contract("C14")
def test_pages_follow_each_other():
    """Pages follow each other, and `count` is of the page."""
    call = Caller()
    ids = [call.uploaded() for _ in range(5)][::-1]
    seen, query = [], "limit=2"
    for count in (2, 2, 1):
        _, page = call.json("GET", "user_images/ana/", query)
        assert (page["success"], page["count"], len(page["images"])) == (True, count, count)
        seen += [image["id"] for image in page["images"]]
        query = f"limit=2&cursor={page['next']}"

    assert seen == ids
    assert page["next"] is None


@pytest.mark.contract("C14")
def test_a_list_can_be_of_one_type():
    """A list can be of one type."""
    call = Caller()
    call.uploaded(image_type="cover")
    id = call.uploaded(image_type="profile")
    _, page = call.json("GET", "user_images/ana/", "image_type=profile")

    assert [image["id"] for image in page["images"]] == [id]


@pytest.mark.contract("C5")
def test_the_url_of_a_private_image_is_the_route():
    """The URL of a private storage is the serve route."""
    call = Caller()
    _, answer = call.upload()
    image = answer["image"]

    assert image["url"] == f"/api/user_image/{image['id']}/serve/"
    assert image["variants"]["64"]["url"] == f"/api/user_image/{image['id']}/serve/?variant=64"


@pytest.mark.contract("C5")
def test_another_domain_changes_every_url():
    """Another public domain changes every URL and no row."""

    class Public(MemoryStorage):
        domain = "one.example"

        def url(self, key):
            return f"https://{self.domain}/{key}"

    storage = Public()
    call = Caller(ImageService(storage, MemoryRepository(), processor=instant_processor))
    call.uploaded()
    storage.domain = "two.example"
    _, page = call.json("GET", "user_images/ana/")

    assert page["images"][0]["url"].startswith("https://two.example/users/ana/images/gallery_")


# What users test with


@pytest.mark.contract("C31")
def test_an_application_tests_its_api_in_memory():
    """An application tests its API without a server, a disk or an account."""
    call = Caller(ImageService.in_memory())
    status, answer = call.upload(data=make_image("PNG", (30, 20)))

    assert (status, answer["image"]["width"]) == (200, 30)
    assert call("GET", answer["image"]["url"].removeprefix("/api/")).status == 200


@pytest.mark.contract("C31")
def test_a_test_with_no_image_fails():
    """A test with bytes that are no image fails as it would in production."""
    status, answer = Caller(ImageService.in_memory()).upload(data=b"file_content")

    assert (status, answer["code"]) == (415, "unsupported_format")


@pytest.mark.parametrize("authorize", [None, True])
def test_a_guard_that_cannot_be_asked_is_refused(authorize):
    """A guard that cannot be asked is refused at construction."""
    with pytest.raises(ConfigurationError, match="authorize"):
        Api(ImageService.in_memory(), authorize=authorize)
