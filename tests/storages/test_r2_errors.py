"""Whatever a store answers, or if it does not: an error of the library says what is wrong and what to check."""

import hashlib

import botocore.exceptions
import pytest
from botocore.parsers import ResponseParserError
from urllib3.exceptions import SSLError

from userimages.errors import KeyTakenError, ObjectNotFoundError, StorageError, StorageUnavailableError
from userimages.storages.r2 import R2Storage
from userimages.storages.r2_errors import translate_errors

from .conftest import MOTO_ENVIRON, Answer

KEY = "users/ana/images/cat.jpg"
HEADERS_OF_CAT = {"Content-Length": "3", "x-amz-meta-sha256": hashlib.sha256(b"cat").hexdigest()}
ETAG = {"ETag": '"1"'}
UNANSWERED = Answer(cut=-1)


def put(storage):
    storage.put(KEY, b"cat", mime_type="image/jpeg")


def open_(storage):
    storage.open(KEY).close()


def delete(storage):
    storage.delete([KEY])


def list_(storage):
    return list(storage.list())


ALL = pytest.mark.parametrize("request_of", [put, open_, delete, list_])


@ALL
@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ((403, "InvalidAccessKeyId"), StorageError, "R2_ACCESS_KEY_ID"),
        ((403, "SignatureDoesNotMatch"), StorageError, "R2_SECRET_ACCESS_KEY"),
        ((403, "AccessDenied"), StorageError, "R2_BUCKET_NAME"),
        ((403, "NotEntitled"), StorageError, "subscription"),
        ((401, "Unauthorized"), StorageError, "proxy that adds headers"),
        ((404, "NoSuchBucket"), StorageError, "R2_BUCKET_NAME"),
        ((400, "InvalidBucketName"), StorageError, "R2_BUCKET_NAME"),
        ((400, "InvalidRegionName"), StorageError, "R2_JURISDICTION"),
        ((400, "AuthorizationHeaderMalformed"), StorageError, "R2_ENDPOINT_URL"),
        ((400, "BadDigest"), StorageError, "changed on the way"),
        ((403, "RequestTimeTooSkewed"), StorageError, "clock"),
        ((400, "SomethingNew"), StorageError, "refused the request"),
        ((501, "NotImplemented"), StorageError, "If-None-Match"),
        ((429, "TooManyRequests"), StorageUnavailableError, "no more requests"),
        ((503, "SlowDown"), StorageUnavailableError, "no more requests"),
        ((503, "ServiceUnavailable"), StorageUnavailableError, "no more requests"),
        ((500, "InternalError"), StorageUnavailableError, "failed"),
    ],
)
def test_an_answer_says_which_setting_to_check(scripted, request_of, answer, error, words):
    """An answer says which setting to check."""
    status, code = answer
    scripted.answers += [Answer(status, code)] * 4

    with pytest.raises(StorageError, match=words) as caught:
        request_of(scripted.storage)

    assert code in str(caught.value)
    assert type(caught.value) is error
    assert isinstance(caught.value.__cause__, botocore.exceptions.ClientError)
    assert not any(private in str(caught.value) for private in ("ana", "cat.jpg", "127.0.0.1", "hush"))


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (403, "")])
def test_a_refusal_may_mean_that_the_object_is_missing(scripted, status, code):
    """A key that may not list must not learn whether an object exists."""
    scripted.answers += [Answer(status, code), Answer(status, code)]

    with pytest.raises(StorageError, match="ListBucket"):
        open_(scripted.storage)
    with pytest.raises(StorageError) as caught:
        put(scripted.storage)
    assert "ListBucket" not in str(caught.value)


def test_a_missing_object_is_not_a_missing_bucket(scripted):
    """A missing object is not a missing bucket."""
    scripted.answers += [Answer(404, "NoSuchKey"), Answer(404, "NoSuchBucket")]

    with pytest.raises(ObjectNotFoundError):
        open_(scripted.storage)
    with pytest.raises(StorageError, match="Bucket not found") as caught:
        open_(scripted.storage)
    assert not isinstance(caught.value, ObjectNotFoundError)


# Writes whose answer is lost, or that are sent twice


def test_a_retry_finds_what_the_first_try_has_stored(scripted):
    """A retry finds what the first try has stored."""
    scripted.answers += [UNANSWERED, Answer(412, "PreconditionFailed"), Answer(headers=HEADERS_OF_CAT)]

    put(scripted.storage)

    assert [request.method for request in scripted.requests] == ["PUT", "PUT", "HEAD"]


