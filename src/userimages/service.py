"""``ImageService``: the order of effects, and nothing else."""

from collections.abc import Callable, Sequence
from datetime import datetime

from userimages.identity import UploadClock, utcnow
from userimages.ports import ImageRepository, Processor, Storage

MAX_BYTES = 10 * 1024 * 1024


class ImageService:
    """Upload, list, open, serve and delete the pictures of users, so that nothing is lost and nothing left behind.

    *storage* holds the bytes, *repository* the records, *processor* makes of a file what is stored (default:
    ``PillowProcessor()``). *clock* returns the present as an aware datetime. *serve_url* is where an image of a
    private storage is served, with ``{id}`` in it. *on_deleted* is called with the public URLs of deleted objects,
    which is the place to purge a CDN.
    """

    def __init__(
        self,
        storage: Storage,
        repository: ImageRepository,
        *,
        processor: Processor | None = None,
        clock: Callable[[], datetime] = utcnow,
        serve_url: str = "/api/user_image/{id}/serve/",
        on_deleted: Callable[[Sequence[str]], None] | None = None,
    ) -> None:
        if processor is None:
            from userimages.processing import PillowProcessor

            processor = PillowProcessor()
        self.storage = storage
        self.repository = repository
        self.processor = processor
        self._clock = clock
        self._upload_clock = UploadClock(clock)
        self._serve_url = serve_url
        self._on_deleted = on_deleted

    @property
    def max_bytes(self) -> int:
        """The largest accepted file in bytes: the processor's own limit, or 10 MiB where it states none."""
        return getattr(self.processor, "max_bytes", MAX_BYTES)
