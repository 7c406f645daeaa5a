"""Pictures that users upload: checked, re-encoded, stored, listed, served and deleted.

The core imports no boto3, no SQLAlchemy and no web framework. Backends are imported by their own path:
``userimages.storages.r2``, ``userimages.repositories.sqlalchemy``, ``userimages.processing``.
"""

import logging

from userimages.caching import CachingRepository
from userimages.errors import (
    BlobNotFoundError,
    BrokenImageError,
    BusyError,
    ConfigurationError,
    ConflictError,
    EmptyImageError,
    FileTooLargeError,
    ImageNotFoundError,
    InvalidFieldError,
    KeyTakenError,
    RejectedImageError,
    RepositoryError,
    StorageError,
    StorageUnavailableError,
    TooManyPixelsError,
    UnsupportedFormatError,
    UserImagesError,
)
from userimages.model import (
    AuditReport,
    Check,
    CheckReport,
    ImageType,
    Intent,
    MissingObject,
    Page,
    Processed,
    Published,
    Rendition,
    StoredObject,
    SweepReport,
    UserImage,
    Variant,
    Variants,
)
from userimages.ports import ImageRepository, Processor, Readable, Storage
from userimages.service import ImageService

logging.getLogger("userimages").addHandler(logging.NullHandler())

__all__ = [
    "AuditReport",
    "BlobNotFoundError",
    "BrokenImageError",
    "BusyError",
    "CachingRepository",
    "Check",
    "CheckReport",
    "ConfigurationError",
    "ConflictError",
    "EmptyImageError",
    "FileTooLargeError",
    "ImageNotFoundError",
    "ImageRepository",
    "ImageService",
    "ImageType",
    "Intent",
    "InvalidFieldError",
    "KeyTakenError",
    "MissingObject",
    "Page",
    "Processed",
    "Processor",
    "Published",
    "Readable",
    "RejectedImageError",
    "Rendition",
    "RepositoryError",
    "Storage",
    "StorageError",
    "StorageUnavailableError",
    "StoredObject",
    "SweepReport",
    "TooManyPixelsError",
    "UnsupportedFormatError",
    "UserImage",
    "UserImagesError",
    "Variant",
    "Variants",
]
