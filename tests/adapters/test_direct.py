"""Direct upload through Flask, Django and FastAPI: a ticket, a PUT to our own route, and the form that finishes."""

import hashlib

import pytest

from userimages import ImageService
from userimages.repositories.memory import MemoryRepository
from userimages.signing import UrlSigner
from userimages.storages.memory import MemoryStorage
from userimages.testing import instant_processor

SIGNER = UrlSigner(["a-key-of-at-least-32-characters-1234"])
CAT = b"meow" * 20_000


@pytest.fixture
def direct(site):
    """Give a server whose storage signs nothing, with a signer for its own route."""
    site.backstage.service = ImageService(
        MemoryStorage(), MemoryRepository(), processor=instant_processor, signer=SIGNER
    )
    return site


def begin(site, **more):
    fields = {"username": "ana", "size_bytes": len(CAT), "mime_type": "image/jpeg", **more}
    return site.session().post(f"{site.url}/api/begin_upload/", data=fields)


def finish(site, ticket, **more):
    fields = {"username": "ana", "image_type": "gallery", "ticket": ticket["id"], **more}
    return site.session().post(f"{site.url}/api/upload_user_image/", data=fields)


@pytest.mark.contract("C35")
def test_a_browser_uploads_directly(direct) -> None:
    """The PUT needs no cookie and no guard; finishing twice gives the same image."""
    ticket = begin(direct, sha256=hashlib.sha256(CAT).hexdigest()).json()["ticket"]
    assert set(ticket) == {"id", "method", "url", "fields", "headers", "expires_at"}
    sent = direct.checked_stranger().request(
        ticket["method"], direct.url + ticket["url"], headers=ticket["headers"], data=CAT
    )
    done = finish(direct, ticket, caption="My cat")

    assert (sent.status_code, sent.content) == (204, b"")
    assert done.status_code == 200
    assert (done.json()["image"]["id"], done.json()["image"]["caption"]) == (ticket["id"], "My cat")
    assert finish(direct, ticket).json()["image"]["id"] == ticket["id"]
    with direct.backstage.service.open(ticket["id"]) as stream:
        assert stream.read() == CAT


@pytest.mark.parametrize(
    ("change", "body", "status"),
    [
        ("x", CAT, 403),
        ("", CAT + b"!", 413),
        ("", CAT[:-1], 400),
        ("", CAT[::-1], 400),
    ],
    ids=["a changed token", "longer", "shorter", "other bytes"],
)
@pytest.mark.contract("C36")
def test_another_put_is_refused(direct, change: str, body: bytes, status: int) -> None:
    """And nothing is stored, so finishing finds nothing."""
    ticket = begin(direct, sha256=hashlib.sha256(CAT).hexdigest()).json()["ticket"]
    sent = direct.checked_stranger().put(direct.url + ticket["url"] + change, headers=ticket["headers"], data=body)
    done = finish(direct, ticket)

    assert sent.status_code == status
    assert (done.status_code, done.json()["code"]) == (404, "ticket_not_found")


@pytest.mark.contract("C36")
def test_a_second_put_is_refused(direct) -> None:
    """412 if it has other bytes."""
    ticket = begin(direct).json()["ticket"]
    statuses = [
        direct.checked_stranger().put(direct.url + ticket["url"], headers=ticket["headers"], data=body).status_code
        for body in (CAT, CAT[::-1])
    ]

    assert statuses == [204, 412]


@pytest.mark.contract("C35")
def test_the_guard_is_asked_for_a_ticket(direct) -> None:
    """Its action is ``upload``; sizes, types and missing fields are refused as those of an upload are."""
    assert begin(direct, size_bytes=10 * 2**20 + 1).status_code == 413
    assert begin(direct, mime_type="text/html").status_code == 415
    assert begin(direct, size_bytes="many").status_code == 400
    assert begin(direct, username="").status_code == 400
    direct.backstage.guard = lambda action, user: action != "upload"
    assert begin(direct).status_code == 403
