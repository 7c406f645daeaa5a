"""What the answers and the silence of an S3 server mean: one table from errors of boto3 to errors of the library."""

from collections.abc import Iterator
from contextlib import contextmanager

from userimages.errors import KeyTakenError, ObjectNotFoundError, StorageError, StorageUnavailableError

Meaning = tuple[type[StorageError], str, str]

_KEYS = "Check R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY."
_KEYS_AND_BUCKET = "Check R2_ACCESS_KEY_ID, R2_SECRET_ACCESS_KEY and R2_BUCKET_NAME."
_ENDPOINT = "Check R2_ACCOUNT_ID, R2_JURISDICTION and R2_ENDPOINT_URL."
_LATER = "Try again later."
_OTHER_PLACE = (StorageError, "The bucket is in another region or jurisdiction than the one asked.", _ENDPOINT)
_DAMAGED = (StorageError, "The bytes changed on the way to the store.", "Try again, and check proxies in between.")
_TOO_MANY = (StorageUnavailableError, "The store accepts no more requests at the moment.", _LATER)
_CUT = (StorageUnavailableError, "The connection broke before the store's answer ended.", "Try again.")
NOT_S3: Meaning = (StorageUnavailableError, "The answer was not that of an S3 server.", _ENDPOINT)

_MEANINGS: dict[str, Meaning] = {
    # What a store answers: the code of S3 first, else the status.
    "InvalidAccessKeyId": (StorageError, "The store does not know the access key.", _KEYS),
    "SignatureDoesNotMatch": (StorageError, "The secret does not belong to the access key.", _KEYS),
    "AccessDenied": (StorageError, "The access key may not do this in this bucket.", _KEYS_AND_BUCKET),
    "NotEntitled": (StorageError, "The account has no R2 subscription.", "Check R2_ACCOUNT_ID."),
    "401": (
        StorageError,
        "The store did not accept the credentials.",
        f"{_KEYS} If they are right, check for a proxy that adds headers: R2 answers those in the same way.",
    ),
    "403": (StorageError, "The store denied access.", _KEYS_AND_BUCKET),
    "ObjectLockedByBucketPolicy": (StorageError, "A lock rule of the bucket protects it.", "Check its lock rules."),
    "NoSuchBucket": (
        StorageError,
        "Bucket not found.",
        "Check R2_BUCKET_NAME, R2_ACCOUNT_ID, R2_JURISDICTION and R2_ENDPOINT_URL.",
    ),
    "InvalidBucketName": (StorageError, "The name of the bucket is not valid.", "Check R2_BUCKET_NAME."),
    "ParamValidationError": (StorageError, "boto3 refused to send the request.", "Check R2_BUCKET_NAME."),
    "NoSuchKey": (ObjectNotFoundError, "Object not found.", ""),
    "404": (StorageUnavailableError, "The endpoint answered 404, but not as an S3 server does.", _ENDPOINT),
    "412": (KeyTakenError, "Other bytes are already stored under this key.", "Use a new key: keys never repeat."),
    "InvalidRegionName": _OTHER_PLACE,
    "AuthorizationHeaderMalformed": _OTHER_PLACE,
    "PermanentRedirect": _OTHER_PLACE,
    "301": _OTHER_PLACE,
    "307": _OTHER_PLACE,
    "BadDigest": _DAMAGED,
    "InvalidDigest": _DAMAGED,
    "XAmzContentSHA256Mismatch": _DAMAGED,
    "IncompleteBody": _DAMAGED,
    "RequestTimeTooSkewed": (
        StorageError,
        "This machine's clock is wrong, so the store refuses its signatures.",
        "Set the clock, best by NTP.",
    ),
    "409": (StorageUnavailableError, "Another request for this key kept getting in the way.", _LATER),
    "429": _TOO_MANY,
    "SlowDown": _TOO_MANY,
    "503": _TOO_MANY,
    "501": (
        StorageError,
        "The store does not implement this request, such as conditional writes (If-None-Match).",
        "Use R2, or a server that does. Check R2_ENDPOINT_URL.",
    ),
    "3xx": NOT_S3,
    "5xx": (StorageUnavailableError, "The store failed.", _LATER),
    "4xx": (StorageError, "The store refused the request.", _ENDPOINT),
    # What boto3 raises if there was no answer, by the name of the class or of a parent.
    "EndpointConnectionError": (
        StorageUnavailableError,
        "The store cannot be reached.",
        "Check R2_ACCOUNT_ID, R2_JURISDICTION, R2_ENDPOINT_URL and DNS.",
    ),
    "ConnectTimeoutError": (StorageUnavailableError, "The store did not accept the connection in time.", _ENDPOINT),
    "ProxyConnectionError": (StorageUnavailableError, "The proxy cannot be reached.", "Check HTTPS_PROXY."),
    "SSLError": (StorageUnavailableError, "The store's TLS certificate or protocol is not accepted.", _ENDPOINT),
    "ReadTimeoutError": (StorageUnavailableError, "The store did not answer in time.", _LATER),
    "ConnectionClosedError": _CUT,
    "ResponseStreamingError": _CUT,
    "IncompleteReadError": _CUT,
    "HTTPError": _CUT,
    "ResponseParserError": NOT_S3,
    "EndpointProviderError": (StorageError, "The endpoint is not valid.", _ENDPOINT),
    "Exception": (StorageUnavailableError, "The request to the store failed.", _LATER),
}
_PERHAPS_MISSING = "If the key lacks the permission ListBucket, a missing object gives the same answer."


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn an error of boto3 into an error of the library, by the table of meanings."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as exc:
        code, facts = exc.response["Error"].get("Code", ""), exc.response["ResponseMetadata"]
        status = facts["HTTPStatusCode"]
        error, words, hint = meaning_of(code, str(status), f"{status // 100}xx", "5xx")
        if error is StorageError and facts.get("RetryAttempts"):
            error = StorageUnavailableError  # the first try got no answer, so it may have happened
        if exc.operation_name == "GetObject" and hint == _KEYS_AND_BUCKET:
            hint = f"{hint} {_PERHAPS_MISSING}"
        failure = error(f"{words} (HTTP {status}, {code})", hint=hint)
        failure.status = status
        raise failure from exc
    except (BotoCoreError, ResponseParserError, HTTPError) as exc:
        names = [each.__name__ for each in type(exc).__mro__]
        error, words, hint = meaning_of(*names)
        raise error(f"{words} ({names[0]})", hint=hint) from exc


def meaning_of(*names: str) -> Meaning:
    """Return the row of the table for the first of *names* that has one."""
    return next(_MEANINGS[name] for name in names if name in _MEANINGS)
