"""Presigned URLs: equal to those of boto3, and refused by a real S3 server as soon as anything is changed."""

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import attrs
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from userimages import ConfigurationError, ImageService
from userimages.keys import user_segment
from userimages.repositories.memory import MemoryRepository
from userimages.signing import UrlSigner
from userimages.storages.r2 import R2Storage
from userimages.storages.r2_signing import Presigner
from userimages.testing.storage_contract import StorageContract, new_key

REQUIRED = {
    "account_id": "a1b2c3d4e5f60718293a4b5c6d7e8f90",
    "access_key_id": "key/with+signs",
    "secret_access_key": "hush-hush/+",
    "bucket_name": "pictures",
}
ENVIRON = {f"R2_{name.upper()}": value for name, value in REQUIRED.items()}
KEY = "a-key-of-at-least-32-characters-1234"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
CAT = bytes(range(256)) * 4

USERS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)
KEYS = st.one_of(
    USERS.map(lambda user: f"users/{user_segment(user)}/images/gallery_1795000000000000_aaaaaaaaaaaaaaaa.256.webp"),
    USERS.map(lambda user: f"staging/{user_segment(user)}/01a20978-e21c-7b2b-a921-eaf110e371d9"),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=80),
)


def seconds_of(url: str) -> int:
    """Return the time that a presigned URL names."""
    moment = datetime.strptime(re.search("X-Amz-Date=([0-9TZ]+)", url)[1], "%Y%m%dT%H%M%SZ")
    return int(moment.replace(tzinfo=UTC).timestamp())


# Equal to boto3


@pytest.fixture(scope="module")
def boto() -> R2Storage:
    return R2Storage(**REQUIRED)


@given(KEYS, st.integers(1, 604_800))
@settings(max_examples=1000, deadline=None)
def test_a_url_to_read_equals_that_of_boto3(boto: R2Storage, key: str, seconds: int) -> None:
    """For a thousand keys: percent signs, tildes, users in any script, and whatever else is ASCII."""
    wanted = boto.client.generate_presigned_url("get_object", {"Bucket": "pictures", "Key": key}, seconds)

    assert boto._presigner.url("GET", key, at=seconds_of(wanted), seconds=seconds) == wanted


@given(
    key=KEYS,
    seconds=st.integers(1, 604_800),
    size=st.integers(0, 2**40),
    mime_type=st.sampled_from(["image/jpeg", "image/webp", "image/svg+xml; charset=utf-8"]),
    digest=st.none() | st.binary(min_size=32, max_size=32),
)
@settings(max_examples=1000, deadline=None)
def test_a_url_to_write_equals_that_of_boto3(
    boto: R2Storage, *, key: str, seconds: int, size: int, mime_type: str, digest: bytes | None
) -> None:
    """With everything bound: length, type, digest and the condition that nothing is there yet."""
    headers = {"Content-Type": mime_type, "Content-Length": str(size), "If-None-Match": "*"}
    wanted = {"Bucket": "pictures", "Key": key, "ContentType": mime_type, "ContentLength": size, "IfNoneMatch": "*"}
    if digest:
        headers["x-amz-checksum-sha256"] = wanted["ChecksumSHA256"] = base64.b64encode(digest).decode()
    theirs = boto.client.generate_presigned_url("put_object", wanted, seconds)

    assert boto._presigner.url("PUT", key, at=seconds_of(theirs), seconds=seconds, headers=headers) == theirs


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:8333",
        "http://localhost:80",
        "https://S3.Example.com:443",
        "https://s3.example.com:8443/",
        "http://[::1]:9000",
    ],
)
def test_any_endpoint_is_signed_as_boto3_does(endpoint: str) -> None:
    """A port is a part of the signed host unless it is the one of the scheme, as boto3 has it."""
    storage = R2Storage(**REQUIRED, endpoint_url=endpoint)
    wanted = storage.client.generate_presigned_url("get_object", {"Bucket": "pictures", "Key": "users/a%20b"}, 60)

    assert storage._presigner.url("GET", "users/a%20b", at=seconds_of(wanted), seconds=60) == wanted


def test_a_time_that_changes_changes_all_that_it_must() -> None:
    """What is kept from one URL to the next belongs to one time and one lifetime only."""
    days = [(0, 60), (86_400, 60), (86_400, 120), (86_401, 60), (0, 60)]
    shared = Presigner("https://s3.example.com", "pictures", "id", "secret")
    alone = [
        Presigner("https://s3.example.com", "pictures", "id", "secret").url("GET", "a", at=at, seconds=seconds)
        for at, seconds in days
    ]

    assert [shared.url("GET", "a", at=at, seconds=seconds) for at, seconds in days] == alone
    assert len(set(alone)) == 4


