"""One live server for each framework, started once: real sockets, real parsers, one backstage to change things."""

import os
import secrets
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import attrs
import pytest
from tests.adapters.openapi import document
from tests.parts import needs

from userimages import EmptyImageError, ImageService
from userimages.http import Api
from userimages.model import ProcessedImage
from userimages.repositories.memory import MemoryRepository
from userimages.storages.memory import MemoryStorage
from userimages.testing import instant_processor

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "examples/django_app")]


@attrs.define
class Backstage:
    """What the running servers use, so that a test can change it."""

    service: ImageService = attrs.field(factory=ImageService.in_memory)
    guard: Callable[[str, str], bool] = lambda action, user: True

    def authorize(self, request: object, action: str, user: str) -> bool:
        return self.guard(action, user)


class Behind:
    """A service that is whatever the backstage's service is now."""

    def __init__(self, backstage: Backstage) -> None:
        self._backstage = backstage

    def __getattr__(self, name: str) -> object:
        return getattr(self._backstage.service, name)


@attrs.frozen
class Site:
    """A running server, and sessions to talk to it."""

    framework: str
    url: str
    backstage: Backstage

    def stranger(self):
        """Return a session that has been nowhere yet."""
        return needs("requests").Session()

    def checked_stranger(self):
        """Return a session that has been nowhere yet, whose answers are compared with the document of the contract."""
        session = self.stranger()
        session.hooks["response"].append(self._compare)
        return session

    def session(self):
        """Return a session that Django's CSRF protection lets through, as a page of the site would be.

        Each of its answers is compared with the document of the contract.
        """
        session = self.checked_stranger()
        if self.framework == "django":
            token = secrets.token_hex(16)
            session.cookies.set("csrftoken", token)
            session.headers["X-CSRFToken"] = token
        return session

    def _compare(self, answer, **_):
        path = unquote(urlsplit(answer.url).path.removeprefix("/api"))
        if answer.url.startswith(f"{self.url}/api/") and not answer.is_redirect:
            document().check(answer.request.method, path, answer.status_code, answer.headers, answer.content)


@pytest.fixture(scope="session", params=["flask", "django", "fastapi"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    backstage = Backstage()
    serve = {"flask": serve_flask, "django": serve_django, "fastapi": serve_fastapi}[request.param]
    yield from serve(backstage, tmp_path_factory)


@pytest.fixture
def site(running: Site) -> Site:
    """Return a server with an empty service and a guard that lets everybody in."""
    running.backstage.service = ImageService.in_memory()
    running.backstage.guard = lambda action, user: True
    return running


@pytest.fixture
def light(site: Site) -> Site:
    """Return a server whose processor stores a file as it is: for tests about everything else."""
    site.backstage.service = light_service()
    return site


@pytest.fixture
def backstage() -> Backstage:
    """Return a service and a guard without a server."""
    return Backstage(light_service())


def light_service() -> ImageService:
    def not_empty(data: bytes, image_type: str) -> ProcessedImage:
        if not data:
            raise EmptyImageError("The file is empty.")
        return instant_processor(data, image_type)

    return ImageService(MemoryStorage(), MemoryRepository(), processor=not_empty)


def serve_flask(backstage: Backstage, _) -> Iterator[Site]:
    flask = needs("flask")
    from examples.flask_minimal.userimages_flask import create_blueprint
    from werkzeug.serving import make_server

    app = flask.Flask("contract")
    app.register_blueprint(create_blueprint(Behind(backstage), authorize=backstage.authorize))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    yield from serving("flask", server.server_port, backstage, server.serve_forever, server.shutdown)
    server.server_close()


def serve_django(backstage: Backstage, folders: pytest.TempPathFactory) -> Iterator[Site]:
    django = needs("django")
    prepare_django(folders)
    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler, get_internal_wsgi_application
    from userimages_django import views

    api = django_api(Behind(backstage), backstage.authorize)
    views.api = lambda: api
    assert django.VERSION >= (5, 2)
    server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler, allow_reuse_address=False)
    server.set_app(get_internal_wsgi_application())
    yield from serving("django", server.server_port, backstage, server.serve_forever, server.shutdown)
    server.server_close()


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> object:
    """Return the Django project as it is delivered, with its own service, and nothing in its tables."""
    needs("django")
    prepare_django(tmp_path_factory)
    from project.models import Post
    from userimages_django import service, views

    monkeypatch.setattr(views, "api", DELIVERED["api"])
    Post.objects.all().delete()
    for page in iter(service.images().repository.list_by_key, ()):
        for image in page:
            service.images().delete(image.id)
    return service


@pytest.fixture
def storages() -> object:
    """Return django-storages."""
    return needs("storages")


DELIVERED: dict[str, object] = {}


def django_api(service: object, guard: Callable) -> Api:
    """Return the API as the Django app makes it of its settings, with another service and guard."""
    from userimages_django import views

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(views, "import_string", lambda name: guard)
        return views.api_of.__wrapped__(service)


def prepare_django(folders: pytest.TempPathFactory) -> None:
    """Set Django up once for the session, on a database of its own."""
    import django
    from django.apps import apps

    if apps.ready:
        return
    os.environ["USERIMAGES_DATA_DIR"] = str(folders.mktemp("django"))
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    django.setup()
    del os.environ["USERIMAGES_DATA_DIR"]
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from userimages_django import views

    DELIVERED["api"] = views.api


def serve_fastapi(backstage: Backstage, _) -> Iterator[Site]:
    fastapi, uvicorn = needs("fastapi"), needs("uvicorn")
    needs("python_multipart")
    import socket

    from examples.fastapi_minimal.userimages_fastapi import create_router

    app = fastapi.FastAPI()
    app.include_router(create_router(Behind(backstage), authorize=backstage.authorize), prefix="/api")
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    listener = socket.create_server(("127.0.0.1", 0))

    def stop() -> None:
        server.should_exit = True

    yield from serving("fastapi", listener.getsockname()[1], backstage, lambda: server.run([listener]), stop)
    listener.close()


def serving(framework: str, port: int, backstage: Backstage, run: Callable, stop: Callable) -> Iterator[Site]:
    """Run a server in a thread for as long as the session lasts."""
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield Site(framework, f"http://127.0.0.1:{port}", backstage)
    stop()
    thread.join(10)
