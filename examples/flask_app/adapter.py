"""The HTTP contract on Flask: build a ``Request``, call the ``Api``, hand on its ``Response``."""

from collections.abc import Collection

import flask
from werkzeug.exceptions import RequestEntityTooLarge

from userimages import FileTooLargeError, ImageService
from userimages.http import METHODS, ROOTS, Api, Authorize, FilePart, Form, Request


def create_blueprint(
    service: ImageService,
    *,
    authorize: Authorize,
    trusted_origins: Collection[str] = (),
    name: str = "userimages",
    url_prefix: str = "/api",
) -> flask.Blueprint:
    """Return the routes of the contract; ``authorize(request, action, user)`` is asked on every one of them.

    *trusted_origins* are the other sites whose pages may change things with this site's cookies.
    """
    api = Api(service, authorize=authorize, trusted_origins=trusted_origins)
    blueprint = flask.Blueprint(name, __name__, url_prefix=url_prefix)

    def form() -> Form:
        flask.request.max_content_length = api.max_body
        try:
            images = flask.request.files.getlist("image")
            fields = {name: values[-1] for name, values in flask.request.form.lists()}
        except RequestEntityTooLarge as exc:
            raise FileTooLargeError(limit=service.max_bytes) from exc
        return Form(fields, [FilePart(each.stream, each.filename or "", each.mimetype or "") for each in images])

    def answer(root: str, rest: str = "") -> flask.Response:
        request = Request(
            method=flask.request.method,
            path=f"{root}/{rest}",
            query=flask.request.query_string.decode("latin-1"),
            headers=flask.request.headers,
            form=form,
            source=flask.request,
        )
        response = api(request)
        return flask.Response(response.body or None, response.status, response.headers)

    for rule in (f"/<any({', '.join(ROOTS)}):root>/", f"/<any({', '.join(ROOTS)}):root>/<path:rest>"):
        blueprint.add_url_rule(rule, "answer", answer, methods=METHODS, provide_automatic_options=False)
    return blueprint
