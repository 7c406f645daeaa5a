"""Signed URLs: Cloudflare's format, windows in which they do not change, and what no token opens."""

import base64
import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from userimages import ConfigurationError
from userimages.signing import UrlSigner

KEY = "a-key-of-at-least-32-characters-1234"
OTHER = "another-key-of-at-least-32-characters"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
PATHS = st.text(st.sampled_from("abz09/%~._-"), max_size=60).map(lambda path: f"/{path}")
QUERIES = st.sampled_from(["", "?variant=256", "?a=1&variant=64"])
INSTANTS = st.datetimes(datetime(2001, 9, 10), datetime(2200, 1, 1), timezones=st.just(UTC))
WINDOWS = st.integers(60, 302_400).map(lambda seconds: timedelta(seconds=seconds))


def token(url: str) -> str:
    return url.rpartition("verify=")[2]


def is_timed_hmac_valid_v0(key: str, message_mac: str, ttl: int, now: int, separator: int) -> bool:
    """Judge as Cloudflare documents its function of this name with the flag ``s``; written without our code."""
    match = re.fullmatch(rf"(.+)(.{{{separator}}})(\d{{10}})-([A-Za-z0-9_-]{{43}})", message_mac)
    if match is None:
        return False
    message, _, issued, mac = match.groups()
    digest = hmac.new(key.encode("utf8"), f"{message}{issued}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64decode(f"{mac}=") == digest and now < int(issued) + ttl


@pytest.mark.parametrize(
    ("path", "mac"),
    [
        ("/images/cat.jpg", "44Gr5xYwG7Zr2-7-bqsozOjXHRhyi4lMRc-dHKUSQrs"),
        ("/users/a%2520b/images/cat.jpg?variant=256", "9qCkv3qId0dYiGw5jdBqHnakRXcfCZRGV1Ul6-oTfKs"),
    ],
)
def test_a_token_is_the_mac_that_openssl_computes(path: str, mac: str) -> None:
    """``openssl dgst -sha256 -hmac KEY -binary | base64`` of path and time, with the alphabet for URLs."""
    issued = datetime.fromtimestamp(1484063787 // 60 * 60, UTC)
    signer = UrlSigner([KEY], window=timedelta(minutes=1))

    assert token(signer.signed(path, now=issued)) == f"{int(issued.timestamp())}-{mac}"


@given(PATHS, QUERIES, INSTANTS, WINDOWS, st.integers(0, 700_000))
def test_cloudflare_judges_as_we_do(path: str, query: str, now: datetime, window: timedelta, later: int) -> None:
    """The WAF function and our own route accept the same URLs at the same second."""
    signer = UrlSigner([KEY], window=window)
    url = signer.signed(path + query, now=now)
    then = now + timedelta(seconds=later)

    valid = is_timed_hmac_valid_v0(KEY, url, signer.lifetime, int(then.timestamp()), len("?verify="))
    assert valid == (signer.seconds_left(path + query, token(url), now=then) > 0)


@given(INSTANTS, WINDOWS, st.integers(0, 10**6 - 1))
def test_a_url_is_the_same_within_a_window(now: datetime, window: timedelta, part: int) -> None:
    """It changes at the beginning of the next window and not before."""
    signer = UrlSigner([KEY], window=window)
    seconds = int(window.total_seconds())
    start = datetime.fromtimestamp(int(now.timestamp()) // seconds * seconds, UTC)

    assert signer.signed("/a", now=start + window * part // 10**6) == signer.signed("/a", now=start)
    assert signer.signed("/a", now=start + window) != signer.signed("/a", now=start)


@given(INSTANTS, WINDOWS)
def test_a_url_is_valid_for_one_window_or_more(now: datetime, window: timedelta) -> None:
    """Whenever it is made, it opens for a whole window; it ends two windows after its window began."""
    signer = UrlSigner([KEY], window=window)
    made = token(signer.signed("/a", now=now))
    issued = datetime.fromtimestamp(int(made[:10]), UTC)

    assert signer.seconds_left("/a", made, now=now + window) > 0
    assert signer.seconds_left("/a", made, now=issued) == signer.lifetime
    assert signer.seconds_left("/a", made, now=issued + 2 * window - timedelta(seconds=1)) == 1
    assert signer.seconds_left("/a", made, now=issued + 2 * window) == 0


@given(PATHS, PATHS, QUERIES, QUERIES)
def test_a_token_opens_no_other_url(path: str, other: str, query: str, other_query: str) -> None:
    """A token of one image does not open another, and one of a variant does not open its original."""
    signer = UrlSigner([KEY])
    made = token(signer.signed(path + query, now=NOON))

    assert (signer.seconds_left(other + other_query, made, now=NOON) > 0) == (path + query == other + other_query)


@given(st.integers(0, 53), st.characters())
def test_a_changed_token_opens_nothing(place: int, character: str) -> None:
    """Whatever character of the time or of the MAC is another one, also one that is not ASCII."""
    signer = UrlSigner([KEY])
    made = token(signer.signed("/a", now=NOON))
    changed = made[:place] + character + made[place + 1 :]

    assert (signer.seconds_left("/a", changed, now=NOON) > 0) == (changed == made)


@pytest.mark.parametrize("damaged", ["", "-", "{}=", " {}", "{}\n", "{}{}", "0{}", "{}-0"])
def test_what_is_not_one_whole_token_opens_nothing(damaged: str) -> None:
    """Nothing is cut off or added so that it fits: padding, spaces, a second token."""
    signer = UrlSigner([KEY])
    made = token(signer.signed("/a", now=NOON))

    assert signer.seconds_left("/a", damaged.replace("{}", made), now=NOON) == 0


def test_a_message_and_its_time_cannot_be_shifted() -> None:
    """The digits at the end of a path are not taken for those of a time."""
    signer = UrlSigner([KEY])
    made = token(signer.signed("/a1", now=NOON))

    assert signer.seconds_left("/a", f"1{made[:9]}{made[10:]}", now=NOON) == 0
    assert signer.seconds_left("/a", f"1{made}", now=NOON) == 0


@pytest.mark.parametrize(("ahead", "left"), [(0, 7200), (60, 7200), (300, 7200), (301, 0), (3600, 0)])
def test_a_time_in_the_future_is_refused(ahead: int, left: int) -> None:
    """Five minutes are allowed, because the clock of another machine may be ahead; they give no longer life."""
    signer = UrlSigner([KEY])
    made = token(signer.signed("/a", now=NOON))

    assert signer.seconds_left("/a", made, now=NOON - timedelta(seconds=ahead)) == left


def test_the_first_key_signs_and_all_are_valid() -> None:
    """A new key is put first; what the old one signed stays valid until it is taken out."""
    before, during, after = UrlSigner([OTHER]), UrlSigner([KEY, OTHER]), UrlSigner([KEY])
    old, new = before.signed("/a", now=NOON), during.signed("/a", now=NOON)

    assert new == after.signed("/a", now=NOON) != old
    assert during.seconds_left("/a", token(old), now=NOON) > 0
    assert after.seconds_left("/a", token(old), now=NOON) == 0


@pytest.mark.parametrize("front", ["https://img.example.com", "http://127.0.0.1:8000"])
def test_scheme_and_host_are_not_signed(front: str) -> None:
    """A proxy in front of a server may change them, and Cloudflare signs path and query."""
    signer = UrlSigner([KEY])
    url = signer.signed(f"{front}/a/b?variant=64", now=NOON)

    assert url == f"{front}{signer.signed('/a/b?variant=64', now=NOON)}"
    assert signer.seconds_left(f"{front}/a/b?variant=64", token(url), now=NOON) > 0


def test_the_time_zone_of_now_does_not_matter() -> None:
    """Windows begin at the same instant everywhere."""
    signer = UrlSigner([KEY], window=timedelta(hours=6))
    there = NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))

    assert signer.signed("/a", now=there) == signer.signed("/a", now=NOON)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ([], "no signing key"),
        (KEY, "one string"),
        (["short"], "Signing key 1 has 5 characters, and at least 32"),
        ([KEY, KEY[:31]], "Signing key 2 has 31 characters"),
        ([None], "Signing key 1 is not a string"),
        ([f"{KEY}\n"], "printable ASCII"),
        ([f'{KEY}"'], "quotes"),
        ([f"{KEY}\\"], "backslashes"),
        ([f"{KEY},{KEY}"], "commas"),
        ([f"{KEY}ü"], "ASCII"),
    ],
)
def test_keys_that_cannot_protect_are_refused(keys: object, words: str) -> None:
    """The error says which key it is and how to make a better one, and does not show it."""
    with pytest.raises(ConfigurationError, match=words) as refusal:
        UrlSigner(keys)  # type: ignore[arg-type]
    assert KEY[:31] not in str(refusal.value)


