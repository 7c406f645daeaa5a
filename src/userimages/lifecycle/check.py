"""Try the storage and the repository for real; each line says what is wrong and what to do."""

import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import attrs

from userimages.errors import (
    KeyTakenError,
    ObjectNotFoundError,
    RepositoryError,
    StorageError,
    StorageUnavailableError,
    UserImagesError,
)
from userimages.ids import CLOCK_SKEW, new_id
from userimages.keys import PROBE_PREFIX
from userimages.lifecycle.probe import written_at
from userimages.lifecycle.sweep import OVERDUE, due_since
from userimages.model import Check, CheckReport, Intent
from userimages.protocols import ImageRepository, Processor, Storage
from userimages.signing import SIGNING_KEYS, UrlSigner

_PATIENCE = 10  # seconds
_MIME_TYPE = "image/webp"


def check(
    storage: Storage | None, repository: ImageRepository | None, processor: Processor | None = None, *, now: datetime
) -> CheckReport:
    """Write, read, list and delete a probe object, fetch its public URL, and begin and finish a probe intent.

    If there is no storage or no repository, the other one is tried all the same.

    *now* is compared with the store's clock. The key of the probe is outside of what an audit judges. No line holds a
    secret. What is wrong is a line of the report and is not raised.
    """
    stores = getattr(storage, "storages", (storage,))  # each of those that ByType is made of
    store_checks = [line for store in stores if store is not None for line in _store_checks(store, now)]
    report = CheckReport() if repository is None else _check_database(repository, now)
    return attrs.evolve(report, checks=(*store_checks, *report.checks, *_resizer_checks(processor)))


def _resizer_checks(processor: Processor | None) -> Iterator[Check]:
    """Say what shrinks images, where the processor tells: one that was meant to be fast may not be installed."""
    if resizer := getattr(processor, "resizer", None):
        yield Check("resizer", ok=True, detail=f"Images are shrunk by {resizer}.")


def _store_checks(storage: Storage, now: datetime) -> Iterator[Check]:
    reached = _reach(storage)
    yield from reached
    if not reached[-1].ok:
        return
    key = f"{PROBE_PREFIX}a%20b-{os.urandom(10).hex()}"  # keys may hold a percent sign
    data = os.urandom(64)
    written = _tried("write", lambda: _write(storage, key, data))
    yield written
    if written.ok:
        yield _tried("create-only", lambda: _refuse_other_bytes(storage, key, data))
        yield _tried("read", lambda: _read_back(storage, key, data))
        yield _tried("clock", lambda: _compare_clocks(storage, key, now))
        yield from _url_checks(storage, key, data)
    yield _tried("delete", lambda: _delete(storage, key))


def _reach(storage: Storage) -> list[Check]:
    """List the (normally empty) probe prefix, to tell an unreachable store from one that denies access."""
    try:
        endpoint = urlsplit(getattr(storage, "endpoint", ""))
        port = endpoint.port
        if endpoint.scheme not in ("", "http", "https"):
            raise ValueError(endpoint.scheme)
    except ValueError:
        return [Check("endpoint", ok=False, detail="Not an http(s) URL.", hint="Check R2_ENDPOINT_URL.")]
    place = getattr(storage, "bucket_name", getattr(storage, "root", type(storage).__name__))
    name = "bucket" if endpoint.hostname else "storage"
    host = f"{endpoint.hostname}:{port}" if port else f"{endpoint.hostname}"
    lines = [Check("endpoint", ok=True, detail=f"{host} answers.")] if endpoint.hostname else []
    try:
        next(storage.list(PROBE_PREFIX), None)
    except StorageUnavailableError as exc:
        return [_failed("endpoint" if lines else name, exc)]
    except Exception as exc:
        return [*(lines if getattr(exc, "status", None) else ()), _failed(name, exc)]
    return [*lines, Check(name, ok=True, detail=f"{place} can be listed.")]


def _write(storage: Storage, key: str, data: bytes) -> str:
    storage.put(key, data, mime_type=_MIME_TYPE)
    return "A probe object was written."


def _refuse_other_bytes(storage: Storage, key: str, data: bytes) -> str:
    try:
        storage.put(key, data + b"!", mime_type=_MIME_TYPE)
    except KeyTakenError:
        return "Other bytes under the same key were refused."
    raise StorageError(
        "The store overwrote an object that it was told not to.", hint="Use a store that knows If-None-Match."
    )


