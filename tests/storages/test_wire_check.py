"""The wire check refuses what R2 does not implement or misreads, and lets through what R2Storage sends."""

import base64
import functools
import hashlib
import io
from types import SimpleNamespace

import boto3
import pytest
from botocore.config import Config

from userimages.testing.wire_check import WireCheck, WireError, check_wire

OBJECT = {"Bucket": "userimages", "Key": "users/ana/images/cat.jpg"}
PLAIN = {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}


@functools.cache
def session():
    """Return one session for all clients, because each would read the description of S3 again."""
    return boto3.Session()


def client_of(endpoint="https://0123456789abcdef0123456789abcdef.eu.r2.cloudflarestorage.com", **settings):
    return session().client(
        "s3",
        region_name="auto",
        endpoint_url=endpoint,
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        config=Config(**settings),
    )


@pytest.fixture
def client(moto):
    """A client that sends neither trailers nor Expect, so that each test sees one thing refused."""
    client = client_of(**PLAIN)
    client.meta.events.register_first("before-send.s3.PutObject", without_expect)
    return client


def without_expect(request, **_):
    request.headers.pop("Expect", None)


def md5(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def sha256(data):
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


@pytest.mark.contract("C22")
def test_a_put_with_the_defaults_of_boto3_is_refused(moto):
    """A put with the defaults of boto3 is refused."""
    client = client_of()
    check = check_wire(client)

    with pytest.raises(WireError, match=r"transfer-encoding.*aws-chunked|aws-chunked.*transfer-encoding"):
        client.put_object(**OBJECT, Body=b"cat")

    assert any("x-amz-trailer" in problem for problem in check.refused)
    assert any("STREAMING" in problem for problem in check.refused)
    assert "no Content-Length" in check.refused


@pytest.mark.contract("C22")
def test_upload_fileobj_with_the_defaults_is_refused(moto):
    """`upload_fileobj` with the defaults is refused."""
    client = client_of()
    check_wire(client)

    with pytest.raises(WireError, match="aws-chunked"):
        client.upload_fileobj(io.BytesIO(b"cat"), *OBJECT.values())


def test_expect_is_refused(moto):
    """`Expect: 100-continue` is refused."""
    client = client_of(**PLAIN)
    check_wire(client)

    with pytest.raises(WireError, match="the header expect"):
        client.put_object(**OBJECT, Body=b"cat")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ACL": "public-read"}, "x-amz-acl"),
        ({"GrantRead": "id=1"}, "x-amz-grant-read"),
        ({"Tagging": "a=b"}, "x-amz-tagging"),
        ({"ObjectLockLegalHoldStatus": "ON"}, "x-amz-object-lock-legal-hold"),
        ({"ServerSideEncryption": "aws:kms"}, "x-amz-server-side-encryption"),
        ({"SSEKMSKeyId": "1"}, "x-amz-server-side-encryption-aws-kms-key-id"),
        ({"WebsiteRedirectLocation": "/"}, "x-amz-website-redirect-location"),
        ({"RequestPayer": "requester"}, "x-amz-request-payer"),
        ({"ExpectedBucketOwner": "1"}, "x-amz-expected-bucket-owner"),
        ({"Metadata": {"a": "b" * 8192}}, "metadata has 8193 bytes"),
        ({"Key": "k" * 1025}, "key has 1025 bytes"),
        (
            {"ContentMD5": base64.b64encode(hashlib.md5(b"dog").digest()).decode()},
            "content-md5 is not that of the body",
        ),
        ({"ChecksumSHA256": sha256(b"dog")}, "x-amz-checksum-sha256 is not that of the body"),
        ({"ChecksumCRC32": "AAAAAA=="}, "x-amz-checksum-crc32 is not that of the body"),
        ({"ChecksumSHA1": base64.b64encode(b"d" * 20).decode()}, "x-amz-checksum-sha1 is not that of the body"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_option_that_r2_does_not_take_is_refused(client, options, words):
    """An option that R2 does not take is refused."""
    check_wire(client)

    with pytest.raises(WireError, match=words):
        client.put_object(**OBJECT | {"Body": b"cat"} | options)


def test_two_checksums_are_refused(client):
    """Two checksums are refused."""
    check_wire(client)

    with pytest.raises(WireError, match="more than one checksum: content-md5, x-amz-checksum-sha256"):
        client.put_object(**OBJECT, Body=b"cat", ContentMD5=md5(b"cat"), ChecksumSHA256=sha256(b"cat"))


@pytest.mark.parametrize(
    ("operation", "arguments", "words"),
    [
        ("create_multipart_upload", OBJECT, "a POST other than DeleteObjects"),
        ("get_object_tagging", OBJECT, r"the operation \?tagging"),
        ("put_object_acl", OBJECT | {"ACL": "public-read"}, r"the operation \?acl"),
        ("get_bucket_policy", {"Bucket": "userimages"}, r"the operation \?policy"),
    ],
)
def test_an_operation_that_is_not_needed_is_refused(client, operation, arguments, words):
    """Those that R2 does not implement, and those that this library never sends."""
    check_wire(client)

    with pytest.raises(WireError, match=words):
        getattr(client, operation)(**arguments)


def test_more_than_a_thousand_deletions_are_refused(client):
    """More than a thousand deletions are refused."""
    check_wire(client)

    with pytest.raises(WireError, match="deletes 1001 keys"):
        client.delete_objects(Bucket="userimages", Delete={"Objects": [{"Key": str(key)} for key in range(1001)]})


def test_a_second_write_of_other_bytes_is_refused(client):
    """A retry with the same bytes is not."""
    check = check_wire(client)
    for _ in range(2):
        client.put_object(**OBJECT, Body=b"cat")

    with pytest.raises(WireError, match="writes other bytes"):
        client.put_object(**OBJECT, Body=b"dog")
    assert client.get_object(**OBJECT)["Body"].read() == b"cat"
    assert check.sent == 3


def test_a_second_write_may_be_create_only(client):
    """The store refuses it then."""
    check = check_wire(client)
    client.put_object(**OBJECT, Body=b"cat")

    with pytest.raises(client.exceptions.ClientError, match="PreconditionFailed"):
        client.put_object(**OBJECT, Body=b"dog", IfNoneMatch="*")
    assert check.refused == []


@pytest.mark.parametrize("mode", ["standard", "legacy", "adaptive"])
def test_a_refusal_is_raised_once(moto, mode):
    """Whatever boto3's mode of retries is."""
    client = client_of(**PLAIN, retries={"mode": mode, "total_max_attempts": 5})
    check = check_wire(client)

    with pytest.raises(WireError):
        client.put_object(**OBJECT, Body=b"cat")
    assert len(check.refused) == 1


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "no Content-Length"),
        ({"Content-Length": "2"}, "Content-Length 2 for a body of 3 bytes"),
        ({"Content-Length": "3", "x-amz-content-sha256": "0" * 64}, "signed x-amz-content-sha256"),
    ],
)
def test_a_body_unlike_its_headers_is_refused(headers, words):
    """A body unlike its headers is refused."""
    request = SimpleNamespace(method="PUT", url="https://host/bucket/key", headers=headers, body=io.BytesIO(b"cat"))

    with pytest.raises(WireError, match=words):
        WireCheck("host")(request)
    assert request.body.read() == b"cat", "the body can still be sent"


def test_a_key_is_measured_without_its_bucket():
    """Whether the bucket is in the path or in the host."""
    for url in (f"https://host/{'b' * 63}/{'k' * 1024}", f"https://{'b' * 63}.host/{'k' * 1024}"):
        WireCheck("host")(SimpleNamespace(method="GET", url=url, headers={}, body=None))
