"""The gallery's application: a page, a login by name, the API, and six pictures at the first start."""

import contextlib
import json
import os
import secrets
import tempfile
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import flask
from werkzeug import Response

from userimages import ImageService, UserImagesError
from userimages.config import service_from_env

from ..flask_minimal.userimages_flask import create_blueprint
from .pictures import six_pictures

GUEST = "demo"
PAGE_POLICY = (
    "default-src 'self'; img-src 'self' https: blob: data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    "; connect-src 'self' "
)


def create_app(service: ImageService | None = None) -> flask.Flask:
    """Make the application; its service comes from the environment unless one is given."""
    service = service or service_from_env()
    folder = Path(os.environ.get("USERIMAGES_DATA_DIR") or "userimages-data") / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    open_to_all = os.environ.get("USERIMAGES_EXAMPLE_OPEN") == "1"
    if open_to_all:
        print("USERIMAGES_EXAMPLE_OPEN=1: anyone may see and change anyone's pictures. For local trials only.")

    store = _store_of_direct_uploads(service)
    app = flask.Flask(__name__)
    app.config.update(SECRET_KEY=_secret_key(folder / "secret"), SESSION_COOKIE_SAMESITE="Lax")

    def authorize(request: flask.Request, action: str, user: str) -> bool:
        return open_to_all or flask.session.get("user") == user

    app.register_blueprint(create_blueprint(service, authorize=authorize))
    seeding = threading.Thread(target=_seed, args=(service, folder / "sent.json"), daemon=True)
    seeding.start()

    @app.get("/")
    def gallery() -> flask.Response:
        seeding.join(timeout=30)
        user = flask.session.setdefault("user", GUEST)
        sent = _sent(folder / "sent.json")
        state = {"user": user, "maxBytes": service.max_bytes, "sent": sent, "direct": bool(store)}
        response = flask.make_response(flask.render_template("gallery.html", user=user, state=state))
        response.headers["Content-Security-Policy"] = PAGE_POLICY + store
        return response

    @app.post("/login")
    def login() -> Response:
        if flask.request.headers.get("Sec-Fetch-Site") == "cross-site":
            flask.abort(403)
        flask.session["user"] = flask.request.form.get("name", "").strip()[:150] or GUEST
        return flask.redirect("/", 303)

    @app.get("/favicon.ico")
    def favicon() -> flask.Response:
        return app.send_static_file("icon.svg")

    return app


def _store_of_direct_uploads(service: ImageService) -> str:
    """Return the origin that takes direct uploads, or nothing if files have to pass through the application."""
    storage: Any = service.storage
    if not hasattr(storage, "sign_put") or (storage.public_url and not storage.staging_bucket_name):
        return ""
    parts = urlsplit(storage.endpoint)
    return f"{parts.scheme}://{parts.netloc}"


def _secret_key(file: Path) -> str:
    """Return the key that signs the sessions; it outlives a restart.

    Several workers may start at once, so the file appears whole and for its owner alone, and the first one counts.
    """
    if not file.exists():
        with tempfile.NamedTemporaryFile("w", dir=file.parent) as new:  # its mode is 0600
            new.write(secrets.token_hex(32))
            new.flush()
            with contextlib.suppress(FileExistsError):
                os.link(new.name, file)
    return file.read_text()


def _seed(service: ImageService, sent: Path) -> None:
    """Upload six pictures where the guest has none, and note what was sent, for the page's panels."""
    try:
        if service.list(GUEST, limit=1):
            return
        facts = {}
        for picture in six_pictures():
            image = service.upload(
                GUEST,
                picture.data,
                image_type=picture.image_type,
                caption=picture.caption,
                is_primary=picture.is_primary,
                idempotency_key=f"demo-{picture.filename}",
            )
            facts[str(image.id)] = picture.facts()
        sent.write_text(json.dumps(facts))
    except UserImagesError as error:
        print(f"The demo's own pictures are missing: {error}")


def _sent(file: Path) -> dict[str, object]:
    return json.loads(file.read_text()) if file.exists() else {}