def _read_back(storage: Storage, key: str, data: bytes) -> str:
    with storage.open(key) as whole, storage.open(key, start=8, length=8) as part:
        if whole.read() != data or part.read() != data[8:16]:
            raise StorageError("The store gave other bytes than it was given.", hint="Check the proxies in between.")
    return "It was read back, whole and in part."


def _compare_clocks(storage: Storage, key: str, now: datetime) -> str:
    skew = now - written_at(storage, key)
    words = f"This machine's clock differs from the store's by {abs(skew.total_seconds()):.0f} s."
    if abs(skew) > CLOCK_SKEW:
        raise StorageError(words, hint="Set it by NTP: the sweep allows for 5 minutes between machines.")
    return words


def _delete(storage: Storage, key: str) -> str:
    storage.delete([key, *_old_probes(storage, key)])
    try:
        storage.open(key).close()
    except ObjectNotFoundError:
        return "It was deleted."
    raise StorageError("The object is still there after its deletion.", hint="Check the lock rules of the bucket.")


def _old_probes(storage: Storage, key: str) -> list[str]:
    """List what checks and audits that were killed have left: an hour older than the probe *key*."""
    probes = list(storage.list(PROBE_PREFIX))
    written = [each.modified for each in probes if each.key == key]
    return [each.key for each in probes if written and each.modified < written[0] - timedelta(hours=1)]


def _url_checks(storage: Storage, key: str, data: bytes) -> Iterator[Check]:
    """Fetch the URL of the probe as a browser would; where it is signed, fetch it without its signature too."""
    url = storage.url(key)
    if url is None:
        yield Check("public domain", ok=True, detail="None: images are served by the application's own route.")
    elif urlsplit(url).query:
        hint = f"Check the access key or, behind a WAF rule, that its keys are those of {SIGNING_KEYS}; and the clock."
        yield _tried("signed URL", lambda: _fetch(url, data, hint))
        yield _tried("unsigned URL", lambda: _refuse_unsigned(storage, url))
    else:
        yield _public_check(url, data)


def _public_check(url: str, data: bytes) -> Check:
    hint = "Check that it is connected to this bucket, active, and open to the public."
    line = _tried("public domain", lambda: _fetch(url, data, hint))
    if line.ok and (urlsplit(url).hostname or "").endswith(".r2.dev"):
        return Check(
            "public domain",
            ok=True,
            detail="It serves what was written, but r2.dev is limited in rate and meant for development.",
            hint="Connect a domain of your own to the bucket and set R2_PUBLIC_DOMAIN to it.",
        )
    return line


def _refuse_unsigned(storage: Storage, url: str) -> str:
    host, unsigned = urlsplit(url).netloc, url.partition("?")[0]
    try:
        with urllib.request.urlopen(_request(unsigned), timeout=_PATIENCE):  # noqa: S310 - the operator's own setting
            pass
    except urllib.error.HTTPError as exc:
        exc.close()
        if 400 <= exc.code < 500:
            return f"{host} refuses a URL without a signature ({exc.code})."
        raise StorageError(f"{host} answers {exc.code} to a URL without a signature.", hint="Try again.") from exc
    except OSError as exc:
        raise StorageError(f"{host} does not answer ({type(exc).__name__}).", hint="Try again.") from exc
    signer: UrlSigner | None = getattr(storage, "signer", None)
    raise StorageError(
        f"{host} serves images to anybody, because it does not check signatures.",
        hint="Close the public access of the bucket."
        if signer is None
        else "Add a custom rule to the WAF of the domain, with the action Block and this expression, in which KEY 1 is "
        f"the first key of {SIGNING_KEYS}:\n{signer.waf_rule(host)}\n"
        "It needs the Pro plan. Close the bucket's r2.dev address, because no rule applies there.",
    )


def _request(url: str) -> urllib.request.Request:
    return urllib.request.Request(url, headers={"User-Agent": "userimages-check", "Accept": "*/*"})  # noqa: S310