@pytest.mark.parametrize(
    "there",
    [
        Answer(headers=HEADERS_OF_CAT | {"Content-Length": "4"}),
        Answer(headers=HEADERS_OF_CAT | {"x-amz-meta-sha256": hashlib.sha256(b"dog").hexdigest()}),
        Answer(headers={"Content-Length": "3"}),
    ],
    ids=["another size", "another digest", "no digest"],
)
def test_other_bytes_under_the_key_are_an_error(scripted, there):
    """Other bytes under the key are an error."""
    scripted.answers += [Answer(412, "PreconditionFailed"), there]

    with pytest.raises(KeyTakenError):
        put(scripted.storage)


def test_a_conflict_is_repeated(scripted):
    """It means that another conditional write was in the way."""
    scripted.answers += [Answer(409, "ConditionalRequestConflict")] * 3 + [Answer(headers=ETAG)]

    put(scripted.storage)

    assert len(scripted.requests) == 4


def test_a_conflict_that_stays_is_an_error(scripted):
    """A conflict that stays is an error."""
    scripted.answers += [Answer(409, "ConditionalRequestConflict")] * 9

    with pytest.raises(StorageUnavailableError, match="in the way"):
        put(scripted.storage)
    assert len(scripted.requests) == 4


def test_a_store_that_does_not_answer_is_asked_twice(scripted):
    """A store that does not answer is asked twice."""
    scripted.answers += [UNANSWERED] * 2

    with pytest.raises(StorageUnavailableError) as caught:
        put(scripted.storage)
    assert len(scripted.requests) == 2
    assert caught.value.retry_after > 0


@pytest.mark.parametrize("first", [UNANSWERED, Answer(500, "InternalError")])
def test_a_refused_retry_says_nothing_of_the_first(scripted, first):
    """A refused retry says nothing of the first."""
    scripted.answers += [first, Answer(403, "AccessDenied")]

    with pytest.raises(StorageUnavailableError):
        put(scripted.storage)


# Bodies and lists of answers


def test_a_body_that_ends_early_is_unavailable(scripted):
    """It is never taken for a short file."""
    for read in (lambda stream: stream.read(), lambda stream: [*iter(lambda: stream.read(4), b"")]):
        scripted.answers.append(Answer(body=b"0123456789", cut=7, headers=ETAG))
        with scripted.storage.open(KEY) as stream, pytest.raises(StorageUnavailableError, match="connection broke"):
            read(stream)


def test_a_stream_closed_early_frees_its_connection(scripted):
    """A stream closed early frees its connection."""
    scripted.answers.append(Answer(body=b"0" * 1_000_000, headers=ETAG))
    stream = scripted.storage.open(KEY)
    answer = stream.raw._body._raw_stream
    assert stream.read(1) == b"0"
    assert not answer.closed

    stream.close()
    assert answer.closed


def test_a_key_that_was_not_deleted_is_an_error(scripted):
    """The error names the reason and no key."""
    failed = "".join(
        f"<Error><Key>users/ana/{code}</Key><Code>{code}</Code></Error>" for code in ("NoSuchKey", "AccessDenied")
    )
    scripted.answers.append(Answer(body=f"<DeleteResult>{failed}</DeleteResult>".encode()))

    with pytest.raises(StorageError, match=r"1 of 3 objects were not deleted.*R2_ACCESS_KEY_ID") as caught:
        scripted.storage.delete(["a", "b", "c"])
    assert "ana" not in str(caught.value)


def test_a_key_that_was_missing_counts_as_deleted(scripted):
    """A key that was missing counts as deleted."""
    body = f"<DeleteResult><Error><Key>{KEY}</Key><Code>NoSuchKey</Code></Error></DeleteResult>"
    scripted.answers.append(Answer(body=body.encode()))

    delete(scripted.storage)


def deleted(*keys):
    named = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
    return Answer(body=f"<DeleteResult>{named}</DeleteResult>".encode())


@pytest.mark.parametrize(
    "answer",
    [
        Answer(),
        Answer(body=b"<html><body>Please sign in</body></html>", headers={"Content-Type": "text/html"}),
        Answer(body=b"<ListAllMyBucketsResult/>"),
        Answer(body=b"<DeleteResult/>"),
        deleted("a", "c"),
        deleted("a", "b", "d"),
        deleted("a", "b", "c"),
    ],
    ids=["nothing", "a page", "another document", "no key", "fewer keys", "another key", "all keys"],
)
def test_only_keys_that_the_answer_names_are_deleted(scripted, answer):
    """Only keys that the answer names are deleted."""
    scripted.answers += [answer] * 2

    if answer == deleted("a", "b", "c"):
        scripted.storage.delete(["a", "b", "c"])
        return
    with pytest.raises(StorageUnavailableError, match="not that of an S3 server"):
        scripted.storage.delete(["a", "b", "c"])


