"""``Api``: find the route, ask the guard, call the service, answer."""

import re
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import parse_qsl

import attrs

from userimages.errors import ConfigurationError, ImageNotFoundError, InvalidFieldError
from userimages.http.errors import (
    ForbiddenError,
    MethodNotAllowedError,
    MissingFieldsError,
    RouteNotFoundError,
    error_response,
    json_response,
)
from userimages.http.serving import asked_range, etag_matches, serve_headers, token_headers, token_of
from userimages.http.uploads import flag, only_image, whole_number
from userimages.http.values import ByteStream, Request, Response
from userimages.model import UserImage
from userimages.service import ImageService
from userimages.validation import checked_user

_FORM_OVERHEAD = 256 * 1024
_ROUTES = (
    ("upload", ("POST",), re.compile(r"upload_user_image/?")),
    ("list", ("GET",), re.compile(r"user_images(?:/(?P<username>[^/]+))?/?")),
    ("delete", ("POST", "DELETE"), re.compile(r"user_image/(?P<id>[^/]+)/delete/?")),
    ("set_primary", ("POST",), re.compile(r"user_image/(?P<id>[^/]+)/set_primary/?")),
    ("serve", ("GET", "HEAD"), re.compile(r"user_image/(?P<id>[^/]+)/serve/?")),
)

Authorize = Callable[[Any, str, str], bool]
"""``authorize(request, action, user)``: may the framework's *request* do *action* to the images of *user*?

*action* is ``upload``, ``list``, ``serve``, ``set_primary`` or ``delete``. Only ``True`` lets the request through.
"""


