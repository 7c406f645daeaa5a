"""One table of requests and answers, for the values of ``userimages.http`` and for every framework."""

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from userimages import BusyError, ConflictError, EmptyImageError, RepositoryError, StorageError, StorageUnavailableError
from userimages.signing import UrlSigner
from userimages.testing import faulty, make_image
from userimages.testing.faults import before

JPEG = make_image("JPEG", (160, 80))
TOO_LARGE = 10 * 2**20 + 256 * 2**10 + 1
TEN_MIB = 10 * 2**20
DATA = b"0123456789"
NOBODY = "019e0000-0000-7000-8000-000000000000"  # an id that no image has
ELSEWHERE = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
WHO = {"username": "ana", "image_type": "gallery"}
IMAGE = ("cat.jpg", JPEG, "image/jpeg")


@attrs.frozen
class Ask:
    """A request; ``{id}`` in its path is that of an image of ana, ``{upper}`` the same in capitals.

    ``{etag}`` in a header is that of its bytes, which are ``DATA``. The form holds *image* as many times as *copies*.
    """

    method: str
    path: str
    query: str = ""
    fields: Mapping[str, str] | None = None
    image: tuple[str, bytes, str] | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    chunked: bool = False
    copies: int = 1


@attrs.frozen
class Row:
    """What a request is answered with, after *meanwhile* has changed the backstage.

    *says* is the error in words, *has* are some of the headers, and *body* is the whole body.
    """

    ask: Ask
    status: int
    code: str = ""
    meanwhile: Callable[[Any], None] = lambda backstage: None
    says: str = ""
    has: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes | None = None


def no_guard(backstage):
    backstage.guard = lambda action, user: False


def with_signer(backstage):
    backstage.service.signer = UrlSigner(["a-key-of-at-least-32-characters-1234"])


def failing(part, **verbs):
    """Return what makes the verbs of the storage or the repository raise."""

    def change(backstage):
        breaks = {verb: before(error) for verb, error in verbs.items()}
        setattr(backstage.service, part, faulty(getattr(backstage.service, part), **breaks))

    return change


def no_file(backstage):
    storage = backstage.service.storage
    storage.delete([each.key for each in storage.list()])


def processor_raises(error):
    def change(backstage):
        def refuse(data, image_type):
            raise error

        backstage.service.processor = refuse

    return change


DATABASE, STORE = RepositoryError("It failed."), StorageError("It failed.")
SILENT = StorageUnavailableError("No answer.", retry_after=9)
UPLOAD = Ask("POST", "upload_user_image/", fields=WHO, image=IMAGE)
LIST, BY_QUERY = Ask("GET", "user_images/ana/"), Ask("GET", "user_images/", "username=ana")
GET, SERVE = Ask("GET", "user_image/{id}/"), Ask("GET", "user_image/{id}/serve/")
UPDATE = Ask("POST", "user_image/{id}/update/", fields={"caption": "Sea"})
DELETE, PRIMARY = Ask("DELETE", "user_image/{id}/delete/"), Ask("POST", "user_image/{id}/set_primary/")
HEAD = attrs.evolve(SERVE, method="HEAD")
POSTED = attrs.evolve(DELETE, method="POST")


change = attrs.evolve


def rows():
    """Yield the table with a name for each row."""
    yield from uploads()
    yield from tickets()
    yield from lists()
    yield from changes()
    yield from serving()


def uploads():
    yield "upload", Row(UPLOAD, 200)
    yield (
        "upload as a form of HTML sends it",
        Row(change(UPLOAD, fields={**WHO, "is_primary": "on", "caption": ""}), 200),
    )
    for field in ("username", "image_type"):
        lacking = {name: text for name, text in WHO.items() if name != field}
        row = Row(change(UPLOAD, fields=lacking), 400, "missing_fields", says=f"Missing required fields: {field}")
        yield f"upload without {field}", row
    without = Row(change(UPLOAD, image=None), 400, "missing_fields", says="Missing required fields: image")
    yield "upload without an image", without
    yield "upload of two files", Row(change(UPLOAD, copies=2), 400, "invalid_field")
    byte_over = change(UPLOAD, image=("cat.jpg", bytes(TEN_MIB + 1), "image/jpeg"))
    yield "upload of one byte too many", Row(byte_over, 413, "file_too_large", says="File size exceeds 10MB limit")
    yield (
        "upload of a text field as image",
        Row(change(UPLOAD, image=None, fields={**WHO, "image": "a" * 700_000}), 400, "missing_fields"),
    )
    yield (
        "upload of a long text field as image",
        Row(change(UPLOAD, image=None, fields={**WHO, "image": "a" * 5_000_000}), 400, "missing_fields"),
    )
    yield (
        "upload of nothing",
        Row(
            change(UPLOAD, image=("cat.jpg", b"", "image/jpeg")),
            400,
            "empty_image",
            processor_raises(EmptyImageError("The file is empty.")),
        ),
    )
    yield "upload refused", Row(UPLOAD, 403, "forbidden", no_guard)
    yield "upload from elsewhere", Row(change(UPLOAD, headers=ELSEWHERE), 403, "forbidden")
    yield (
        "upload with a key that is taken",
        Row(
            change(UPLOAD, headers={"Idempotency-Key": "taken"}),
            409,
            "conflict",
            lambda backstage: backstage.service.upload("ana", b"x", image_type="cover", idempotency_key="taken"),
        ),
    )
    yield "upload without a length", Row(change(UPLOAD, chunked=True), 411, "length_required")
    yield (
        "upload that is too large",
        Row(
            change(UPLOAD, image=("cat.jpg", bytes(TOO_LARGE), "image/jpeg")),
            413,
            "file_too_large",
            says="File size exceeds 10MB limit",
        ),
    )
    yield "upload of a page", Row(change(UPLOAD, image=("cat.html", JPEG, "")), 415, "unsupported_format")
    yield (
        "upload with a database that fails",
        Row(UPLOAD, 500, "repository_error", failing("repository", begin_upload=DATABASE)),
    )
    yield "upload with a store that fails", Row(UPLOAD, 500, "storage_error", failing("storage", put=STORE))
    silent = Row(UPLOAD, 503, "storage_unavailable", failing("storage", put=SILENT))
    yield "upload with a silent store", change(silent, says="Storage error", has={"Retry-After": "9"})
    yield "upload at a busy time", Row(UPLOAD, 503, "busy", processor_raises(BusyError("Busy.", retry_after=3)))


