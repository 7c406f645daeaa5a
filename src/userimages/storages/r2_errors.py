"""What the answers and the silence of an S3 server mean: one table from boto3's errors to ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from userimages.errors import KeyTakenError, ObjectNotFoundError, StorageError, StorageUnavailableError

_KEYS = "Look at R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY."
ENDPOINT_HINT = "Look at R2_ACCOUNT_ID, R2_JURISDICTION and R2_ENDPOINT_URL."
_LATER = "Try again later."
_OTHER_PLACE = (StorageError, "The bucket is in another region or jurisdiction than the one asked.", ENDPOINT_HINT)
_DAMAGED = (StorageError, "The bytes changed on the way to the store.", "Try again; look at proxies in between.")
_TOO_MANY = (StorageUnavailableError, "The store takes no more requests just now.", _LATER)
_CUT = (StorageUnavailableError, "The connection broke before the store's answer ended.", "Try again.")

Problem = tuple[type[StorageError], str, str]
_PROBLEMS: dict[str, Problem] = {
    # What a store answers: the code of S3 first, else the status.
    "InvalidAccessKeyId": (StorageError, "The store does not know the access key.", _KEYS),
    "SignatureDoesNotMatch": (StorageError, "The secret does not belong to the access key.", _KEYS),
    "AccessDenied": (StorageError, "The access key may not do this in this bucket.", f"{_KEYS} And R2_BUCKET_NAME."),
    "NotEntitled": (StorageError, "The account has no R2 subscription.", "Look at R2_ACCOUNT_ID."),
    "401": (
        StorageError,
        "The store did not accept the credentials.",
        f"{_KEYS} With right ones, something on the way rewrites the request: R2 says the same to unknown headers.",
    ),
    "403": (StorageError, "The store denied access.", f"{_KEYS} And R2_BUCKET_NAME."),
    "ObjectLockedByBucketPolicy": (StorageError, "A lock rule of the bucket protects it.", "Look at its lock rules."),
    "NoSuchBucket": (StorageError, "There is no such bucket.", f"Look at R2_BUCKET_NAME. {ENDPOINT_HINT}"),
    "InvalidBucketName": (StorageError, "That cannot be the name of a bucket.", "Look at R2_BUCKET_NAME."),
    "ParamValidationError": (StorageError, "boto3 refused the request unsent.", "Look at R2_BUCKET_NAME."),
    "NoSuchKey": (ObjectNotFoundError, "No object stands under this key.", ""),
    "404": (StorageUnavailableError, "Nothing is there, not even the answer of an S3 server.", ENDPOINT_HINT),
    "412": (KeyTakenError, "Other bytes already stand under this key.", "Use a new key: keys never repeat."),
    "InvalidRegionName": _OTHER_PLACE,
    "AuthorizationHeaderMalformed": _OTHER_PLACE,
    "PermanentRedirect": _OTHER_PLACE,
    "301": _OTHER_PLACE,
    "307": _OTHER_PLACE,
    "BadDigest": _DAMAGED,
    "InvalidDigest": _DAMAGED,
    "XAmzContentSHA256Mismatch": _DAMAGED,
    "IncompleteBody": _DAMAGED,
    "RequestTimeTooSkewed": (StorageError, "This machine's clock is wrong.", "Set it; signatures need the time."),
    "409": (StorageUnavailableError, "Another request for this key was in the way, several times.", _LATER),
    "429": _TOO_MANY,
    "SlowDown": _TOO_MANY,
    "503": _TOO_MANY,
    "501": (
        StorageError,
        "The store does not implement what was asked, such as conditional writes (If-None-Match).",
        f"Use R2 or a server that does. {ENDPOINT_HINT}",
    ),
    "5xx": (StorageUnavailableError, "The store failed.", _LATER),
    "4xx": (StorageError, "The store refused the request.", ENDPOINT_HINT),
    # What boto3 raises where there was no answer, by the name of the class or of a parent.
    "EndpointConnectionError": (
        StorageUnavailableError,
        "The store cannot be reached.",
        f"{ENDPOINT_HINT} And at DNS.",
    ),
    "ConnectTimeoutError": (StorageUnavailableError, "The store did not take the connection in time.", ENDPOINT_HINT),
    "ProxyConnectionError": (StorageUnavailableError, "The proxy cannot be reached.", "Look at HTTPS_PROXY."),
    "SSLError": (StorageUnavailableError, "The store's TLS certificate or protocol is not accepted.", ENDPOINT_HINT),
    "ReadTimeoutError": (StorageUnavailableError, "The store did not answer in time.", _LATER),
    "ConnectionClosedError": _CUT,
    "ResponseStreamingError": _CUT,
    "IncompleteReadError": _CUT,
    "HTTPError": _CUT,
    "ResponseParserError": (StorageUnavailableError, "That was not the answer of an S3 server.", ENDPOINT_HINT),
    "EndpointProviderError": (StorageError, "That cannot be an endpoint.", ENDPOINT_HINT),
    "Exception": (StorageUnavailableError, "The request to the store failed.", _LATER),
}


@contextmanager
def translated() -> Iterator[None]:
    """Turn an error of boto3 into ours, by the table of problems."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as exc:
        code, facts = exc.response["Error"].get("Code", ""), exc.response["ResponseMetadata"]
        status = facts["HTTPStatusCode"]
        error, words, hint = problem(code, str(status), f"{status // 100}xx", "5xx")
        if error is StorageError and facts.get("RetryAttempts"):
            error = StorageUnavailableError  # nobody knows what became of the first try
        failure = error(f"{words} (HTTP {status}, {code})", hint=hint)
        failure.status = status
        raise failure from exc
    except (BotoCoreError, ResponseParserError, HTTPError) as exc:
        names = [each.__name__ for each in type(exc).__mro__]
        error, words, hint = problem(*names)
        raise error(f"{words} ({names[0]})", hint=hint) from exc


def problem(*names: str) -> Problem:
    """Return the row of the table for the first of *names* that has one."""
    return next(_PROBLEMS[name] for name in names if name in _PROBLEMS)
