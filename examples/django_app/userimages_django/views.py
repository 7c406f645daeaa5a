"""The HTTP contract on Django: build a ``Request``, call the ``Api``, hand on its ``Response``."""

import functools

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.core.files.uploadhandler import FileUploadHandler
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.http.multipartparser import MultiPartParserError
from django.utils.datastructures import MultiValueDict
from django.utils.module_loading import import_string
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from userimages import FileTooLargeError
from userimages.http import Api, FilePart, Form, Request

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


@csrf_exempt  # for the upload handler must be in place before CSRF reads the form: `_protected` checks it
@transaction.non_atomic_requests  # for the library's transactions are its own
def answer(request: HttpRequest, path: str) -> HttpResponse:
    """Answer one request of the contract."""
    limit = BodyLimit(request)
    request.upload_handlers.insert(0, limit)
    try:
        response = _protected(request, path)
    except RequestDataTooBig:
        limit.exceeded = True
    except (SuspiciousOperation, MultiPartParserError):
        return _answer(request, path, Form)
    if limit.exceeded:
        return _answer(request, path, functools.partial(_refuse, FileTooLargeError(limit=images().max_bytes)))
    if response.status_code == 403 and "json" not in response["Content-Type"]:
        words = b'{"error": "Forbidden: the CSRF token is missing or wrong", "code": "forbidden"}'
        return HttpResponse(words, status=403, content_type="application/json")
    return response


@csrf_protect
def _protected(request: HttpRequest, path: str) -> HttpResponse:
    def form() -> Form:
        files = request.FILES.getlist("image")
        return Form(request.POST.dict(), [FilePart(each, each.name or "", each.content_type or "") for each in files])

    return _answer(request, path, form)


def _answer(request: HttpRequest, path: str, form) -> HttpResponse:
    query = request.META.get("QUERY_STRING", "")
    facts = Request(method=request.method, path=path, query=query, headers=request.headers, form=form, source=request)
    response = api()(facts)
    kind = HttpResponse if isinstance(response.body, bytes) else StreamingHttpResponse
    return kind(response.body, status=response.status, headers=response.headers)


def _refuse(error: Exception) -> Form:
    raise error