@pytest.mark.parametrize("endpoint", ["", "s3.example.com", "ftp://s3.example.com", "http://[::1", "http://a:port"])
def test_an_endpoint_that_is_no_url_is_refused(endpoint: str) -> None:
    """The error names the setting."""
    with pytest.raises(ConfigurationError, match=r"not a URL.*R2_ENDPOINT_URL"):
        Presigner(endpoint, "pictures", "id", "secret")


# URLs of R2Storage


def at(now: datetime, **settings: object) -> R2Storage:
    return R2Storage(**REQUIRED, **settings, clock=lambda: now)


def test_a_presigned_url_is_the_same_for_a_window() -> None:
    """It begins with its window, changes with the next one, and is valid for two."""
    url = at(NOON, signed_urls=timedelta(hours=1)).url("users/a/images/b.jpg")

    assert url.startswith(
        "https://a1b2c3d4e5f60718293a4b5c6d7e8f90.r2.cloudflarestorage.com/pictures/users/a/images/b.jpg?X-Amz-Algorithm="
    )
    assert "X-Amz-Date=20260501T120000Z&X-Amz-Expires=7200" in url
    for later, same in ((timedelta(minutes=59, seconds=59), True), (timedelta(hours=1), False)):
        assert (at(NOON + later, signed_urls=timedelta(hours=1)).url("users/a/images/b.jpg") == url) == same


@pytest.mark.parametrize(
    "settings",
    [{"signed_urls": timedelta(hours=1)}, {"public_url": "img.example.com", "signer": UrlSigner([KEY])}],
    ids=["presigned", "behind a WAF"],
)
def test_signed_urls_keep_the_storage_contract(settings: dict[str, object]) -> None:
    """The path is that of a public URL, and nothing but the query is added."""
    StorageContract().test_url_is_none_or_percent_encoded(at(NOON, **settings))


def test_a_signer_signs_urls_of_the_custom_domain() -> None:
    """The token covers the path as the domain sees it, and ``signed_urls`` plays no part."""
    signer = UrlSigner([KEY])
    url = at(NOON, public_url="img.example.com", signer=signer).url("users/a%20b/images/c~1.jpg")

    assert url == signer.signed("https://img.example.com/users/a%2520b/images/c~1.jpg", now=NOON)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"signed_urls": timedelta(hours=1), "public_url": "img.example.com"}, "R2_SIGNED_URLS.*R2_PUBLIC_DOMAIN"),
        ({"signed_urls": timedelta(hours=1), "signer": UrlSigner([KEY])}, "R2_SIGNED_URLS.*a signer"),
        ({"signer": UrlSigner([KEY])}, "needs public_url"),
        ({"signed_urls": timedelta(days=4)}, r"signed_urls \(R2_SIGNED_URLS\) is 345600 seconds.*302400"),
        ({"signed_urls": timedelta(0)}, "is 0 seconds"),
        ({"signed_urls": 3600}, "type int"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object], words: str) -> None:
    """At construction, with the names of the settings and what to choose between."""
    with pytest.raises(ConfigurationError, match=words):
        R2Storage(**REQUIRED, **settings)


def test_the_settings_choose_how_urls_are_signed() -> None:
    """``R2_SIGNED_URLS`` presigns; signing keys count only where there is a domain whose WAF can check."""
    keys = {"USERIMAGES_SIGNING_KEYS": KEY}

    assert R2Storage.from_env(ENVIRON | {"R2_SIGNED_URLS": "3600"}).signed_urls == timedelta(hours=1)
    assert R2Storage.from_env(ENVIRON | keys | {"R2_PUBLIC_DOMAIN": "a.example"}).signer == UrlSigner([KEY])
    assert R2Storage.from_env(ENVIRON | keys).signer is None
    assert R2Storage.from_env(ENVIRON | keys | {"R2_SIGNED_URLS": "3600"}).signer is None


@pytest.mark.parametrize("seconds", ["1h", "-60", "3600.5", "\u0663\u0666\u0660\u0660", "59", "302401", "9" * 400])
def test_a_number_of_seconds_that_is_none_is_named(seconds: str) -> None:
    """The message names the variable."""
    with pytest.raises(ConfigurationError, match="R2_SIGNED_URLS"):
        R2Storage.from_env(ENVIRON | {"R2_SIGNED_URLS": seconds})


def test_no_secret_is_in_the_repr() -> None:
    """A storage may be printed."""
    shown = repr(R2Storage(**REQUIRED, public_url="img.example.com", signer=UrlSigner([KEY])))
    storage = R2Storage(**REQUIRED, signed_urls=timedelta(hours=1))
    storage.url("users/a/images/b.jpg")

    assert not [secret for secret in (KEY, "hush-hush") if secret in shown + repr(storage)]


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({"signed_urls": timedelta(hours=2)}, "private, max-age=7200"),
        ({"public_url": "img.example.com", "signer": UrlSigner([KEY])}, "public, max-age=3600, s-maxage=3600"),
    ],
)
def test_objects_are_cached_as_long_as_their_url(r2_seaweedfs, settings, header) -> None:
    """A deleted picture is gone from caches when its URL has ended, and not a year later."""
    storage, key = attrs.evolve(r2_seaweedfs, **settings), new_key()
    storage.put(key, CAT, mime_type="image/jpeg")

    assert r2_seaweedfs.client.head_object(Bucket=storage.bucket_name, Key=key)["CacheControl"] == header