@pytest.mark.parametrize(
    "window",
    [timedelta(0), timedelta(seconds=59), timedelta(days=3.5, seconds=1), timedelta(seconds=90.5), -timedelta(1), 3600],
)
def test_windows_that_cannot_work_are_refused(window: object) -> None:
    """From one minute to three and a half days, in whole seconds."""
    with pytest.raises(ConfigurationError, match="window of the signer is"):
        UrlSigner([KEY], window=window)  # type: ignore[arg-type]


def test_the_longest_and_shortest_windows_are_taken() -> None:
    """The limits themselves are allowed."""
    assert UrlSigner([KEY], window=timedelta(minutes=1)).lifetime == 120
    assert UrlSigner([KEY], window=timedelta(days=3.5)).lifetime == 7 * 86400


def test_no_key_is_shown() -> None:
    """Neither a repr nor the rule for Cloudflare holds a key."""
    signer = UrlSigner([KEY, OTHER])

    assert not [text for text in (repr(signer), signer.waf_rule("img.example.com")) if KEY in text or OTHER in text]


def test_the_waf_rule_takes_any_of_the_keys() -> None:
    """It is the rule of Cloudflare's documentation, with one call for each key."""
    call = 'is_timed_hmac_valid_v0("KEY {}", http.request.uri, 7200, http.request.timestamp.sec, 8, "s")'

    assert UrlSigner([KEY, OTHER]).waf_rule("img.example.com") == (
        f'(http.host eq "img.example.com" and not ({call.format(1)} or {call.format(2)}))'
    )


