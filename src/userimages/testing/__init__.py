"""For test suites: contracts for backends of your own, pictures, faults, a check of R2 requests, a pytest plugin.

Names are loaded on first use, so that ``make_image`` needs no pytest and the plugin costs nothing at start.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from userimages.testing.faults import faulty as faulty
    from userimages.testing.images import make_image as make_image
    from userimages.testing.processor_contract import ProcessorContract as ProcessorContract
    from userimages.testing.repository_contract import RepositoryContract as RepositoryContract
    from userimages.testing.storage_contract import StorageContract as StorageContract
    from userimages.testing.wire_check import check_wire as check_wire

_HOME = {
    "ProcessorContract": "processor_contract",
    "RepositoryContract": "repository_contract",
    "StorageContract": "storage_contract",
    "check_wire": "wire_check",
    "faulty": "faults",
    "make_image": "images",
}

__all__ = ["ProcessorContract", "RepositoryContract", "StorageContract", "check_wire", "faulty", "make_image"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'userimages.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(f"userimages.testing.{_HOME[name]}"), name)
