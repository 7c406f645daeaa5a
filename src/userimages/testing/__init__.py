"""For test suites: images, an instant processor, faults, and a check of the requests that are sent to R2.

The contracts for backends of your own need pytest, so each is imported from its module: ``storage_contract``,
``repository_contract`` and ``processor_contract``.
"""

from userimages.testing.faults import faulty
from userimages.testing.images import make_image
from userimages.testing.instant import instant_processor
from userimages.testing.wire_check import check_wire

__all__ = ["check_wire", "faulty", "instant_processor", "make_image"]
