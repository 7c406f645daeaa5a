"""The verbs of a direct upload, which ``ImageService`` has from here: its own file does not grow with them."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from userimages import validation
from userimages.errors import TicketNotFoundError
from userimages.ids import UploadClock, instant_of, new_id
from userimages.lifecycle import tickets
from userimages.logs import log_event
from userimages.model import Ticket, UserImage
from userimages.protocols import ImageRepository, Readable, Storage
from userimages.signing import UrlSigner


class DirectUpload:
    """What ``ImageService`` can do with tickets. See ``userimages.lifecycle.tickets`` for the order of effects."""

    if TYPE_CHECKING:  # what the service has
        storage: Storage
        repository: ImageRepository
        signer: UrlSigner | None
        _clock: Callable[[], datetime]
        _upload_clock: UploadClock
        _staged_url: str
        _upload: Callable[..., UserImage]
        with_urls: Callable[[UserImage], UserImage]

        @property
        def max_bytes(self) -> int: ...  # noqa: D102

    def begin_upload(self, user: str, *, size_bytes: int, mime_type: str, sha256: str | None = None) -> Ticket:
        """Return a ticket, by which a browser puts a file of *size_bytes* straight into the store, within ten minutes.

        *mime_type* is what the client takes the file for, and *sha256* (64 hex digits) the digest of its bytes. Length,
        type and digest are signed; what the bytes are is found out by ``finish_upload``.

        Raises:
            FileTooLargeError: it would be larger than ``max_bytes``.
            UnsupportedFormatError: *mime_type* is none of a picture.
            ConfigurationError: neither the storage nor a signer can sign the upload.
        """
        user = validation.checked_user(user)
        mime_type = validation.checked_upload(size_bytes, mime_type, sha256, limit=self.max_bytes)
        id = new_id(self._upload_clock())
        with log_event("begin_upload", image_id=str(id), size_bytes=size_bytes):
            return tickets.begin_ticket(
                self.storage,
                self.repository,
                self.signer,
                id=id,
                user=user,
                size_bytes=size_bytes,
                mime_type=mime_type,
                sha256=sha256,
                staged_url=self._staged_url,
                now=self._clock(),
            )

    def finish_upload(
        self,
        user: str,
        ticket_id: UUID | str,
        *,
        image_type: str,
        is_primary: bool = False,
        caption: str = "",
        meta: Mapping[str, Any] | None = None,
        replace: bool = False,
    ) -> UserImage:
        """Check, re-encode and store what was put for a ticket, as ``upload`` does, and return its record.

        The image has the id of the ticket. A retry gets the first answer, and none once the image was deleted.

        Raises:
            TicketNotFoundError: nothing was put, it is not a ticket of this user, it is older than 30 minutes, or its
                image was deleted.
            ConflictError: another call finishes this ticket at the moment.
        """
        user, id = validation.checked_user(user), validation.checked_id(ticket_id)
        is_open = tickets.is_open(self.repository, user, id, now=self._clock())  # first: publishing the image ends it
        if found := self.repository.get(id, user=user):
            return self.with_urls(found)
        if not is_open:
            raise TicketNotFoundError("This upload is over, or was never begun.", hint="Begin one: begin_upload().")
        staged = tickets.read_staged(self.storage, user, id, limit=self.max_bytes)
        facts = {"is_primary": is_primary, "caption": caption, "meta": meta, "replace": replace}
        return self._upload(user, staged, image_type, tickets.reserved_key(id), instant_of(id), id, **facts)

    def allowed_put(self, id: UUID | str, query: str) -> tickets.StagedPut | None:
        """Return what a request to ``staged_url`` with this *query* may put, or None if its token allows nothing."""
        id = validation.checked_id(id)
        return tickets.allowed_put(self.signer, self._staged_url, id, query, now=self._clock())

    def put_staged(self, put: tickets.StagedPut, body: Readable) -> None:
        """Store *body* for a ticket, as *put* allows it.

        Raises:
            InvalidFieldError: it has another length or digest than was signed, or ended after the URL had expired.
            KeyTakenError: something else was put for this ticket before.
        """
        with log_event("put_staged", image_id=str(put.id), size_bytes=put.size_bytes):
            data = tickets.read_put(put, body, clock=self._clock)
            self.storage.put(put.key, data, mime_type=put.mime_type)
