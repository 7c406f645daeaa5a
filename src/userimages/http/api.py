"""``Api``: find the route, ask the guard, call the service, answer."""

import inspect
import re
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import attrs

from userimages.async_service import AsyncImageService
from userimages.errors import (
    ConfigurationError,
    FileTooLargeError,
    ImageNotFoundError,
    InvalidFieldError,
    KeyTakenError,
)
from userimages.http.errors import (
    ForbiddenError,
    MethodNotAllowedError,
    MissingFieldsError,
    RouteNotFoundError,
    error_response,
    json_response,
)
from userimages.http.serving import asked_range, canvas_headers, etag_matches, serve_headers, token_of
from userimages.http.uploads import flag, only_image, whole_number
from userimages.http.values import ByteStream, Form, Request, Response
from userimages.model import UserImage
from userimages.service import ImageService
from userimages.validation import checked_user

T = TypeVar("T")

_FORM_OVERHEAD = 256 * 1024
_ROUTES = (
    ("upload", ("POST",), re.compile(r"upload_user_image/?")),
    ("begin_upload", ("POST",), re.compile(r"begin_upload/?")),
    ("put_staged", ("PUT",), re.compile(r"staged_upload/(?P<id>[^/]+)/?")),
    ("list", ("GET",), re.compile(r"user_images(?:/(?P<username>[^/]+))?/?")),
    ("get", ("GET",), re.compile(r"user_image/(?P<id>[^/]+)/?")),
    ("update", ("POST",), re.compile(r"user_image/(?P<id>[^/]+)/update/?")),
    ("delete", ("POST", "DELETE"), re.compile(r"user_image/(?P<id>[^/]+)/delete/?")),
    ("set_primary", ("POST",), re.compile(r"user_image/(?P<id>[^/]+)/set_primary/?")),
    ("serve", ("GET", "HEAD"), re.compile(r"user_image/(?P<id>[^/]+)/serve/?")),
)
_RESOURCE_POLICIES = ("same-origin", "same-site", "cross-origin")
_ORIGIN = re.compile(r"https?://[^/@\s]+")

Authorize = Callable[[Any, str, str], bool | Awaitable[bool]]
"""``authorize(request, action, user)``: may the framework's *request* do *action* to the images of *user*?

*action* is ``upload``, ``list``, ``serve``, ``update``, ``set_primary`` or ``delete``. Only ``True`` lets the request
through. The guard may raise the framework's own exceptions, such as Flask's ``abort(401)``. It may be ``async`` where
the adapter is: on FastAPI.
"""


