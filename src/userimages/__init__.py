"""Images that users upload: checked, re-encoded, stored, listed, served and deleted.

The core imports no boto3, no SQLAlchemy and no web framework. Backends are imported by their own path:
``userimages.storages.r2``, ``userimages.repositories.sqlalchemy``, ``userimages.processing``. Authors of backends
find reports, intents and the like in ``userimages.model``.
"""

from userimages.async_service import AsyncImageService
from userimages.errors import (
    BrokenImageError,
    BusyError,
    ConfigurationError,
    ConflictError,
    DatabaseBusyError,
    EmptyImageError,
    FileTooLargeError,
    ImageNotFoundError,
    InvalidFieldError,
    KeyTakenError,
    LimitExceededError,
    ObjectNotFoundError,
    RejectedImageError,
    RepositoryError,
    StorageError,
    StorageUnavailableError,
    TicketNotFoundError,
    UnsupportedFormatError,
    UserImagesError,
)
from userimages.model import ImageType, Page, Ticket, UserImage, Variant
from userimages.protocols import ImageRepository, Processor, Storage
from userimages.service import ImageService

__all__ = [
    "AsyncImageService",
    "BrokenImageError",
    "BusyError",
    "ConfigurationError",
    "ConflictError",
    "DatabaseBusyError",
    "EmptyImageError",
    "FileTooLargeError",
    "ImageNotFoundError",
    "ImageRepository",
    "ImageService",
    "ImageType",
    "InvalidFieldError",
    "KeyTakenError",
    "LimitExceededError",
    "ObjectNotFoundError",
    "Page",
    "Processor",
    "RejectedImageError",
    "RepositoryError",
    "Storage",
    "StorageError",
    "StorageUnavailableError",
    "Ticket",
    "TicketNotFoundError",
    "UnsupportedFormatError",
    "UserImage",
    "UserImagesError",
    "Variant",
]