def test_keys_come_from_one_setting() -> None:
    """They are separated by commas, and an error names the setting."""
    assert UrlSigner.from_env({"USERIMAGES_SIGNING_KEYS": f" {KEY} , {OTHER}\n"}) == UrlSigner([KEY, OTHER])
    assert UrlSigner.from_env({"USERIMAGES_SIGNING_KEYS": " "}) is UrlSigner.from_env({}) is None
    for wrong in ("short", f"{KEY},", f"{KEY}, {OTHER[:20]}"):
        with pytest.raises(ConfigurationError, match=r"USERIMAGES_SIGNING_KEYS: Signing key") as refusal:
            UrlSigner.from_env({"USERIMAGES_SIGNING_KEYS": wrong})
        assert KEY not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("https://img.example/a?u=https://b/c", "/a?u=https://b/c"),
        ("/a?u=https://b/c", "/a?u=https://b/c"),
        ("https://img.example", "/"),
        ("a/b?c", "a/b?c"),
    ],
)
def test_a_token_covers_what_a_server_sees(url: str, seen: str) -> None:
    """Path and query, whatever stands before them and whatever URL is in the query."""
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    signer = UrlSigner(["a-key-of-exactly-32-characters-1"])
    token = signer.signed(url, now=now).partition("verify=")[2]

    assert signer.signed(url, now=now) == f"{url}{'&' if '?' in url else '?'}verify={token}"
    assert signer.seconds_left(seen, token, now=now) == 7200
    assert signer.seconds_left(seen + "/", token, now=now) == 0