class Api:
    """Answer the requests of the contract from a service, asking the guard *authorize* on every route.

    An adapter with threads gives an ``ImageService`` and calls ``api(request)``. An adapter with asyncio gives an
    ``AsyncImageService`` and awaits ``api.answer(request)``; the form and the guard may then be awaited too.

    Args:
        service: what the routes call.
        authorize: the guard.
        trusted_origins: the origins of other sites, such as ``"https://app.example.net"``, whose pages may change
            things. None leaves this to a framework that has a protection of its own.
        resource_policy: the ``Cross-Origin-Resource-Policy`` of served images (default: ``"cross-origin"`` if other
            sites are trusted, else ``"same-site"``).
        canvas_origins: the origins of other sites whose scripts may read the pixels of served images.
        framework_errors: the framework's exceptions that a guard may raise. They pass through.

    Raises:
        ConfigurationError: an argument cannot work.

    >>> from userimages import ImageService
    >>> api = Api(ImageService.in_memory(), authorize=lambda request, action, user: user == "ana")
    >>> listing = Request(method="GET", path="user_images/ana/", query="", headers={}, form=Form, source=None)
    >>> api(listing).body
    b'{"success": true, "images": [], "count": 0, "next": null}'
    """

    def __init__(
        self,
        service: ImageService | AsyncImageService,
        *,
        authorize: Authorize,
        trusted_origins: Collection[str] | None = (),
        resource_policy: str | None = None,
        canvas_origins: Collection[str] = (),
        framework_errors: tuple[type[Exception], ...] = (),
    ) -> None:
        self._threads = service if isinstance(service, AsyncImageService) else None
        self.service = service.images if isinstance(service, AsyncImageService) else service
        if not callable(authorize) or (inspect.iscoroutinefunction(authorize) and not self._threads):
            kind = "an async function" if callable(authorize) else f"of type {type(authorize).__name__}"
            raise ConfigurationError(f"authorize is {kind}.", hint="Pass a plain function: see Authorize.")
        self._authorize = authorize
        self._trusted_origins = _checked_origins("trusted_origins", trusted_origins)
        self._canvas_origins = _checked_origins("canvas_origins", canvas_origins) or ()
        self._resource_policy = resource_policy or ("cross-origin" if self._trusted_origins else "same-site")
        if self._resource_policy not in _RESOURCE_POLICIES:
            known = ", ".join(_RESOURCE_POLICIES)
            raise ConfigurationError(f"resource_policy is {resource_policy!r}.", hint=f"Pass one of: {known}.")
        self._framework_errors = framework_errors
        self._actions: dict[str, Callable[..., Awaitable[Response]]] = {
            "upload": self._upload,
            "begin_upload": self._begin_upload,
            "put_staged": self._put_staged,
            "list": self._list,
            "get": self._get,
            "update": self._update,
            "delete": self._delete,
            "set_primary": self._set_primary,
            "serve": self._serve,
        }

    @property
    def max_body(self) -> int:
        """The largest request body in bytes: the largest file, and what a form adds to it."""
        return self.service.max_bytes + _FORM_OVERHEAD

    def __call__(self, request: Request) -> Response:
        """Answer *request* in this thread. An error is answered too, and its cause goes to the log only."""
        if self._threads:
            raise ConfigurationError("This Api has an AsyncImageService.", hint="Write: await api.answer(request).")
        answer = self.answer(request)
        try:
            answer.send(None)  # runs to its end: without threads of its own, nothing in it is awaited
        except StopIteration as done:
            response: Response = done.value
            return response
        raise AssertionError

    async def answer(self, request: Request) -> Response:
        """Answer *request* as a call does, but let other coroutines run while it waits."""
        try:
            response = await self._route(request)
        except self._framework_errors:
            raise
        except Exception as error:
            response = self.refuse(error)
        return attrs.evolve(response, body=b"") if request.method == "HEAD" else response

    def refuse(self, error: Exception) -> Response:
        """Answer *error* without a route: for a request that an adapter itself refuses."""
        return error_response(error, max_bytes=self.service.max_bytes)

    async def _route(self, request: Request) -> Response:
        for action, methods, pattern in _ROUTES:
            if match := pattern.fullmatch(request.path.removeprefix("/")):
                if request.method not in methods:
                    raise MethodNotAllowedError(allowed=methods)
                if request.method not in ("GET", "HEAD") and action != "put_staged":  # its token is the permission
                    self._refuse_other_sites(request)
                return await self._actions[action](request, **match.groupdict())
        raise RouteNotFoundError

    def _refuse_other_sites(self, request: Request) -> None:
        """Refuse a change that a browser sends for a page of another site.

        Browsers that send no ``Sec-Fetch-Site``, and all browsers on a plain http:// address, send an ``Origin``.
        """
        origin = request.headers.get("Origin", "")
        if self._trusted_origins is None or origin in self._trusted_origins:
            return
        site = request.headers.get("Sec-Fetch-Site", "").lower()
        if site == "cross-site" or (origin and not site and not _is_host(request.headers.get("Host", ""), origin)):
            raise ForbiddenError

    async def _do(self, function: Callable[..., T | Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        """Call what may block: here, or in a thread of the ``AsyncImageService``, where what it returns is awaited."""
        if self._threads is None:
            return function(*args, **kwargs)  # type: ignore[return-value]  # plain functions only: see __init__
        returned = await self._threads.run(function, *args, **kwargs)
        return await returned if inspect.isawaitable(returned) else returned

    async def _allows(self, request: Request, action: str, user: str) -> bool:
        """Ask the guard. What an ``async`` one returns is truthy in itself, so only ``True`` lets a request through."""
        return await self._do(self._authorize, request.source, action, user) is True

    async def _form(self, request: Request) -> Form:
        announced = request.headers.get("Content-Length", "")
        if announced.isdecimal() and (len(announced) > 18 or int(announced) > self.max_body):
            raise FileTooLargeError
        return await self._do(request.form)

    async def _upload(self, request: Request) -> Response:
        form = await self._form(request)
        fields = form.fields
        images = [image for image in form.images if image.filename]
        user, image_type, ticket = (fields.get(name, "") for name in ("username", "image_type", "ticket"))
        given = {"username": user, "image": images or ticket, "image_type": image_type}
        if missing := [name for name, value in given.items() if not value]:
            raise MissingFieldsError(", ".join(missing))
        if not await self._allows(request, "upload", checked_user(user)):
            raise ForbiddenError
        facts: dict[str, Any] = {
            "image_type": image_type,
            "is_primary": flag(fields.get("is_primary", "")),
            "caption": fields.get("caption", ""),
        }
        if ticket:
            image = await self._do(self.service.finish_upload, user, ticket, **facts)
        else:
            key = request.headers.get("Idempotency-Key", "") or None
            image = await self._do(self.service.upload, user, only_image(images).stream, idempotency_key=key, **facts)
        return _done("Image uploaded successfully", image)

    async def _begin_upload(self, request: Request) -> Response:
        fields = (await self._form(request)).fields
        given = {name: fields.get(name, "") for name in ("username", "size_bytes", "mime_type")}
        if missing := [name for name, value in given.items() if not value]:
            raise MissingFieldsError(", ".join(missing))
        user = checked_user(given["username"])
        if not await self._allows(request, "upload", user):
            raise ForbiddenError
        ticket = await self._do(
            self.service.begin_upload,
            user,
            size_bytes=whole_number(given["size_bytes"]),
            mime_type=given["mime_type"],
            sha256=fields.get("sha256") or None,
        )
        return json_response(200, {"success": True, "ticket": ticket.to_dict()})

    async def _put_staged(self, request: Request, id: str) -> Response:
        """Take the body of a direct upload. No guard is asked, because the token is the permission."""
        put = self.service.allowed_put(_canonical(id), request.query)
        if put is None or request.body is None:
            raise ForbiddenError
        announced = request.headers.get("Content-Length", "")
        if announced.isdecimal() and (len(announced) > 18 or int(announced) > put.size_bytes):
            raise FileTooLargeError(limit=put.size_bytes)
        try:
            await self._do(self.service.put_staged, put, await self._do(request.body))
        except KeyTakenError:
            return json_response(412, {"error": "Something else was uploaded for this ticket", "code": "key_taken"})
        # Uppy waits for an ETag, as stores give one. One ticket has one content.
        return Response(204, {"Cache-Control": "no-store", "ETag": f'"{put.id}"'}, b"")

    async def _list(self, request: Request, username: str | None) -> Response:
        query = _query(request)
        user = username or query.get("username", "")
        if not user:
            raise MissingFieldsError("username")
        if not await self._allows(request, "list", checked_user(user)):
            raise ForbiddenError
        page = await self._do(
            self.service.list,
            user,
            limit=whole_number(query.get("limit") or "50"),
            cursor=query.get("cursor") or None,
            image_type=query.get("image_type") or None,
        )
        images = [image.to_dict() for image in page]
        return json_response(200, {"success": True, "images": images, "count": len(images), "next": page.next_cursor})

    async def _get(self, request: Request, id: str) -> Response:
        image = await self._owned(request, "serve", id)
        return json_response(200, {"success": True, "image": image.to_dict()})

    async def _update(self, request: Request, id: str) -> Response:
        image = await self._owned(request, "update", id)
        caption = (await self._form(request)).fields.get("caption")
        if caption is None:
            raise MissingFieldsError("caption")
        image = await self._do(self.service.update, image.id, caption=caption, user=image.user)
        return _done("Image updated successfully", image)

    async def _delete(self, request: Request, id: str) -> Response:
        image = await self._owned(request, "delete", id)
        await self._do(self.service.delete, image.id, user=image.user)
        return _done("Image deleted successfully")

    async def _set_primary(self, request: Request, id: str) -> Response:
        image = await self._owned(request, "set_primary", id)
        await self._do(self.service.set_primary, image.id, user=image.user)
        return _done("Primary image updated successfully")

    async def _serve(self, request: Request, id: str) -> Response:
        """Serve an image or a variant: one query, and at most one request to the storage."""
        variant = _query(request).get("variant", "")
        image = await self._found(id)
        seconds_left = self.service.seconds_left(image.id, variant, token_of(request.query))
        if not (seconds_left or await self._allows(request, "serve", image.user)):
            raise ImageNotFoundError
        stored = image.variants.get(variant) if variant else image
        if stored is None:
            raise ImageNotFoundError
        headers = serve_headers(image, stored, variant=variant, resource_policy=self._resource_policy)
        headers |= canvas_headers(request, self._canvas_origins)
        if seconds_left:
            headers["Cache-Control"] = f"private, max-age={seconds_left}"
        if etag_matches(request.headers.get("If-None-Match", ""), headers["ETag"]):
            return Response(304, headers, b"")
        asked = asked_range(request, headers["ETag"], stored.size_bytes)
        headers |= asked.headers()
        if request.method == "HEAD":
            return Response(asked.status, headers, b"")
        stream = await self._do(self.service.open, image, variant or None, start=asked.start, length=asked.length)
        return Response(asked.status, headers, ByteStream(stream))

    async def _owned(self, request: Request, action: str, id: str) -> UserImage:
        """Return the image if the guard allows *action*; else the client is told that there is none."""
        image = await self._found(id)
        if not await self._allows(request, action, image.user):
            raise ImageNotFoundError
        return image

    async def _found(self, id: str) -> UserImage:
        try:
            return await self._do(self.service.get, _canonical(id))
        except InvalidFieldError:
            raise ImageNotFoundError from None


def _done(message: str, image: UserImage | None = None) -> Response:
    shown = {} if image is None else {"image": image.to_dict()}
    return json_response(200, {"success": True, "message": message, **shown})


def _query(request: Request) -> dict[str, str]:
    """Return the query's parameters; of a repeated one, the last."""
    return dict(parse_qsl(request.query, keep_blank_values=True))


def _canonical(id: str) -> UUID:
    """Return *id* if it is spelled as the service spells it: one picture has one URL, for caches and for a purge."""
    try:
        found = UUID(id)
    except ValueError:
        raise ImageNotFoundError from None
    if str(found) != id:
        raise ImageNotFoundError
    return found


def _is_host(host: str, origin: str) -> bool:
    """Tell whether *origin* is of the host that the request was sent to."""
    try:
        return urlsplit(origin).netloc.lower() == host.lower() != ""
    except ValueError:
        return False


def _checked_origins(name: str, origins: Collection[str] | None) -> frozenset[str] | None:
    """Return *origins*, each spelled as browsers spell it."""
    if origins is None:
        return None
    if isinstance(origins, str) or not all(_ORIGIN.fullmatch(each) and each == each.lower() for each in origins):
        raise ConfigurationError(
            f"{name} is not a list of origins.", hint=f'Write {name}=["https://app.example.net"], without a path.'
        )
    return frozenset(origins)
