"""The HTTP contract as values: the facts of a request in, ``Response(status, headers, body)`` out. No framework.

An adapter builds a ``Request``, calls the ``Api`` and hands the ``Response`` on; it decides nothing. Paths are those
below the mount point (usually ``/api/``):

===================================  ============  ================================================================
``upload_user_image/``               POST          multipart ``username image image_type is_primary caption``
``user_images/<username>/``          GET           ``?limit= &cursor= &image_type=``; also ``user_images/?username=``
``user_image/<uuid>/``               GET
``user_image/<uuid>/update/``        POST          ``caption``
``user_image/<uuid>/delete/``        POST, DELETE
``user_image/<uuid>/set_primary/``   POST
``user_image/<uuid>/serve/``         GET, HEAD     ``?variant=``, If-None-Match, one Range
===================================  ============  ================================================================
"""

from userimages.http.api import Api, Authorize
from userimages.http.errors import STATUS, LengthRequiredError, MissingFieldsError, RequestCutOffError
from userimages.http.values import (
    DRAIN_SECONDS,
    MAX_DRAIN,
    METHODS,
    ROOTS,
    ByteStream,
    FilePart,
    Form,
    Request,
    Response,
    drain,
)

__all__ = [
    "DRAIN_SECONDS",
    "MAX_DRAIN",
    "METHODS",
    "ROOTS",
    "STATUS",
    "Api",
    "Authorize",
    "ByteStream",
    "FilePart",
    "Form",
    "LengthRequiredError",
    "MissingFieldsError",
    "Request",
    "RequestCutOffError",
    "Response",
    "drain",
]