# What a real S3 server refuses


@pytest.fixture
def signing(r2_seaweedfs: R2Storage) -> R2Storage:
    """Give the storage of the tests with presigned URLs."""
    return attrs.evolve(r2_seaweedfs, signed_urls=timedelta(hours=1))


@given(user=USERS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_presigned_url_opens_its_object(signing: R2Storage, user: str) -> None:
    """Whole, in part and by its ETag, whatever the user is called."""
    key = new_key().replace("/images/", f"{quote(user, safe='')[:60].replace('~', '%7E')}/images/")
    signing.put(key, CAT, mime_type="image/jpeg")
    url = signing.url(key)
    whole = requests.get(url, timeout=30)

    assert (whole.status_code, whole.content, whole.headers["Content-Type"]) == (200, CAT, "image/jpeg")
    part = requests.get(url, headers={"Range": "bytes=8-15"}, timeout=30)
    assert (part.status_code, part.content) == (206, CAT[8:16])
    assert requests.get(url, headers={"If-None-Match": whole.headers["ETag"]}, timeout=30).status_code == 304


Replacement = str | Callable[[re.Match[str]], str]


def changed(pattern: str, replacement: Replacement) -> Callable[[str], str]:
    def change(url: str) -> str:
        other = re.sub(pattern, replacement, url, count=1)
        assert other != url
        return other

    return change


@pytest.mark.parametrize(
    ("method", "change"),
    [
        pytest.param("GET", changed(r"(cat)\.jpg", r"\1.256.webp"), id="another key"),
        pytest.param("GET", changed(r"T(\d{6})Z", lambda time: f"T{int(time[1]) + 1:06}Z"), id="a second later"),
        pytest.param("GET", changed("X-Amz-Date=....", "X-Amz-Date=2020"), id="another day"),
        pytest.param("GET", changed("X-Amz-Expires=7200", "X-Amz-Expires=604800"), id="a longer life"),
        pytest.param("GET", changed(".$", lambda end: "01"[end[0] == "0"]), id="another signature"),
        pytest.param("GET", changed("&X-Amz-Signature=.*", ""), id="no signature"),
        pytest.param("GET", changed(r"\?.*", ""), id="nothing at all"),
        pytest.param("GET", changed("$", "&response-content-type=text/html"), id="an override of the type"),
        pytest.param("GET", changed("$", "&response-content-disposition=attachment"), id="an override of the name"),
        pytest.param("HEAD", str, id="HEAD"),
        pytest.param("PUT", str, id="PUT"),
        pytest.param("DELETE", str, id="DELETE"),
    ],
)
def test_whatever_is_changed_is_refused(signing: R2Storage, method: str, change: Callable[[str], str]) -> None:
    """By a server that checks signatures: key, time, expiry, method, signature, or something added."""
    key = f"{new_key().rpartition('/')[0]}/cat.jpg"
    for each in (key, key.replace(".jpg", ".256.webp")):
        signing.put(each, CAT, mime_type="image/jpeg")

    answer = requests.request(method, change(signing.url(key)), data=b"x" if method == "PUT" else None, timeout=30)
    assert answer.status_code in (400, 401, 403)
    assert CAT not in answer.content
    with signing.open(key) as stream:
        assert stream.read() == CAT


@pytest.mark.parametrize(("minutes", "status"), [(0, 200), (59, 200), (121, 403)])
def test_a_url_opens_for_a_window_after_it_was_made(signing: R2Storage, minutes: int, status: int) -> None:
    """And no longer than two after its window began."""
    key = new_key()
    signing.put(key, CAT, mime_type="image/jpeg")
    then = attrs.evolve(signing, clock=lambda: datetime.now(UTC) - timedelta(minutes=minutes))

    assert requests.get(then.url(key), timeout=30).status_code == status


def test_a_deleted_object_is_gone_at_once(signing: R2Storage) -> None:
    """Its URL is still valid and opens nothing."""
    key = new_key()
    signing.put(key, CAT, mime_type="image/jpeg")
    url = signing.url(key)
    signing.delete([key])

    assert requests.get(url, timeout=30).status_code == 404


def test_no_signature_reaches_a_log(signing: R2Storage, tiny_processor, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a service does with URLs that are signed, and however much is logged."""
    caplog.set_level("DEBUG")
    images = ImageService(signing, MemoryRepository(), processor=tiny_processor)
    image = images.upload(f"u{new_key()[-40:]}", CAT, image_type="gallery")
    images.list(image.user)
    images.check()
    images.delete(image.id)

    assert "Signature=" in image.url
    logged = caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    assert image.url.partition("Signature=")[2] not in logged
