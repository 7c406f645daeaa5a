"""Every error that the library raises on purpose, in one tree.

::

    UserImagesError                        .code .message .hint
    ├─ RejectedImageError (ValueError)     the uploaded file is refused
    │  ├─ EmptyImageError                  no bytes at all
    │  ├─ BrokenImageError                 it does not decode
    │  ├─ LimitExceededError               .value .limit: pixels, sides, frames, scans, metadata
    │  ├─ FileTooLargeError                .limit
    │  └─ UnsupportedFormatError           .found .allowed
    ├─ InvalidFieldError (ValueError)      .field: user, image_type, caption, cursor, limit ...
    ├─ ImageNotFoundError (LookupError)    no such image, or another user's
    │  └─ TicketNotFoundError              nothing was uploaded for this ticket, or it is too old
    ├─ ConflictError                       something else holds what was asked for
    ├─ ConfigurationError                  a setting is missing or wrong
    ├─ BusyError                           .retry_after
    ├─ StorageError                        the store refused or failed
    │  ├─ KeyTakenError                    other bytes are stored under this key
    │  ├─ StorageUnavailableError          .retry_after; it may have happened
    │  └─ ObjectNotFoundError (LookupError)  no object under this key
    └─ RepositoryError                     the database refused or failed; it may have happened
       └─ DatabaseBusyError                the database stayed busy and did nothing

``except UserImagesError`` catches them all. The builtin second parents let plain ``except ValueError`` and
``except LookupError`` work too.

Three texts have three readers. ``error.message`` is for the person who uploads. ``error.hint`` tells the developer
what to do. ``str(error)`` has both, for a log. None of them holds a caption, a user name, a URL or a secret: the cause,
which may hold one, is chained (``raise ... from exc``) and stays out of ``str(error)``. All errors can be pickled.

**Whether it happened.** After an error the caller must know whether the store or the database may have done what it was
asked. ``may_have_happened(error)`` answers that for the whole tree. The default of a base class is the safe answer: a
``RepositoryError`` and every exception that is not ours *may* have happened, and only ``DatabaseBusyError`` promises
that the database did nothing. A ``StorageError`` has not happened, except ``StorageUnavailableError``, which may have.
"""

from collections.abc import Sequence


class UserImagesError(Exception):
    """Root of the tree: what happened, and in ``hint`` what to do about it.

    ``code`` is a stable word in snake_case that clients may compare.
    """

    code: str = "server_error"

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def message(self) -> str:
        """What happened, for the person who uploads: without advice for developers."""
        return str(self.args[0]) if self.args else ""

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class RejectedImageError(UserImagesError, ValueError):
    """Raised when an uploaded file is refused; its subclasses say why."""

    code = "rejected_image"


class EmptyImageError(RejectedImageError):
    """Raised when the file has no bytes."""

    code = "empty_image"


class BrokenImageError(RejectedImageError):
    """Raised when the file has the signature of an allowed format but does not decode."""

    code = "broken_image"


class LimitExceededError(RejectedImageError):
    """Raised when decoding would cost too much, because a limit is exceeded.

    ``value`` is what the file asks for and ``limit`` is what is allowed, both in the unit that the message names.
    ``code`` says which kind of limit it is, such as ``"too_many_pixels"``, ``"too_many_frames"`` or
    ``"too_much_metadata"``.
    """

    code = "limit_exceeded"

    def __init__(
        self, message: str = "", *, value: int = 0, limit: int = 0, code: str = "limit_exceeded", hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.value = value
        self.limit = limit
        self.code = code


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


class TicketNotFoundError(ImageNotFoundError):
    """Raised when nothing was uploaded for a ticket, when it is too old, another user's, or its image was deleted."""

    code = "ticket_not_found"


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
    """Raised when the store refused or failed, and has certainly not done what it was asked.

    ``status`` is that of the answer, if the store gave one over HTTP.
    """

    code = "storage_error"
    status: int | None = None


class KeyTakenError(StorageError):
    """Raised by ``put`` when other bytes are already stored under the key; nothing was written."""

    code = "key_taken"


class StorageUnavailableError(StorageError):
    """Raised when the store did not answer, or not in time, so that the request may have happened."""

    code = "storage_unavailable"

    def __init__(self, message: str = "", *, retry_after: int = 10, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class ObjectNotFoundError(StorageError, LookupError):
    """Raised by ``open`` when no object is stored under the key."""

    code = "object_not_found"


class RepositoryError(UserImagesError):
    """Raised when the database refused or failed. What it was asked may have happened: read before you repeat it."""

    code = "repository_error"


class DatabaseBusyError(RepositoryError):
    """Raised when the database stayed busy until all patience was used up, and certainly did nothing.

    A repository has already waited and tried again, so another try at once meets the same.
    """

    code = "database_busy"


def may_have_happened(error: BaseException) -> bool:
    """Tell whether what failed with *error* may have been done all the same.

    >>> may_have_happened(KeyTakenError()), may_have_happened(DatabaseBusyError())
    (False, False)
    >>> may_have_happened(StorageUnavailableError()), may_have_happened(RepositoryError())
    (True, True)
    >>> may_have_happened(TimeoutError())
    True
    """
    if isinstance(error, DatabaseBusyError):
        return False
    if isinstance(error, StorageUnavailableError | RepositoryError):
        return True
    return not isinstance(error, UserImagesError)
