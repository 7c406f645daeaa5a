"""The contract without a framework: request facts in, a response out."""

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


@pytest.mark.parametrize(
    ("asked", "status", "sent", "content_range"),
    [
        ("bytes=0-0", 206, b"0", "bytes 0-0/10"),
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("BYTES=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, DATA, "bytes 0-9/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=9-999", 206, b"9", "bytes 9-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=999999999999999999-", 416, None, "bytes */10"),
        ("bytes=0-1,4-5", 200, DATA, None),
        ("bytes=4-2", 200, DATA, None),
        ("bytes=-", 200, DATA, None),
        ("bytes=a-b", 200, DATA, None),
        ("bytes=٣-٤", 200, DATA, None),
        ("items=0-1", 200, DATA, None),
        ("", 200, DATA, None),
    ],
)
def test_c17_one_range_is_served_and_anything_else_is_the_whole(asked, status, sent, content_range):
    call = Caller()
    response = call("GET", f"user_image/{call.uploaded()}/serve/", headers={"Range": asked})

    assert response.status == status
    assert response.headers.get("Content-Range") == content_range
    if sent is not None:
        assert response.body == sent
        assert response.headers["Content-Length"] == str(len(sent))


def test_c17_a_range_of_other_bytes_by_if_range_is_the_whole():
    call = Caller()
    path = f"user_image/{call.uploaded()}/serve/"
    etag = call("GET", path).headers["ETag"]

    assert call("GET", path, headers={"Range": "bytes=0-1", "If-Range": etag}).status == 206
    for other in ('"other"', f"W/{etag}", "Mon, 23 Nov 2026 17:00:00 GMT"):
        assert call("GET", path, headers={"Range": "bytes=0-1", "If-Range": other}).body == DATA


@pytest.mark.parametrize("header", ["{}", "W/{}", '"other", {}', '"a",W/{} , "b"', "*", " * "])
def test_c17_if_none_match_is_answered_304_whether_exact_weak_listed_or_star(header):
    call = Caller()
    path = f"user_image/{call.uploaded()}/serve/"
    etag = call("GET", path).headers["ETag"]

    response = call("GET", path, headers={"If-None-Match": header.format(etag), "Range": "bytes=99-"})

    assert (response.status, response.body) == (304, b"")
    assert response.headers["ETag"] == etag
    assert response.headers["Cache-Control"] == "private, max-age=3600"


@pytest.mark.parametrize("header", ['"other"', "", "garbage", "{}x", 'W/"', "W/*"])
def test_c17_another_if_none_match_is_answered_with_the_bytes(header):
    call = Caller()
    path = f"user_image/{call.uploaded()}/serve/"
    etag = call("GET", path).headers["ETag"].strip('"')

    assert call("GET", path, headers={"If-None-Match": header.format(etag)}).status == 200


def test_c11_the_headers_of_a_served_image_are_exactly_these():
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


def test_c11_mended_a_stored_type_that_is_no_images_is_never_served_as_such():
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


def test_c11_mended_head_and_304_open_no_object_and_a_get_opens_one():
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


def test_c11_mended_serving_reads_one_row():
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


def test_c11_mended_a_stream_is_closed_even_if_nobody_reads_it():
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
def test_c25_a_name_or_type_that_says_nothing_else_passes(filename, content_type):
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
def test_c25_mended_a_name_or_type_of_another_kind_is_refused_with_415(filename, content_type):
    status, answer = Caller().upload(filename=filename, content_type=content_type)

    assert status == 415
    assert answer["error"].startswith("Unsupported file format")
    assert answer["code"] == "unsupported_format"


def test_c13_two_files_in_one_field_are_refused():
    call = Caller()
    form = Form({"username": "ana", "image_type": "gallery"}, [FilePart(io.BytesIO(DATA), "a.jpg")] * 2)
    status, answer = call.json("POST", "upload_user_image/", form=lambda: form)

    assert (status, answer["code"]) == (400, "invalid_field")
    assert len(call.service.list("ana")) == 0


@pytest.mark.parametrize(
    ("text", "truth"), [("true", True), ("TRUE", True), ("on", True), ("False", False), ("", False)]
)
def test_c13_is_primary_is_true_or_false_in_any_case(text, truth):
    _, answer = Caller().upload({"is_primary": text})

    assert answer["image"]["is_primary"] is truth


@pytest.mark.parametrize("text", ["1", "yes", "off", "truest"])
def test_c13_mended_an_is_primary_that_is_neither_is_not_taken_for_false(text):
    status, answer = Caller().upload({"is_primary": text})

    assert (status, answer["code"]) == (400, "invalid_field")


def test_c13_the_same_idempotency_key_gives_the_first_answer_and_another_file_a_conflict():
    call = Caller()
    headers = {"Idempotency-Key": "once"}
    (_, first), (_, again) = call.upload(headers=headers), call.upload(headers=headers)
    status, other = call.upload(headers=headers, data=b"something else")

    assert first == again
    assert (status, other["code"]) == (409, "conflict")
    assert len(call.service.list("ana")) == 1


def test_c13_missing_fields_are_named_and_the_body_of_another_method_is_never_read():
    def unread():
        raise AssertionError

    call = Caller()
    status, answer = call.json("POST", "upload_user_image/", form=lambda: Form({"username": "ana"}))

    assert (status, answer["code"]) == (400, "missing_fields")
    assert answer["error"] == "Missing required fields: image, image_type"
    assert call("PUT", "upload_user_image/", form=unread).status == 405
    assert call("POST", "upload_user_image/", form=unread, headers={"Sec-Fetch-Site": "cross-site"}).status == 403


def test_c13_a_form_in_which_no_file_was_chosen_lacks_an_image():
    status, answer = Caller().upload(filename="", data=b"")

    assert (status, answer["error"]) == (400, "Missing required fields: image")


def test_c19_json_is_not_stored_and_not_sniffed():
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
def test_c20_mended_the_guard_never_sees_a_name_that_cannot_be(user):
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


def test_c20_the_guard_is_asked_once_on_every_route_with_the_action_and_the_user():
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
def test_c20_mended_a_guard_that_does_not_say_true_lets_nothing_through_on_any_route(answer):
    allowed = Caller()
    id = allowed.uploaded()
    refused = Caller(allowed.service, authorize=lambda *_: answer)

    for response, _, status in everything(refused, id):
        assert response.status == status
    assert [str(image.id) for image in allowed.service.list("ana")] == [id]
    assert not allowed.service.get(id).is_primary


def test_c20_mended_a_guard_that_is_a_coroutine_lets_nothing_through():
    pending = []

    def guard(*args):
        pending.append(never_awaited(*args))
        return pending[-1]

    assert Caller(authorize=guard)("GET", "user_images/ana/").status == 403
    pending[0].close()


def test_c20_mended_a_guard_cannot_be_left_out():
    with pytest.raises(TypeError, match="authorize"):
        Api(ImageService.in_memory())


def test_c19_a_guard_that_says_no_looks_like_a_missing_image():
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
def test_c20_another_sites_page_changes_nothing_unless_its_origin_is_listed(site, origin, status):
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
def test_c19_mended_an_error_within_never_shows_its_cause_and_the_log_holds_it(error, status, words, code, caplog):
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
def test_c19_what_the_client_can_mend_is_said_without_the_hint_for_programmers(error, status, sentence, code):
    def refuse(data, image_type):
        raise error from RuntimeError(SECRET)

    call = Caller(ImageService(MemoryStorage(), MemoryRepository(), processor=refuse))

    assert call.upload() == (status, {"error": sentence, "code": code})


def test_c19_every_error_of_the_library_has_its_status():
    def tree(root):
        return {root}.union(*(tree(each) for each in root.__subclasses__()))

    for error in tree(UserImagesError):
        nearest = next(each for each in error.__mro__ if each in STATUS)
        assert nearest is not Exception or error in (UserImagesError, ConfigurationError), error


def test_c13_mended_a_smaller_limit_of_the_processor_is_the_limit_that_is_named():
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
def test_c18_another_path_is_404_as_json(path):
    status, answer = Caller().json("GET", path)

    assert (status, answer) == (404, {"error": "Not found", "code": "not_found"})


@pytest.mark.parametrize("id", ["1", "not-a-uuid", "00000000-0000-0000-0000-000000000000", "é", "a" * 5000])
def test_c17_mended_an_id_that_is_none_is_a_missing_image_not_an_error(id):
    status, answer = Caller().json("GET", f"user_image/{id}/serve/")

    assert (status, answer) == (404, {"error": "Image not found", "code": "image_not_found"})


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=-1", "limit=a", "limit=٣", "limit=" + "9" * 5000, "cursor=x"]
)
def test_c14_mended_a_bad_limit_or_cursor_is_400(query):
    status, answer = Caller().json("GET", "user_images/ana/", query)

    assert (status, answer["code"]) == (400, "invalid_field")


