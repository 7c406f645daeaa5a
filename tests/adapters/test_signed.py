"""Signed URLs through Flask, Django and FastAPI: what the frameworks do to a query and to headers."""

import pytest

from userimages import ImageService
from userimages.model import ProcessedImage, Rendition
from userimages.repositories.memory import MemoryRepository
from userimages.signing import UrlSigner
from userimages.storages.memory import MemoryStorage

SIGNER = UrlSigner(["a-key-of-at-least-32-characters-1234"])
DATA = b"0123456789"


def as_it_is(data, image_type):
    return ProcessedImage(
        Rendition(bytes(data), 10, 5, "image/jpeg"), {"64": Rendition(b"small", 4, 2, "image/webp")}, ""
    )


@pytest.fixture
def image(site):
    """Give an image on a server with a signer, whose guard lets nobody through."""
    site.backstage.service = ImageService(MemoryStorage(), MemoryRepository(), processor=as_it_is, signer=SIGNER)
    site.backstage.guard = lambda action, user: False
    return site.backstage.service.upload("ana", DATA, image_type="gallery")


def test_a_signed_url_is_served_to_a_stranger(site, image) -> None:
    """Whole, as HEAD, in part and by its ETag, with the headers of a token each time."""
    small = site.session().get(site.url + image.variants["64"].url)
    etag = site.session().get(site.url + image.url).headers["ETag"]
    answers = [
        site.session().request(method, site.url + image.url, headers=headers)
        for method, headers in (
            ("GET", {}),
            ("HEAD", {}),
            ("GET", {"Range": "bytes=2-3"}),
            ("GET", {"If-None-Match": etag}),
        )
    ]

    assert (small.status_code, small.content) == (200, b"small")
    assert [answer.status_code for answer in answers] == [200, 200, 206, 304]
    assert [answer.content for answer in answers] == [DATA, b"", b"23", b""]
    for answer in answers:
        private, _, seconds = answer.headers["Cache-Control"].partition(", max-age=")
        assert private == "private"
        assert 3600 < int(seconds) <= 7200
        assert answer.headers["X-Robots-Tag"] == "noindex"
        assert "Set-Cookie" not in answer.headers


def test_django_signs_by_the_settings(project, monkeypatch, tmp_path) -> None:
    """The project's own service has the keys of the environment."""
    monkeypatch.setenv("USERIMAGES_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("USERIMAGES_SIGNING_KEYS", ",".join(SIGNER.keys))

    assert project.images.__wrapped__().signer == SIGNER


@pytest.mark.parametrize("end", ["x", "&verify=x", "&a=1", "%00", "=", "\u00e9", "&variant=64"])
def test_a_url_with_something_added_is_refused(site, image, end: str) -> None:
    """With the answer that an unknown image has."""
    answer = site.session().get(site.url + image.url + end)

    assert (answer.status_code, answer.json()["code"]) == (404, "image_not_found")
