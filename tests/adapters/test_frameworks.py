"""What each framework's own idioms meet: exceptions of guards, other origins, arguments, and slow clients."""

import asyncio
import logging
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest
from tests.adapters.conftest import django_api
from tests.adapters.table import JPEG, UPLOAD
from tests.parts import needs

from userimages import AsyncImageService, ImageService
from userimages.http import DRAIN_SECONDS

FIELDS = [("username", "ana"), ("image_type", "gallery")]


def refusal(framework):
    """Return the exception by which a guard of this framework sends somebody to sign in, or away."""
    if framework == "flask":
        return needs("werkzeug.exceptions").Unauthorized("Sign in first.")
    if framework == "fastapi":
        return needs("fastapi").HTTPException(401, "Sign in first.", {"WWW-Authenticate": "Basic"})
    return needs("django.core.exceptions").PermissionDenied("Sign in first.")


@pytest.mark.contract("C20")
def test_a_guard_raises_the_frameworks_exceptions(light):
    """``abort(401)``, ``HTTPException(401)`` and ``PermissionDenied`` are answered as the framework answers them."""
    image = light.backstage.service.upload("ana", JPEG, image_type="cover")

    def guard(action, user):
        raise refusal(light.framework)

    light.backstage.guard = guard
    session = light.session()
    session.hooks["response"].clear()  # such an answer is the application's own
    with session:
        answers = [
            session.get(f"{light.url}/api/user_images/ana/", timeout=30),
            session.get(f"{light.url}/api/user_image/{image.id}/serve/", timeout=30),
            session.delete(f"{light.url}/api/user_image/{image.id}/delete/", timeout=30),
            session.post(
                f"{light.url}/api/upload_user_image/", data=UPLOAD.fields, files={"image": UPLOAD.image}, timeout=30
            ),
        ]

    assert {answer.status_code for answer in answers} == {403 if light.framework == "django" else 401}
    assert all("json" not in answer.headers["Content-Type"] for answer in answers) or light.framework == "fastapi"
    assert len(light.backstage.service.list("ana")) == 1


def test_django_guards_may_raise_what_parsers_raise(light):
    """A guard's ``SuspiciousOperation`` is not taken for a form that cannot be read."""
    if light.framework != "django":
        pytest.skip("Django has exceptions that both a parser and a guard raise")
    exceptions = needs("django.core.exceptions")

    def guard(action, user):
        raise exceptions.SuspiciousOperation

    light.backstage.guard = guard
    session = light.session()
    session.hooks["response"].clear()
    with session:
        answer = session.get(f"{light.url}/api/user_images/ana/", timeout=30)

    assert (answer.status_code, "json" in answer.headers["Content-Type"]) == (400, False)


@pytest.mark.contract("C20")
def test_an_async_guard_is_for_fastapi(light):
    """A coroutine of a guard is awaited on FastAPI, and lets nobody in where nothing awaits it."""
    pending = []

    async def answer():
        await asyncio.sleep(0)
        return True

    light.backstage.guard = lambda action, user: pending.append(answer()) or pending[-1]
    with light.session() as session:
        status = session.get(f"{light.url}/api/user_images/ana/", timeout=30).status_code
    pending[0].close()

    assert status == (200 if light.framework == "fastapi" else 403)


@pytest.mark.contract("C20")
def test_another_origin_changes_nothing(light):
    """Without ``Sec-Fetch-Site`` the ``Origin`` is compared with the host: another one is refused, one's own is not."""
    image = light.backstage.service.upload("ana", JPEG, image_type="cover")
    path = f"{light.url}/api/user_image/{image.id}/set_primary/"
    with light.session() as session:
        other = session.post(path, headers={"Origin": "https://evil.example"}, timeout=30)
        assert (other.status_code, light.backstage.service.primary("ana")) == (403, None)
        own = session.post(path, headers={"Origin": light.url}, timeout=30)

    assert (own.status_code, own.json()["success"]) == (200, True)


@pytest.mark.contract("C17")
def test_every_adapter_passes_on_who_may_show_and_read(light):
    """``resource_policy`` and ``canvas_origins`` are arguments of the adapters, and settings of Django."""
    image = light.backstage.service.upload("ana", JPEG, image_type="cover")
    path = f"/api/user_image/{image.id}/serve/"
    origin = "https://editor.example"
    headers = answer_of(light, path, {"origin": origin}, resource_policy="cross-origin", canvas_origins=[origin])

    assert headers["cross-origin-resource-policy"] == "cross-origin"
    assert headers["access-control-allow-origin"] == origin
    assert "origin" in headers["vary"].lower()


