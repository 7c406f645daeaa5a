"""An application with a page that uploads directly, and what arrives at the application."""

import io
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import attrs
from tests.parts import needs

from userimages import ImageService, Storage
from userimages.lifecycle.tickets import check_origin
from userimages.repositories.memory import MemoryRepository
from userimages.signing import UrlSigner
from userimages.testing import instant_processor

SIGNER = UrlSigner(["a-key-of-at-least-32-characters-1234"])
PAGE = b'<!doctype html><meta charset="utf-8"><title>Upload</title><input type="file"><script>username = "ana"</script>'


@attrs.define
class Wire:
    """A WSGI server's wire: what bodies have come over it to the application, by method and path."""

    app: Callable[..., Any]
    bodies: list[tuple[str, bytes]] = attrs.field(factory=list)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Read the whole body, note it, and give it to the application."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        self.bodies.append((f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}", body))
        return self.app(environ | {"wsgi.input": io.BytesIO(body)}, start_response)


@attrs.frozen
class Site:
    """A running application."""

    url: str
    images: ImageService
    wire: Wire
    files: dict[str, bytes]


def serve(storage: Storage) -> Iterator[Site]:
    """Run the application on *storage*; what is put into ``files`` is served as scripts."""
    flask = needs("flask")
    from examples.flask_minimal.userimages_flask import create_blueprint
    from werkzeug.serving import make_server

    images = ImageService(storage, MemoryRepository(), processor=instant_processor, signer=SIGNER)
    app, files = flask.Flask("uploads"), {"icon": b""}
    app.register_blueprint(create_blueprint(images, authorize=lambda request, action, user: user == "ana"))
    app.add_url_rule("/", "page", lambda: flask.Response(PAGE, mimetype="text/html"))
    app.add_url_rule("/favicon.ico", "icon", lambda: flask.Response(status=204))
    app.add_url_rule("/<name>.js", "script", lambda name: flask.Response(files[name], mimetype="text/javascript"))
    wire = Wire(app)
    server = make_server("127.0.0.1", 0, wire, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Site(f"http://127.0.0.1:{server.server_port}", images, wire, files)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def bucket_of(server: Any) -> Storage:
    """Make an empty bucket without any rule."""
    from userimages.storages.r2 import R2Storage

    environ = server.environ() | {"R2_BUCKET_NAME": f"b{uuid4().hex}"}
    R2Storage.from_env(environ).client.create_bucket(Bucket=environ["R2_BUCKET_NAME"])
    return R2Storage.from_env(environ)


def allow(storage: Any, origin: str) -> None:
    """Give the bucket the CORS policy that ``userimages check --origin`` prints, letter by letter."""
    policy = json.loads(check_origin(storage, origin).hint.splitlines()[0].removeprefix("CORS policy: "))
    client = attrs.evolve(storage).client  # a new one, because the wire check of each takes a second PUT for another's
    client.put_bucket_cors(Bucket=storage.bucket_name, CORSConfiguration={"CORSRules": policy})
