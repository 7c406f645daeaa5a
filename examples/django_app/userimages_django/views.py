"""The HTTP contract on Django: build a ``Request``, call the ``Api``, hand on its ``Response``."""

import functools

from django.conf import settings
from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.core.files.uploadhandler import FileUploadHandler
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.http.multipartparser import MultiPartParserError
from django.utils.datastructures import MultiValueDict
from django.utils.module_loading import import_string
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from userimages import FileTooLargeError
from userimages.http import Api, FilePart, Form, MissingFieldsError, Request, Response

from .service import images


@functools.cache
def api() -> Api:
    """Return the API, guarded by the function that ``USERIMAGES_AUTHORIZE`` names; Django itself guards the origin."""
    return Api(images(), authorize=import_string(settings.USERIMAGES_AUTHORIZE), trusted_origins=None)


class BodyLimit(FileUploadHandler):
    """Leaves a body unread that is larger than an upload can be."""

    exceeded = False

    def handle_raw_input(self, input_data, META, content_length, boundary, encoding=None):  # noqa: N803
        if content_length > api().max_body:
            self.exceeded = True
            return QueryDict(), MultiValueDict()
        return None

    def receive_data_chunk(self, raw_data, start):
        return raw_data

    def file_complete(self, file_size):
        return None


@csrf_exempt  # because the upload handler must be in place before the CSRF check reads the form: see `_protected`
@transaction.non_atomic_requests  # because the library's transactions are its own
def answer(request: HttpRequest, path: str) -> HttpResponse:
    """Answer one request of the contract.

    Only ``_protected`` routes a request. Whatever goes wrong before the CSRF check has passed is answered here,
    without a route, because a request that cannot be read must not change anything.
    """
    limit = BodyLimit(request)
    request.upload_handlers.insert(0, limit)
    try:
        response = _protected(request, path, limit)
    except RequestDataTooBig:
        return _refused(FileTooLargeError(limit=images().max_bytes))
    except (BadRequest, SuspiciousOperation, MultiPartParserError):
        return _refused(MissingFieldsError("the form cannot be read"))
    if response.status_code == 403 and "json" not in response["Content-Type"]:  # Django's page about CSRF
        if limit.exceeded:  # the token may be in the part of the body that was not read
            return _refused(FileTooLargeError(limit=images().max_bytes))
        words = b'{"error": "Forbidden: the CSRF token is missing or wrong", "code": "forbidden"}'
        return HttpResponse(words, status=403, content_type="application/json")
    return response


@csrf_protect
def _protected(request: HttpRequest, path: str, limit: BodyLimit) -> HttpResponse:
    def form() -> Form:
        files = request.FILES.getlist("image")
        if limit.exceeded:
            raise FileTooLargeError(limit=images().max_bytes)
        return Form(request.POST.dict(), [FilePart(each, each.name or "", each.content_type or "") for each in files])

    query = request.META.get("QUERY_STRING", "")
    facts = Request(method=request.method, path=path, query=query, headers=request.headers, form=form, source=request)
    return _sent(api()(facts))


def _refused(error: Exception) -> HttpResponse:
    return _sent(api().refuse(error))


def _sent(response: Response) -> HttpResponse:
    kind = HttpResponse if isinstance(response.body, bytes) else StreamingHttpResponse
    return kind(response.body, status=response.status, headers=response.headers)
