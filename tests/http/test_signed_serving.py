"""The serve route under a token: what a signed URL opens, with which headers, and what it does not open."""

import logging
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import attrs
import pytest

from userimages import ImageService, ObjectNotFoundError, StorageUnavailableError, UserImage
from userimages.http import Api, Form, Request, Response
from userimages.model import ProcessedImage, Rendition
from userimages.repositories.memory import MemoryRepository
from userimages.signing import UrlSigner
from userimages.storages.memory import MemoryStorage
from userimages.testing import faulty
from userimages.testing.faults import before

KEY, OTHER = "a-key-of-at-least-32-characters-1234", "another-key-of-at-least-32-characters"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
DATA = b"0123456789"


def as_it_is(data, image_type):
    variants = {name: Rendition(name.encode(), 4, 2, "image/webp") for name in ("64", "256")}
    return ProcessedImage(Rendition(data, 10, 5, "image/jpeg"), variants, "cGxhY2Vob2xkZXI=")


@attrs.define
class Site:
    """A service with a signer and a clock, behind a guard that lets nobody through unless told to."""

    now: datetime = NOON
    allowed: bool = False
    asked: int = 0
    serve_url: str = "/api/user_image/{id}/serve/"
    keys: tuple[str, ...] = (KEY,)
    service: ImageService = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.service = ImageService(
            MemoryStorage(),
            MemoryRepository(),
            processor=as_it_is,
            clock=lambda: self.now,
            serve_url=self.serve_url,
            signer=UrlSigner(self.keys),
        )

    def guard(self, *_: object) -> bool:
        self.asked += 1
        return self.allowed

    def image(self, user: str = "ana") -> UserImage:
        return self.service.upload(user, DATA, image_type="gallery")

    def __call__(self, url: str, method: str = "GET", *, at: str = "", **headers: str) -> Response:
        """Ask for *url*, as a proxy hands it on that may have changed the path to *at*."""
        parts = urlsplit(url)
        path = at or parts.path.removeprefix("/api/")
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = Request(method=method, path=path, query=parts.query, headers=headers, form=Form, source=None)
        response = Api(self.service, authorize=self.guard)(request)
        if isinstance(response.body, bytes):
            return response
        body = b"".join(response.body)
        response.body.close()
        return attrs.evolve(response, body=body)


@pytest.fixture
def site() -> Site:
    return Site()


def test_a_signed_url_needs_no_guard(site: Site) -> None:
    """The token takes its place, for the image and for each variant."""
    image = site.image()
    bodies = [site(url).body for url in (image.url, *(each.url for each in image.variants.values()))]

    assert bodies == [DATA, b"64", b"256"]
    assert site.asked == 0


def test_every_way_to_read_a_record_signs(site: Site) -> None:
    """Listing, getting, changing and the primary image give the same URL."""
    image = site.image()
    seen = [
        site.service.get(image.id),
        site.service.list("ana").images[0],
        site.service.set_primary(image.id),
        site.service.primary("ana"),
        site.service.update(image.id, caption="cat"),
    ]

    assert {each.url for each in seen} == {image.url}
    assert {each.variants["64"].url for each in seen} == {image.variants["64"].url}


def test_a_url_is_the_same_within_a_window(site: Site) -> None:
    """It changes with the next one; its token works until the last second of two windows."""
    image = site.image()
    site.now = NOON + timedelta(minutes=59, seconds=59)
    assert site.service.get(image.id).url == image.url
    site.now = NOON + timedelta(hours=1)
    assert site.service.get(image.id).url != image.url
    site.now = NOON + timedelta(hours=2, seconds=-1)
    assert site(image.url).status == 200
    site.now = NOON + timedelta(hours=2)
    assert site(image.url).status == 404


@pytest.mark.parametrize("minutes", [0, 30, 119])
def test_a_browser_may_keep_it_as_long_as_the_token(site: Site, minutes: int) -> None:
    """And no other cache may; crawlers are told to leave it alone."""
    image = site.image()
    site.now = NOON + timedelta(minutes=minutes)
    etag = site(image.url).headers["ETag"]
    answers = [
        site(image.url),
        site(image.url, "HEAD"),
        site(image.url, Range="bytes=2-3"),
        site(image.url, If_None_Match=etag),
    ]

    assert [answer.status for answer in answers] == [200, 200, 206, 304]
    assert [answer.body for answer in answers] == [DATA, b"", b"23", b""]
    for answer in answers:
        assert answer.headers["Cache-Control"] == f"private, max-age={7200 - 60 * minutes}"
        assert answer.headers["X-Robots-Tag"] == "noindex"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_without_a_token_the_guard_is_asked(site: Site) -> None:
    """As always: the owner sees the image, with the usual headers, and a stranger gets 404."""
    path = urlsplit(site.image().url).path
    refused = site(path)
    site.allowed = True
    served = site(path)

    assert (refused.status, served.status, site.asked) == (404, 200, 2)
    assert served.headers["Cache-Control"] == "private, max-age=3600"


def verify(url: str) -> str:
    return url.rpartition("verify=")[2]