def tickets():
    size = {"username": "ana", "size_bytes": "12", "mime_type": "image/jpeg"}
    begin = Ask("POST", "begin_upload/", fields=size)
    yield "ticket", Row(begin, 200, "", with_signer)
    yield "ticket without a size", Row(change(begin, fields={"username": "ana"}), 400, "missing_fields", with_signer)
    yield "ticket refused", Row(begin, 403, "forbidden", no_guard)
    yield "ticket from elsewhere", Row(change(begin, headers=ELSEWHERE), 403, "forbidden")
    large, page = {**size, "size_bytes": f"{TOO_LARGE}"}, {**size, "mime_type": "text/html"}
    yield "ticket that is too large", Row(change(begin, fields=large), 413, "file_too_large", with_signer)
    yield "ticket of a page", Row(change(begin, fields=page), 415, "unsupported_format", with_signer)
    yield "ticket that nobody signs", Row(begin, 500, "server_error")
    finish = change(UPLOAD, fields={**WHO, "ticket": NOBODY}, image=None)
    yield "ticket of nobody", Row(finish, 404, "ticket_not_found")
    yield "ticket that is no id", Row(change(finish, fields={**WHO, "ticket": "7"}), 400, "invalid_field")


def lists():
    for name, ask in (("list", LIST), ("list by query", BY_QUERY)):
        yield name, Row(ask, 200)
        yield f"{name}, one type", Row(change(ask, query=f"{ask.query}&image_type=cover&limit=3"), 200)
        yield f"{name}, bad limit", Row(change(ask, query=f"{ask.query}&limit=0"), 400, "invalid_field")
        yield f"{name}, refused", Row(ask, 403, "forbidden", no_guard)
        yield f"{name}, broken", Row(ask, 500, "repository_error", failing("repository", list=DATABASE))
    nobody = Row(change(BY_QUERY, query=""), 400, "missing_fields", says="Missing required fields: username")
    yield "list of nobody", nobody
    for bad in ("limit=201", "limit=-1", "limit=two", "limit=٣", f"limit={'9' * 5000}", "cursor=x", "cursor=garbage"):
        yield f"list, {bad[:20]}", Row(change(LIST, query=bad), 400, "invalid_field")
    yield "list of no type", Row(change(LIST, query="image_type=No!"), 400, "invalid_field")


def changes():
    for name, ask in (
        ("get", GET),
        ("update", UPDATE),
        ("delete", DELETE),
        ("post delete", POSTED),
        ("primary", PRIMARY),
    ):
        yield name, Row(ask, 200)
        yield f"{name}, nobody's", Row(change(ask, path=ask.path.format(id=NOBODY)), 404, "image_not_found")
        yield f"{name}, refused", Row(ask, 404, "image_not_found", no_guard)
        yield f"{name}, broken", Row(ask, 500, "repository_error", failing("repository", get=DATABASE))
        if name != "get":
            yield f"{name}, from elsewhere", Row(change(ask, headers=ELSEWHERE), 403, "forbidden")
    yield "update of nothing", Row(change(UPDATE, fields={"title": "Sea"}), 400, "missing_fields")
    yield "update to nothing", Row(change(UPDATE, fields={"caption": ""}), 200)
    yield "update to too much", Row(change(UPDATE, fields={"caption": "a" * 1001}), 400, "invalid_field")
    yield "update without a length", Row(change(UPDATE, chunked=True), 411, "length_required")
    yield "update too large", Row(change(UPDATE, fields={"caption": "a" * TOO_LARGE}), 413, "file_too_large")
    for name, ask in (("delete", DELETE), ("post delete", POSTED)):
        held = failing("repository", begin_delete=ConflictError("It is in use."))
        yield f"{name} of what is in use", Row(ask, 409, "conflict", held)
        yield f"{name}, silent store", Row(ask, 503, "storage_unavailable", failing("storage", delete=SILENT))