def test_c14_pages_follow_each_other_and_count_is_of_the_page():
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


def test_c14_a_list_can_be_of_one_type():
    call = Caller()
    call.uploaded(image_type="cover")
    id = call.uploaded(image_type="profile")
    _, page = call.json("GET", "user_images/ana/", "image_type=profile")

    assert [image["id"] for image in page["images"]] == [id]


def test_c5_the_url_of_a_private_storage_is_the_serve_route():
    call = Caller()
    _, answer = call.upload()
    image = answer["image"]

    assert image["url"] == f"/api/user_image/{image['id']}/serve/"
    assert image["variants"]["64"]["url"] == f"/api/user_image/{image['id']}/serve/?variant=64"


def test_c5_mended_another_public_domain_changes_every_url_and_no_row():
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


def test_c31_an_application_tests_its_api_without_a_server_a_disk_or_an_account():
    call = Caller(ImageService.in_memory())
    status, answer = call.upload(data=make_image("PNG", (30, 20)))

    assert (status, answer["image"]["width"]) == (200, 30)
    assert call("GET", answer["image"]["url"].removeprefix("/api/")).status == 200


def test_c31_mended_a_test_with_bytes_that_are_no_image_fails_as_it_would_in_production():
    status, answer = Caller(ImageService.in_memory()).upload(data=b"file_content")

    assert (status, answer["code"]) == (415, "unsupported_format")


@pytest.mark.parametrize("authorize", [None, True])
def test_a_guard_that_cannot_be_asked_is_refused_at_construction(authorize):
    with pytest.raises(ConfigurationError, match="authorize"):
        Api(ImageService.in_memory(), authorize=authorize)