def _fetch(url: str, data: bytes, refused_hint: str) -> str:
    """Fetch what was written as a browser would; raise what differs."""
    host = urlsplit(url).hostname
    try:
        with urllib.request.urlopen(_request(url), timeout=_PATIENCE) as answer:  # noqa: S310 - the operator's own setting
            found, headers = answer.read(len(data) + 1), answer.headers
    except urllib.error.HTTPError as exc:
        exc.close()
        raise StorageError(
            f"{host} answers {exc.code} for what was just written.",
            hint=refused_hint,
        ) from exc
    except (OSError, ValueError) as exc:
        raise StorageError(
            f"{host} does not answer ({type(exc).__name__}).", hint="Check R2_PUBLIC_DOMAIN, DNS and TLS."
        ) from exc
    if found != data:
        raise StorageError(f"{host} serves other bytes.", hint="Check that it is connected to this bucket.")
    if headers.get_content_type() != _MIME_TYPE:
        raise StorageError(
            f"{host} serves {headers.get_content_type()} in place of {_MIME_TYPE}.",
            hint="Check for a rule that changes headers; on a web server, map the extensions to their types.",
        )
    if "max-age" not in headers.get("Cache-Control", ""):
        raise StorageError(
            f"{host} serves without Cache-Control.",
            hint="Let it send 'Cache-Control: public, max-age=31536000, immutable': keys never repeat.",
        )
    return f"{host} serves what was written, with its type and 'Cache-Control: {headers['Cache-Control']}'."


def _check_database(repository: ImageRepository, now: datetime) -> CheckReport:
    lines = [_tried("database", lambda: _read_schema(repository))]
    if lines[-1].ok:
        lines.append(_tried("schema", lambda: _judge_schema(repository)))
    if not lines[-1].ok:
        return CheckReport(tuple(lines))
    lines.append(_tried("transactions", lambda: _begin_and_finish(repository, now)))
    overdue = list[datetime]()
    lines.append(_tried("work in hand", lambda: _judge_intents(repository, now, overdue)))
    return CheckReport(tuple(lines), len(overdue), oldest=min(overdue, default=None))


def _read_schema(repository: ImageRepository) -> str:
    _missing_schema(repository)
    return f"{type(repository).__name__} answers."


def _missing_schema(repository: ImageRepository) -> Sequence[str]:
    """Return the DDL that the database lacks, if the repository has a schema and tells; else read something."""
    missing: Callable[[], Sequence[str]] | None = getattr(repository, "missing_schema", None)
    if missing is not None:
        return missing()
    repository.get(uuid4())
    return ()


def _judge_schema(repository: ImageRepository) -> str:
    if missing := _missing_schema(repository):
        statements = "\n".join(f"{each.strip().rstrip(';')};" for each in missing)
        raise RepositoryError(
            f"{len(missing)} parts of the schema are missing.", hint=f"Call create_schema(), or run:\n{statements}"
        )
    differences: Sequence[str] = getattr(repository, "schema_differences", tuple)()
    if differences:
        raise RepositoryError(
            "The schema differs from what this release makes.", hint="\n".join((*differences, "Change it by hand."))
        )
    return "Complete."


def _begin_and_finish(repository: ImageRepository, now: datetime) -> str:
    intent = Intent(id=new_id(now), user="userimages-probe", object_keys=(), lease_until=now)
    repository.begin_upload(intent, now=now)
    repository.finish([intent])
    return "A probe intent was begun and finished."


def _judge_intents(repository: ImageRepository, now: datetime, overdue: list[datetime]) -> str:
    """Find what the sweep should have finished more than a day ago, and add to *overdue* since when."""
    intents, after = 0, None
    while page := repository.list_intents(after=after):
        intents, after = intents + len(page), page[-1].id
        overdue += [due for due in map(due_since, page) if due < now - OVERDUE]
    if overdue:
        age = now - min(overdue)
        raise RepositoryError(
            f"{len(overdue)} of {intents} intents are overdue, the oldest by {age.days} days.",
            hint="Run `userimages sweep` every minute. If it runs, its log says why they fail.",
        )
    return f"{intents} intents, none is overdue."


def _tried(name: str, work: Callable[[], str]) -> Check:
    try:
        return Check(name, ok=True, detail=work())
    except Exception as exc:
        return _failed(name, exc)


def _failed(name: str, exc: Exception) -> Check:
    if isinstance(exc, UserImagesError):
        return Check(name, ok=False, detail=str(exc.message), hint=exc.hint)
    return Check(name, ok=False, detail=f"It raised {type(exc).__name__}.", hint="Check the log of the backend.")