def answer_of(site, path, headers, **options):
    """Return the headers, by names in lower case, of an application that is made with these options."""
    images, guard = site.backstage.service, site.backstage.authorize
    if site.framework == "flask":
        from examples.flask_minimal.userimages_flask import create_blueprint

        app = needs("flask").Flask(__name__)
        app.register_blueprint(create_blueprint(images, authorize=guard, **options))
        found = app.test_client().get(path, headers=headers).headers
    elif site.framework == "fastapi":
        from examples.fastapi_minimal.userimages_fastapi import create_router

        app = needs("fastapi").FastAPI()
        app.include_router(create_router(AsyncImageService(images), authorize=guard, **options), prefix="/api")
        found = asyncio.run(asgi_headers(app, path, headers))
    else:
        from django.test import RequestFactory, override_settings
        from userimages_django import views

        settings = {f"USERIMAGES_{name.upper()}": value for name, value in options.items()}
        with override_settings(**settings):
            api = django_api(images, guard)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(views, "api", lambda: api)
            request = RequestFactory().get(path, headers=headers)
            found = views.answer(request, path.removeprefix("/api/")).headers
    return {name.lower(): value for name, value in found.items()}


async def asgi_headers(app, path, headers):
    sent = []
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b""}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def receive():
        return await asyncio.Event().wait()  # the client stays, and sends nothing

    async def send(message):
        sent.append(message)

    await app({**scope, "headers": raw, "http_version": "1.1", "root_path": "", "scheme": "http"}, receive, send)
    return {name.decode(): value.decode() for name, value in sent[0]["headers"]}


def begun_upload(light, headers=""):
    """Return the connection of an upload that has begun and sends nothing more."""
    where = urlsplit(light.url)
    connection = socket.create_connection((where.hostname, where.port))
    connection.sendall(
        f"POST /api/upload_user_image/ HTTP/1.1\r\nHost: {where.netloc}\r\n{headers}"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n\r\n--b\r\n".encode()
    )
    return connection


@pytest.mark.contract("C13")
def test_idle_uploads_stop_nothing(light):
    """An upload that has begun and sends nothing more costs a coroutine on FastAPI, and no thread."""
    if light.framework != "fastapi":
        pytest.skip("where a request is a thread, a slow client costs one")
    idle, threads = [], threading.active_count()
    try:
        idle.extend(begun_upload(light) for _ in range(200))
        with light.session() as session:
            for _ in range(3):
                assert session.get(f"{light.url}/api/user_images/ana/", timeout=10).status_code == 200
            uploaded = session.post(
                f"{light.url}/api/upload_user_image/", data=UPLOAD.fields, files={"image": UPLOAD.image}, timeout=10
            )
        assert uploaded.status_code == 200
        assert threading.active_count() < threads + 20
    finally:
        for connection in idle:
            connection.close()


@pytest.mark.contract("C13")
def test_a_refused_body_that_stops_is_given_up(light):
    """The rest of a refused body is waited for, but not without an end: the answer comes though the rest does not."""
    if light.framework != "fastapi":
        pytest.skip("where a request is a thread, a slow client costs one")
    with begun_upload(light, "Origin: https://elsewhere.example\r\n") as connection:
        connection.settimeout(4 * DRAIN_SECONDS)
        assert connection.recv(65536).split()[1] == b"403"


def test_a_router_takes_either_service():
    """An application that has an ``AsyncImageService`` already shares its threads with the adapter."""
    needs("fastapi")
    from examples.fastapi_minimal.userimages_fastapi import create_router

    for service in (ImageService.in_memory(), AsyncImageService(ImageService.in_memory())):
        assert create_router(service, authorize=lambda *_: True).routes


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Werkzeug leaves its file to the GC
@pytest.mark.contract("C13")
def test_a_file_that_is_cut_off_is_not_stored(light, caplog):
    """Half of a file is never taken for all of it, and a client that goes away is a line of INFO."""
    caplog.set_level(logging.INFO, "userimages.http")
    where, token = urlsplit(light.url), "a" * 32
    fields = "".join(f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in FIELDS)
    head = (
        f"POST /api/upload_user_image/ HTTP/1.1\r\nHost: {where.netloc}\r\nConnection: close\r\n"
        f"Cookie: csrftoken={token}\r\nX-CSRFToken: {token}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 5000\r\n\r\n"
        f'{fields}--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    )
    with socket.create_connection((where.hostname, where.port), timeout=20) as connection:
        connection.sendall(head.encode() + JPEG[: len(JPEG) // 2])
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while received := connection.recv(65536):
            answer += received

    def told():
        ours = (record for record in caplog.records if record.name == "userimages.http")
        return {(record.levelname, record.getMessage()) for record in ours}  # other clients of before may go away too

    deadline = time.monotonic() + 20
    while not told() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert told() == {("INFO", "A client went away before its request was read.")}
    assert len(light.backstage.service.list("ana")) == 0
    assert b" 400 " in answer.splitlines()[0] if answer else light.framework == "fastapi"