HEADERS = {
    "Content-Disposition": 'inline; filename="gallery-{id}.jpg"',
    "Cache-Control": "private, max-age=3600",
    "Accept-Ranges": "bytes",
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'",
    "Cross-Origin-Resource-Policy": "same-site",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}


def serving():
    yield "serve", Row(SERVE, 200, has=HEADERS | {"Content-Length": "10"}, body=DATA)
    variant = Row(change(SERVE, query="variant=64"), 200, has={"Content-Type": "image/webp"}, body=DATA + b"64")
    yield "serve a variant", variant
    unknown = Row(change(SERVE, query="variant=65"), 404, "image_not_found", says="Image not found")
    yield "serve no variant", unknown
    gone = Row(SERVE, 404, "object_not_found", no_file, says="Image file not found")
    yield "serve without a file", gone
    yield from ranges()
    yield from conditions()
    yield "serve, refused", Row(SERVE, 404, "image_not_found", no_guard)
    yield "serve, broken", Row(SERVE, 500, "storage_error", failing("storage", open=STORE))
    yield "serve, silent store", Row(SERVE, 503, "storage_unavailable", failing("storage", open=SILENT))
    yield "head", Row(HEAD, 200)
    yield "head of what is known", Row(change(HEAD, headers={"If-None-Match": "{etag}"}), 304)
    yield "head of nobody's", Row(change(HEAD, path=HEAD.path.format(id=NOBODY)), 404)
    yield "head, broken", Row(HEAD, 500, "", failing("repository", get=DATABASE))

    nil = "00000000-0000-0000-0000-000000000000"
    for spelled in ("{id.hex}", "{id.urn}", "{{{id}}}", "{upper}", "%7B{id}%7D", "1", "x" * 3000, "no-uuid", nil, "é"):
        row = Row(change(SERVE, path=f"user_image/{spelled}/serve/"), 404, "image_not_found")
        yield f"serve {spelled[:20]}", row
    for path in (
        *("user_images//", "user_image//", "user_image//serve/", "upload_user_image/more/", "user_image/a/b/c/"),
        *("user_image/", "user_images/a/b/"),
    ):
        yield f"no route {path}", Row(Ask("GET", path), 404, "not_found", says="Not found")
    for path, allowed in (
        ("upload_user_image/", "POST"),
        ("user_images/ana/", "GET"),
        ("user_images/", "GET"),
        ("user_image/{id}/", "GET"),
        ("user_image/{id}/update/", "POST"),
        ("user_image/{id}/delete/", "POST, DELETE"),
        ("user_image/{id}/set_primary/", "POST"),
        ("user_image/{id}/serve/", "GET, HEAD"),
    ):
        for method in ("PATCH", "OPTIONS", "PUT", "POST" if "GET" in allowed else "GET"):
            row = Row(Ask(method, path), 405, "method_not_allowed", says="Method not allowed", has={"Allow": allowed})
            yield f"no {method} of {path}", row


def ranges():
    """One range is a part, and anything else is the whole."""
    for asked, part, where in (
        ("bytes=0-0", b"0", "0-0"),
        ("bytes=2-4", b"234", "2-4"),
        ("BYTES=2-4", b"234", "2-4"),
        ("bytes=-3", b"789", "7-9"),
        ("bytes=-99", DATA, "0-9"),
        ("bytes=4-", b"456789", "4-9"),
        ("bytes=9-999", b"9", "9-9"),
    ):
        has = {"Content-Range": f"bytes {where}/10", "Content-Length": str(len(part))}
        yield f"serve {asked}", Row(change(SERVE, headers={"Range": asked}), 206, has=has, body=part)
    for asked in ("bytes=10-", "bytes=-0", "bytes=999999999999999999-"):
        row = Row(change(SERVE, headers={"Range": asked}), 416, "range_not_satisfiable")
        yield f"serve {asked}", change(row, has={"Content-Range": "bytes */10"})
    for asked in ("bytes=0-1,4-5", "bytes=4-2", "bytes=-", "bytes=a-b", "items=0-1", ""):
        whole = Row(change(SERVE, headers={"Range": asked}), 200, has={"Content-Length": "10"}, body=DATA)
        yield f"serve, Range {asked!r}", whole


def conditions():
    """A copy that is still good is not sent again."""
    for known in ("{etag}", "W/{etag}", '"other", {etag}', '"a",W/{etag} , "b"', "*"):
        headers = {"If-None-Match": known, "Range": "bytes=99-"}
        has = {"ETag": "{etag}", "Cache-Control": "private, max-age=3600"}
        yield f"serve what is known as {known}", Row(change(SERVE, headers=headers), 304, has=has, body=b"")
    for other in ('"other"', "", "garbage", "{digest}x", 'W/"', "W/*"):
        yield f"serve what is not {other!r}", Row(change(SERVE, headers={"If-None-Match": other}), 200, body=DATA)
