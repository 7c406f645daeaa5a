"""URLs that open one image for a time: Cloudflare's token format, with URLs that stay the same for a while.

The last parameter of a signed URL is ``verify={time}-{mac}``: the second of its issue in ten digits, and the
HMAC-SHA256 of path, query and time in base64 for URLs. Cloudflare's WAF checks this format itself, by the function
``is_timed_hmac_valid_v0`` with the flag ``s``, and our own serve route checks it by ``UrlSigner.seconds_left``.

A URL that is new with each page is never found in a browser's cache. So time is cut into windows, and the time of issue
is the beginning of the window: within it, the URL of an image does not change. A token is valid for two windows, so
that also a URL which was made in a window's last second works for one window more.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import attrs

from userimages.errors import ConfigurationError
from userimages.ids import CLOCK_SKEW

SIGNING_KEYS = "USERIMAGES_SIGNING_KEYS"
PARAMETER = "verify"
MIN_KEY_LENGTH = 32
MIN_WINDOW = timedelta(minutes=1)
MAX_WINDOW = timedelta(days=3.5)  # S3 takes presigned URLs of at most seven days, which are two windows

_KEY = re.compile(r"[!#-+\--\[\]-~]*")  # printable ASCII without the quote and the backslash of a WAF rule, and comma
_TOKEN = re.compile(r"([0-9]{10})-([A-Za-z0-9_-]{43})")
_NEW_KEY = 'Make one: python -c "import secrets; print(secrets.token_urlsafe(32))"'


def checked_window(window: timedelta, setting: str) -> timedelta:
    """Return *window*, a whole number of seconds from one minute to three and a half days.

    Raises:
        ConfigurationError: it is something else; *setting* is what the message calls it.
    """
    if not isinstance(window, timedelta):
        raise ConfigurationError(
            f"{setting} is of type {type(window).__name__}.", hint="Pass a timedelta, such as timedelta(hours=1)."
        )
    if not MIN_WINDOW <= window <= MAX_WINDOW or window.microseconds:
        raise ConfigurationError(
            f"{setting} is {window.total_seconds():g} seconds.",
            hint="Whole seconds from 60 (one minute) to 302400 (three and a half days) are allowed.",
        )
    return window


def window_start(now: datetime, window: timedelta) -> int:
    """Return the second, counted from 1970, at which the *window* that *now* lies in has begun."""
    seconds = int(now.timestamp())
    return seconds - seconds % (window.days * 86400 + window.seconds)


def _checked_keys(keys: Iterable[str]) -> tuple[str, ...]:
    if isinstance(keys, str | bytes):
        raise ConfigurationError("The signing keys are one string.", hint="Pass a list of keys: keys=[key].")
    keys = tuple(keys)
    if not keys:
        raise ConfigurationError("There is no signing key.", hint=_NEW_KEY)
    for number, key in enumerate(keys, 1):
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise ConfigurationError(
                f"Signing key {number} is not a string of printable ASCII without spaces, commas, quotes and "
                "backslashes.",
                hint=_NEW_KEY,
            )
        if len(key) < MIN_KEY_LENGTH:
            raise ConfigurationError(
                f"Signing key {number} has {len(key)} characters, and at least {MIN_KEY_LENGTH} are needed.",
                hint=_NEW_KEY,
            )
    return keys


def _checked_window_of_signer(window: timedelta) -> timedelta:
    return checked_window(window, "The window of the signer")


@attrs.frozen
class UrlSigner:
    """Sign URLs, and tell for how long a signed URL is still valid.

    A signed URL is no access control: whoever has it can see the image until it expires.

    Args:
        keys: secrets of 32 characters and more. The first signs and all are valid, so a new key is put first, and the
            old one is removed two windows later.
        window: for how long a URL stays the same. It is valid for at least as long after it was made, and for at
            most twice as long.

    Raises:
        ConfigurationError: a key is too short, or the window is shorter than a minute or longer than 3.5 days.

    >>> from datetime import UTC
    >>> signer = UrlSigner(["a-key-of-at-least-32-characters-1234"], window=timedelta(hours=1))
    >>> noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    >>> url = signer.signed("/images/7/", now=noon)
    >>> url
    '/images/7/?verify=1777636800-EK9dsy8v3cWut1sCXy-Y-Gmjqd49tLevJK3qP-2Ok7E'
    >>> url == signer.signed("/images/7/", now=noon + timedelta(minutes=59))
    True
    >>> token = url.partition("verify=")[2]
    >>> signer.seconds_left("/images/7/", token, now=noon + timedelta(minutes=59))
    3660
    >>> signer.seconds_left("/images/8/", token, now=noon)
    0
    """

    keys: tuple[str, ...] = attrs.field(converter=_checked_keys, repr=False)
    window: timedelta = attrs.field(default=timedelta(hours=1), kw_only=True, converter=_checked_window_of_signer)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> UrlSigner | None:
        """Return a signer with the keys of ``USERIMAGES_SIGNING_KEYS``, separated by commas; None if it is not set.

        Raises:
            ConfigurationError: a key is too short.
        """
        text = environ.get(SIGNING_KEYS, "").strip()
        if not text:
            return None
        try:
            return cls([key.strip() for key in text.split(",")])
        except ConfigurationError as exc:
            raise ConfigurationError(f"{SIGNING_KEYS}: {exc.message}", hint=exc.hint) from None

    @property
    def lifetime(self) -> int:
        """For how many seconds a token is valid after the beginning of its window: two windows."""
        return 2 * int(self.window.total_seconds())

    def signed(self, url: str, *, now: datetime) -> str:
        """Return *url* with a token as its last query parameter.

        The token covers path and query. Scheme and host are not part of it, because a server does not always see
        them as the client does.
        """
        issued = f"{window_start(now, self.window):010d}"
        return f"{url}{'&' if '?' in url else '?'}{PARAMETER}={issued}-{_mac(self.keys[0], url, issued)}"

    def seconds_left(self, url: str, token: str, *, now: datetime) -> int:
        """Return for how many seconds *token* still opens *url*, at most two windows; 0 if it does not.

        *url* is without the parameter ``verify``, whose value *token* is.
        """
        match = _TOKEN.fullmatch(token)
        if not match:
            return 0
        issued, mac = match.groups()
        left = int(issued) + self.lifetime - int(now.timestamp())
        if not 0 < left <= self.lifetime + CLOCK_SKEW.seconds:  # another machine may have begun its window early
            return 0
        known = any(hmac.compare_digest(mac, _mac(key, url, issued)) for key in self.keys)
        return min(left, self.lifetime) if known else 0

    def waf_rule(self, host: str) -> str:
        """Return the expression of a Cloudflare WAF rule that blocks requests to *host* without a valid token.

        The keys are secret, so the rule names their places only.
        """
        valid = [
            f'is_timed_hmac_valid_v0("KEY {number}", http.request.uri, {self.lifetime}, '
            f'http.request.timestamp.sec, {len(PARAMETER) + 2}, "s")'
            for number in range(1, len(self.keys) + 1)
        ]
        return f'(http.host eq "{host}" and not ({" or ".join(valid)}))'


def _mac(key: str, url: str, issued: str) -> str:
    message = _path_and_query(url) + issued
    return base64.urlsafe_b64encode(hmac.digest(key.encode(), message.encode(), "sha256")).rstrip(b"=").decode()


def _path_and_query(url: str) -> str:
    """Return what of *url* a server gets to see, whatever stands in front of it."""
    if url.startswith("/"):
        return url
    _, has_host, rest = url.partition("://")
    return "/" + rest.partition("/")[2] if has_host else url