def wrong_urls(site: Site) -> dict[str, str]:
    """Name the ways to use a token for what it was not made for, each with its URL."""
    one, two = site.image(), site.image("ben")
    path, small = urlsplit(one.url).path, one.variants["64"].url
    stranger = UrlSigner([OTHER])
    token, small_token = verify(one.url), verify(small)
    last = token[-2]
    return {
        "of another image": f"{urlsplit(two.url).path}?verify={token}",
        "of a variant, for its original": f"{path}?verify={small_token}",
        "of the original, for a variant": f"{path}?variant=64&verify={token}",
        "of one variant, for another": f"{path}?variant=256&verify={small_token}",
        "of another key": stranger.signed(path, now=NOON),
        "of an hour ahead": UrlSigner([KEY]).signed(path, now=NOON + timedelta(hours=1)),
        "of yesterday": UrlSigner([KEY]).signed(path, now=NOON - timedelta(days=1)),
        "with another letter": f"{path}?verify={token[:-2]}{'A' if last != 'A' else 'B'}{token[-1]}",
        "cut short": one.url[:-1],
        "empty": f"{path}?verify=",
        "padded": f"{one.url}=",
        "twice": f"{one.url}&verify={token}",
        "after a wrong one": f"{path}?verify=1&verify={token}",
        "before a wrong one": f"{path}?verify={token}&verify=1",
        "not last": f"{path}?verify={small_token}&variant=64",
        "followed by something": f"{one.url}&a=1",
        "followed by an escaped second one": f"{one.url}&ver%69fy={token}",
        "with two variants, the right one last": f"{path}?variant=256&variant=64&verify={small_token}",
        "with two variants, the right one first": f"{path}?variant=64&variant=256&verify={small_token}",
        "with an empty variant first": f"{path}?variant=&variant=64&verify={small_token}",
        "after an empty one": f"{path}?verify=&verify={token}",
        "as the value of something else": f"{path}?verify=1&a={token}",
        "by another name": one.url.replace("verify", "Verify"),
        "in the fragment of another parameter": f"{path}?a=verify={token}",
    }


@pytest.mark.parametrize("case", wrong_urls(Site()))
def test_a_token_opens_nothing_else(case: str) -> None:
    """The guard is asked as if there were none, so a stranger gets the 404 that an unknown image has."""
    site = Site()
    answer = site(wrong_urls(site)[case])

    assert (answer.status, site.asked) == (404, 1)
    assert answer.body == b'{"error": "Image not found", "code": "image_not_found"}'
    site.allowed = True
    assert site(wrong_urls(site)[case]).headers["Cache-Control"] in ("private, max-age=3600", "no-store")


def test_an_empty_variant_is_the_image_itself(site: Site) -> None:
    """``?variant=`` is no variant, under a token too."""
    image = site.image()
    path = urlsplit(image.url).path

    assert site(f"{path}?variant=&verify={verify(image.url)}").body == DATA


def test_a_variant_that_is_not_there_is_not_found(site: Site) -> None:
    """Also under a token that is right for it."""
    image = site.image()
    path = f"{urlsplit(image.url).path}?variant=9"

    assert site(UrlSigner([KEY]).signed(path, now=NOON)).status == 404


def test_an_old_key_opens_until_it_is_taken_out() -> None:
    """The new key signs, and both are valid while both are there."""
    site = Site(keys=(OTHER,))
    image = site.image()
    site.service.signer = UrlSigner([KEY, OTHER])
    assert site(image.url).status == 200
    assert site.service.get(image.id).url != image.url
    site.service.signer = UrlSigner([KEY])
    assert site(image.url).status == 404
    site.service.signer = None
    assert site(image.url).status == 404


def test_a_deleted_image_is_gone_at_once(site: Site) -> None:
    """Its token is still valid and opens nothing."""
    image = site.image()
    site.service.delete(image.id)

    assert [site(url).status for url in (image.url, image.variants["64"].url)] == [404, 404]


@pytest.mark.parametrize(
    "serve_url",
    [
        "/pictures/{id}",
        "https://app.example.com/api/user_image/{id}/serve/",
        "/app/mounted/here/user_image/{id}/serve/",
        "/show?size=1&image={id}",
    ],
)
def test_the_path_of_the_request_plays_no_part(serve_url: str) -> None:
    """A proxy may strip a prefix and a mount point may be anywhere: what was signed is ``serve_url``."""
    site = Site(serve_url=serve_url)
    image = site.image()
    at = f"user_image/{image.id}/serve/"

    assert site(image.url, at=at).body == DATA
    assert site(image.variants["64"].url, at=at).body == b"64"
    assert site(image.variants["64"].url, at=at.replace(str(image.id), str(site.image().id))).status == 404


def test_a_storage_with_urls_of_its_own_is_not_signed() -> None:
    """Their URLs do not lead to the serve route."""
    images = ImageService(
        MemoryStorage(public_url="https://img.example.com"),
        MemoryRepository(),
        processor=as_it_is,
        signer=UrlSigner([KEY]),
    )
    image = images.upload("ana", DATA, image_type="gallery")

    assert "verify" not in image.url + image.variants["64"].url


def test_no_token_reaches_a_log(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Neither where all is well nor where the storage or the token fails."""
    caplog.set_level(logging.DEBUG)
    image = site.image()
    site.service.list("ana")
    site(image.url)
    site(image.url[:-1] + "A")
    for error in (ObjectNotFoundError("Gone."), StorageUnavailableError("Away."), OSError("Broken.")):
        storage = site.service.storage
        site.service.storage = faulty(storage, open=before(error))
        assert site(image.url).status >= 404
        site.service.storage = storage
    site.service.delete(image.id)

    assert len(caplog.records) > 5
    logged = caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    assert not [secret for secret in (verify(image.url)[11:], verify(image.url)[:10], KEY) if secret in logged]
