"""A cache in front of any repository."""


class CachingRepository:
    """To come."""