class Api:
    """Answer the requests of the contract from a service, asking the guard *authorize* on every route.

    *trusted_origins* lists the origins of other sites, such as ``"https://app.example.net"``, whose pages may change
    things; None leaves this to a framework that has a protection of its own. *resource_policy* is the
    ``Cross-Origin-Resource-Policy`` of served images.
    """

    def __init__(
        self,
        service: ImageService,
        *,
        authorize: Authorize,
        trusted_origins: Collection[str] | None = (),
        resource_policy: str = "same-site",
    ) -> None:
        if not callable(authorize):
            raise ConfigurationError(
                f"authorize is of type {type(authorize).__name__}.", hint="Pass a function: see Authorize."
            )
        self.service = service
        self._authorize = authorize
        self._trusted_origins = trusted_origins
        self._resource_policy = resource_policy
        self._actions: dict[str, Callable[..., Response]] = {
            "upload": self._upload,
            "list": self._list,
            "delete": self._delete,
            "set_primary": self._set_primary,
            "serve": self._serve,
        }

    @property
    def max_body(self) -> int:
        """The largest request body in bytes: the largest file, and what a form adds to it."""
        return self.service.max_bytes + _FORM_OVERHEAD

    def __call__(self, request: Request) -> Response:
        """Answer *request*. An error is answered too, and its cause goes to the log only."""
        try:
            response = self._route(request)
        except Exception as error:
            response = self.refuse(error)
        return attrs.evolve(response, body=b"") if request.method == "HEAD" else response

    def refuse(self, error: Exception) -> Response:
        """Answer *error* without a route: for a request that an adapter itself refuses."""
        return error_response(error, max_bytes=self.service.max_bytes)

    def _route(self, request: Request) -> Response:
        for action, methods, pattern in _ROUTES:
            if match := pattern.fullmatch(request.path.removeprefix("/")):
                if request.method not in methods:
                    raise MethodNotAllowedError(allowed=methods)
                if request.method not in ("GET", "HEAD"):
                    self._refuse_other_sites(request)
                return self._actions[action](request, **match.groupdict())
        raise RouteNotFoundError

    def _refuse_other_sites(self, request: Request) -> None:
        if self._trusted_origins is None or request.headers.get("Sec-Fetch-Site", "").lower() != "cross-site":
            return
        if request.headers.get("Origin", "") not in self._trusted_origins:
            raise ForbiddenError

    def _allows(self, request: Request, action: str, user: str) -> bool:
        """Ask the guard. An ``async`` guard returns a coroutine, which is truthy: so only ``True`` itself will do."""
        return self._authorize(request.source, action, user) is True

    def _upload(self, request: Request) -> Response:
        form = request.form()
        fields = form.fields
        images = [image for image in form.images if image.filename]
        user, image_type = fields.get("username", ""), fields.get("image_type", "")
        given = {"username": user, "image": images, "image_type": image_type}
        if missing := [name for name, value in given.items() if not value]:
            raise MissingFieldsError(", ".join(missing))
        if not self._allows(request, "upload", checked_user(user)):
            raise ForbiddenError
        image = self.service.upload(
            user,
            only_image(images).stream,
            image_type=image_type,
            is_primary=flag(fields.get("is_primary", "")),
            caption=fields.get("caption", ""),
            idempotency_key=request.headers.get("Idempotency-Key", "") or None,
        )
        return json_response(200, {"success": True, "message": "Image uploaded successfully", "image": image.to_dict()})

    def _list(self, request: Request, username: str | None) -> Response:
        query = _query(request)
        user = username or query.get("username", "")
        if not user:
            raise MissingFieldsError("username")
        if not self._allows(request, "list", checked_user(user)):
            raise ForbiddenError
        page = self.service.list(
            user,
            limit=whole_number(query.get("limit") or "50"),
            cursor=query.get("cursor") or None,
            image_type=query.get("image_type") or None,
        )
        images = [image.to_dict() for image in page]
        return json_response(200, {"success": True, "images": images, "count": len(images), "next": page.next_cursor})

    def _delete(self, request: Request, id: str) -> Response:
        image = self._owned(request, "delete", id)
        self.service.delete(image.id, user=image.user)
        return json_response(200, {"success": True, "message": "Image deleted successfully"})

    def _set_primary(self, request: Request, id: str) -> Response:
        image = self._owned(request, "set_primary", id)
        self.service.set_primary(image.id, user=image.user)
        return json_response(200, {"success": True, "message": "Primary image updated successfully"})

    def _serve(self, request: Request, id: str) -> Response:
        """Serve an image or a variant: one query, and at most one request to the storage."""
        variant = _query(request).get("variant", "")
        image, seconds_left = self._found(id), 0
        if token := token_of(request.query):
            seconds_left = self.service.seconds_left(image.id, variant, token)
        if not (seconds_left or self._allows(request, "serve", image.user)):
            raise ImageNotFoundError
        stored = image.variants.get(variant) if variant else image
        if stored is None:
            raise ImageNotFoundError
        headers = serve_headers(image, stored, variant=variant, resource_policy=self._resource_policy)
        headers |= token_headers(seconds_left)
        if etag_matches(request.headers.get("If-None-Match", ""), headers["ETag"]):
            return Response(304, headers, b"")
        asked = asked_range(request, headers["ETag"], stored.size_bytes)
        headers |= asked.headers()
        if request.method == "HEAD":
            return Response(asked.status, headers, b"")
        stream = self.service.open(image, variant or None, start=asked.start, length=asked.length)
        return Response(asked.status, headers, ByteStream(stream))

    def _owned(self, request: Request, action: str, id: str) -> UserImage:
        """Return the image if the guard allows *action*; else the client is told that there is none."""
        image = self._found(id)
        if not self._allows(request, action, image.user):
            raise ImageNotFoundError
        return image

    def _found(self, id: str) -> UserImage:
        try:
            return self.service.get(id)
        except InvalidFieldError:
            raise ImageNotFoundError from None


def _query(request: Request) -> dict[str, str]:
    """Return the query's parameters; of a repeated one, the last."""
    return dict(parse_qsl(request.query, keep_blank_values=True))
