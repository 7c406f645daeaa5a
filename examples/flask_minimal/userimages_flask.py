"""The HTTP contract on Flask: build a ``Request``, call the ``Api``, hand on its ``Response``."""

import contextlib
from collections.abc import Collection
from typing import BinaryIO

import flask
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge
from werkzeug.routing import BaseConverter

from userimages import FileTooLargeError, ImageService
from userimages.http import (
    METHODS,
    ROOTS,
    Api,
    Authorize,
    FilePart,
    Form,
    LengthRequiredError,
    MissingFieldsError,
    Request,
    RequestCutOffError,
    drain,
)


def create_blueprint(
    service: ImageService,
    *,
    authorize: Authorize,
    trusted_origins: Collection[str] = (),
    resource_policy: str | None = None,
    canvas_origins: Collection[str] = (),
    name: str = "userimages",
    url_prefix: str = "/api",
) -> flask.Blueprint:
    """Return the routes of the contract; ``authorize(request, action, user)`` is asked on every one of them.

    The guard may call ``flask.abort``. *trusted_origins* are the other sites whose pages may change things with this
    site's cookies, *canvas_origins* those whose scripts may read pixels. *resource_policy* says which sites may show
    the images.
    """
    api = Api(
        service,
        authorize=authorize,
        trusted_origins=trusted_origins,
        resource_policy=resource_policy,
        canvas_origins=canvas_origins,
        framework_errors=(HTTPException,),
    )
    blueprint = flask.Blueprint(name, __name__, url_prefix=url_prefix)

    def form() -> Form:
        request = flask.request
        if "Transfer-Encoding" in request.headers and not request.environ.get("wsgi.input_terminated"):
            raise LengthRequiredError
        request.max_content_length = request.max_form_memory_size = api.max_body
        try:
            images = request.files.getlist("image")
            fields = {name: values[-1] for name, values in request.form.lists()}
        except RequestEntityTooLarge as exc:
            if request.content_length is None:
                raise FileTooLargeError from exc
            raise MissingFieldsError("the form has too many parts") from exc
        except ClientDisconnected as exc:
            raise RequestCutOffError from exc
        return Form(fields, [FilePart(each.stream, each.filename or "", each.mimetype or "") for each in images])

    def answer(root: str, rest: str) -> flask.Response:
        body = flask.request.environ["wsgi.input"] = Body(flask.request.environ["wsgi.input"])
        request = Request(
            method=flask.request.method,
            path=f"{root}/{rest}",
            query=flask.request.query_string.decode("latin-1"),
            headers=flask.request.headers,
            form=form,
            source=flask.request,
            body=lambda: flask.request.stream,
        )
        response = api(request)
        if response.status == 413:
            with contextlib.suppress(OSError, RequestCutOffError):
                length = flask.request.content_length
                drain(body, None if length is None else length - body.given)
        return flask.Response(response.body or None, response.status, response.headers)

    blueprint.record(lambda state: state.app.url_map.converters.update(userimages_rest=Rest))
    blueprint.add_url_rule(
        f"/<any({', '.join(ROOTS)}):root>/<userimages_rest:rest>",
        "answer",
        answer,
        methods=METHODS,
        provide_automatic_options=False,
    )
    return blueprint


class Body:
    """The body as the server gives it. Whatever it raises is the client's doing, such as a chunk that is none."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._stream.read(size)
        except Exception as exc:
            raise RequestCutOffError from exc
        self.given += len(data)
        return data


class Rest(BaseConverter):
    """All that follows, also nothing, also slashes: which paths there are is for the ``Api`` to say."""

    regex = ".*"
    part_isolating = False
