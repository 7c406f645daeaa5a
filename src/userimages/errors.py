"""Every error that the library raises on purpose, in one tree.

::

    UserImagesError                        .code .hint
    ├─ RejectedImageError (ValueError)     the uploaded file is refused
    │  ├─ EmptyImageError                  no bytes at all
    │  ├─ BrokenImageError                 it does not decode
    │  ├─ TooManyPixelsError               .value .limit (also sides, frames, scans, metadata)
    │  ├─ FileTooLargeError                .limit
    │  └─ UnsupportedFormatError           .found .allowed
    ├─ InvalidFieldError (ValueError)      .field: user, image_type, caption, cursor, limit ...
    ├─ ImageNotFoundError (LookupError)    no such image, or another user's
    ├─ ConflictError                       something else holds what was asked for
    ├─ ConfigurationError                  a setting is missing or wrong
    ├─ BusyError                           .retry_after
    ├─ StorageError                        the store refused or failed
    │  ├─ KeyTakenError                    other bytes stand under this key
    │  ├─ StorageUnavailableError          .retry_after; whether it took effect is unknown
    │  └─ BlobNotFoundError (LookupError)  no object under this key
    └─ RepositoryError                     .unchanged; the database refused or failed

``except UserImagesError`` catches them all; the builtin second parents let plain ``except ValueError`` and
``except LookupError`` work too. A message never holds a caption, a user name, a URL or a secret: the cause, which
may, is chained (``raise ... from exc``) for the log and stays out of ``str(error)``. All of them can be pickled.
"""

from collections.abc import Sequence
from typing import ClassVar, TypeGuard


class UserImagesError(Exception):
    """Root of the tree: what happened, and in ``hint`` what to do about it.

    ``code`` is a stable word in snake_case that clients may compare. ``str(error)`` is the message and the hint.
    """

    code: ClassVar[str] = "server_error"

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.args[0]} {self.hint}".strip()


class RejectedImageError(UserImagesError, ValueError):
    """Raised when an uploaded file is refused; its subclasses say why."""

    code = "rejected_image"


class EmptyImageError(RejectedImageError):
    """Raised when the file has no bytes."""

    code = "empty_image"


class BrokenImageError(RejectedImageError):
    """Raised when the file has the signature of an allowed format but does not decode."""

    code = "broken_image"


class TooManyPixelsError(RejectedImageError):
    """Raised when decoding would cost too much: pixels, a side, frames, scans or metadata over their limit.

    ``value`` is what the file asks for and ``limit`` what is allowed, both in the unit that the message names.
    """

    code = "too_many_pixels"

    def __init__(self, message: str = "", *, value: int = 0, limit: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.value = value
        self.limit = limit


class FileTooLargeError(RejectedImageError):
    """Raised when the file has more than ``limit`` bytes."""

    code = "file_too_large"

    def __init__(self, message: str = "", *, limit: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.limit = limit


class UnsupportedFormatError(RejectedImageError):
    """Raised when the bytes are of no allowed format.

    ``found`` names what they look like (``"HEIC"``, ``"SVG"``, ``"unknown"``), ``allowed`` the formats that are read.
    """

    code = "unsupported_format"

    def __init__(
        self, message: str = "", *, found: str = "unknown", allowed: Sequence[str] = (), hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.found = found
        self.allowed = tuple(allowed)


class InvalidFieldError(UserImagesError, ValueError):
    """Raised when an argument other than the file is not acceptable; ``field`` is its name."""

    code = "invalid_field"

    def __init__(self, message: str = "", *, field: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.field = field


class ImageNotFoundError(UserImagesError, LookupError):
    """Raised when there is no such image, or none that belongs to the given user: the two look alike on purpose."""

    code = "image_not_found"


class ConflictError(UserImagesError):
    """Raised when something else holds what was asked for.

    A first try with the same idempotency key that still runs, a key that was used for another file, or a foreign key
    of the application's own tables that refuses a deletion.
    """

    code = "conflict"


class ConfigurationError(UserImagesError):
    """Raised when settings are missing or wrong; the message names every one of them at once."""

    code = "configuration_error"


class BusyError(UserImagesError):
    """Raised when the machine is busy with other images; try again after ``retry_after`` seconds."""

    code = "busy"

    def __init__(self, message: str = "", *, retry_after: int = 10, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class StorageError(UserImagesError):
    """Raised when the store refused or failed and what was asked for has certainly not happened."""

    code = "storage_error"


class KeyTakenError(StorageError):
    """Raised by ``put`` when other bytes already stand under the key; nothing was written."""

    code = "key_taken"


class StorageUnavailableError(StorageError):
    """Raised when the store did not answer, or not in time: whether the request took effect is unknown."""

    code = "storage_unavailable"

    def __init__(self, message: str = "", *, retry_after: int = 10, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class BlobNotFoundError(StorageError, LookupError):
    """Raised by ``open`` when no object stands under the key."""

    code = "blob_not_found"


class RepositoryError(UserImagesError):
    """Raised when the database refused or failed; after a lost connection the outcome may be unknown.

    ``unchanged`` is True where the database was asked with all the patience that there is, and certainly did nothing:
    to ask again at once will not help.
    """

    code = "repository_error"
    unchanged = False  # of a subclass that does not call our __init__, too

    def __init__(self, message: str = "", *, hint: str = "", unchanged: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.unchanged = unchanged


def is_unchanged(failure: Exception | None) -> TypeGuard[RepositoryError]:
    """Tell whether *failure* is of a database that certainly did nothing, and would not if it were asked again."""
    return isinstance(failure, RepositoryError) and failure.unchanged
