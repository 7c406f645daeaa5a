"""For test suites of users and of third-party backends."""

from userimages.testing.images import make_image

__all__ = ["make_image"]
