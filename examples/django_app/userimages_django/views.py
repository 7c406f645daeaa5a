"""The HTTP contract on Django: build a ``Request``, call the ``Api``, hand on its ``Response``."""

import contextlib
import functools

from django.conf import settings
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.utils.module_loading import import_string
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from userimages import FileTooLargeError, ImageService
from userimages.http import (
    Api,
    FilePart,
    Form,
    LengthRequiredError,
    MissingFieldsError,
    Request,
    RequestCutOffError,
    Response,
    drain,
)

from .service import images


def api() -> Api:
    """Return the API as the settings describe it; Django itself guards the origin."""
    return api_of(images())


@functools.lru_cache(maxsize=4)
def api_of(service: ImageService) -> Api:
    return Api(
        service,
        authorize=import_string(settings.USERIMAGES_AUTHORIZE),
        trusted_origins=None,
        resource_policy=getattr(settings, "USERIMAGES_RESOURCE_POLICY", None),
        canvas_origins=getattr(settings, "USERIMAGES_CANVAS_ORIGINS", ()),
        framework_errors=(PermissionDenied, Http404, SuspiciousOperation, BadRequest),
    )


@csrf_exempt  # because the length of the body must be checked before the CSRF check reads it: see `_protected`
@transaction.non_atomic_requests  # because the library's transactions are its own
def answer(request: HttpRequest, path: str) -> HttpResponse:
    """Answer one request of the contract.

    Only ``_protected`` routes a request. Whatever goes wrong before the CSRF check has passed is answered here,
    without a route, because a request that cannot be read must not change anything.
    """
    if error := _unreadable(request):
        if isinstance(error, FileTooLargeError):
            with contextlib.suppress(OSError):
                drain(request, int(request.META["CONTENT_LENGTH"]))
        return _sent(api().refuse(error))
    # A direct upload comes without a cookie: the token in its URL is the permission.
    response = _routed(request, path) if path.startswith("staged_upload/") else _protected(request, path)
    if response.status_code == 403 and "json" not in response["Content-Type"]:  # Django's page about CSRF
        words = b'{"error": "Forbidden: the CSRF token is missing or wrong", "code": "forbidden"}'
        return HttpResponse(words, status=403, content_type="application/json")
    return response


def _unreadable(request: HttpRequest) -> Exception | None:
    """Read the form as Django does, and return what stands against it."""
    length = int(request.META.get("CONTENT_LENGTH") or 0)
    if length > api().max_body:
        return FileTooLargeError()
    if request.headers.get("Transfer-Encoding") and not length:
        return LengthRequiredError()  # because Django takes a body without a length for an empty one
    body = None
    if request.method == "POST" and hasattr(request, "_stream"):
        body = request._stream = Body(request._stream)
    try:
        request.POST  # noqa: B018 - read here and kept by Django
    except RequestDataTooBig:
        return MissingFieldsError("image (and a text field of the form is too long)")
    except UnreadablePostError:
        return RequestCutOffError()
    except (BadRequest, SuspiciousOperation, MultiPartParserError):
        return MissingFieldsError("the form cannot be read")
    # WSGI servers give what has come, and Django would take the first half of a file for all of it.
    return RequestCutOffError() if body and 0 < body.given < length else None


class Body:
    """The body as the server gives it, counted."""

    def __init__(self, stream) -> None:
        self._stream = stream
        self.given = 0

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

    def read(self, *size) -> bytes:
        data = self._stream.read(*size)
        self.given += len(data)
        return data

    def readline(self, *size) -> bytes:
        data = self._stream.readline(*size)
        self.given += len(data)
        return data


@csrf_protect
def _protected(request: HttpRequest, path: str) -> HttpResponse:
    return _routed(request, path)


def _routed(request: HttpRequest, path: str) -> HttpResponse:
    def form() -> Form:
        files = request.FILES.getlist("image")
        return Form(request.POST.dict(), [FilePart(each, each.name or "", each.content_type or "") for each in files])

    query = request.META.get("QUERY_STRING", "")
    facts = Request(
        method=request.method,
        path=path,
        query=query,
        headers=request.headers,
        form=form,
        source=request,
        body=lambda: request,
    )
    return _sent(api()(facts))


def _sent(response: Response) -> HttpResponse:
    headers, status = response.headers, response.status
    if isinstance(response.body, bytes) and status != 304:
        return HttpResponse(response.body, status=status, headers=headers)
    # Streamed, because Django and its servers add "Content-Length: 0" to a 304 that is not.
    return StreamingHttpResponse(response.body or [b""], status=status, headers=headers)