def test_a_listing_out_of_byte_order_stops(scripted):
    """A listing out of byte order stops."""
    found = "".join(
        f"<Contents><Key>{key}</Key><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
        for key in ("a/b", "a-b/c")
    )
    scripted.answers.append(Answer(body=f"<ListBucketResult><Name>pictures</Name>{found}</ListBucketResult>".encode()))
    listing = scripted.storage.list()

    assert next(listing).key == "a/b"
    with pytest.raises(StorageError, match="byte order"):
        next(listing)


@pytest.mark.parametrize("page", [b"<html><p>Welcome to your router", b"<html></html>", b""])
@pytest.mark.parametrize("verb", [list_, put, delete, open_])
def test_an_answer_that_is_not_of_s3_is_unavailable(scripted, verb, page):
    """An answer that is not of S3 is unavailable."""
    scripted.answers += [Answer(body=page)] * 2

    with pytest.raises(StorageUnavailableError):
        verb(scripted.storage)


@ALL
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(scripted, request_of, status):
    """Not even by botocore, which would look for the bucket in another region, without end."""
    scripted.answers += [Answer(status, headers={"Location": "http://127.0.0.1:1/login"})] * 9

    with pytest.raises(StorageError, match="R2_ENDPOINT_URL"):
        request_of(scripted.storage)
    assert len(scripted.requests) == 1


@pytest.mark.parametrize("verb", [put, open_, list_])
def test_a_page_not_found_is_not_a_missing_object(scripted, verb):
    """A page not found is not a missing object."""
    scripted.answers += [Answer(404, body=b"<html>Nothing here")] * 2

    with pytest.raises(StorageUnavailableError, match="R2_ENDPOINT_URL"):
        verb(scripted.storage)


def test_an_object_gone_before_the_check_is_unknown(scripted):
    """The put hears that the key is taken, and then finds nothing there."""
    scripted.answers += [Answer(412, "PreconditionFailed"), Answer(404)]

    with pytest.raises(StorageUnavailableError):
        put(scripted.storage)


# Wrong settings


@ALL
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"R2_ENDPOINT_URL": "http://127.0.0.1:1"}, "cannot be reached.*R2_ACCOUNT_ID"),
        ({"R2_BUCKET_NAME": "two words"}, "R2_BUCKET_NAME"),
    ],
)
def test_a_setting_that_leads_nowhere_is_named(request_of, settings, words):
    """A setting that leads nowhere is named."""
    with pytest.raises(StorageError, match=words):
        request_of(R2Storage.from_env(MOTO_ENVIRON | settings))


def test_a_wrong_secret_and_a_wrong_key_differ(seaweedfs):
    """On a real server."""
    for setting, words in (("R2_SECRET_ACCESS_KEY", "secret does not belong"), ("R2_ACCESS_KEY_ID", "does not know")):
        with pytest.raises(StorageError, match=words):
            put(R2Storage.from_env(seaweedfs.environ() | {setting: "wrong"}))


def test_a_missing_bucket_is_named(moto):
    """A missing bucket is named."""
    with pytest.raises(StorageError, match="R2_BUCKET_NAME"):
        put(R2Storage.from_env(MOTO_ENVIRON | {"R2_BUCKET_NAME": "missing"}))


# The table

UNSENT = {"ParamValidationError", "EndpointProviderError", "EndpointResolutionError"}
ERRORS = [
    each
    for each in vars(botocore.exceptions).values()
    if isinstance(each, type)
    and issubclass(each, botocore.exceptions.BotoCoreError)
    and each is not botocore.exceptions.BotoCoreError
]


def named(error, name):
    """Return an instance of a class of botocore without the arguments that its message needs."""
    return type(name, (error,), {"__init__": lambda self: None, "__str__": lambda self: "endpoint of ana"})()


@pytest.mark.parametrize("error", ERRORS, ids=lambda each: each.__name__)
def test_every_error_of_botocore_is_translated(error):
    """Every error of botocore becomes one of this library."""
    with pytest.raises(StorageError) as caught, translate_errors():
        raise named(error, error.__name__)

    unsent = any(each.__name__ in UNSENT for each in error.__mro__)
    assert type(caught.value) is (StorageError if unsent else StorageUnavailableError), (
        "unknown unless certainly unsent"
    )
    assert "ana" not in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        each
        for each in ERRORS
        if issubclass(each, botocore.exceptions.HTTPClientError | botocore.exceptions.ConnectionError)
        and each.__subclasses__() == []
    ]
    + [ResponseParserError, SSLError],
    ids=lambda each: f"{each.__module__}.{each.__name__}",
)
def test_every_missing_answer_has_its_own_message(error):
    """Every missing answer has its own message."""
    with pytest.raises(StorageUnavailableError) as caught, translate_errors():
        raise named(error, error.__name__)

    assert not str(caught.value).startswith("The request to the store failed.")
