"""R2Storage: its settings, its URLs and its requests."""

import hashlib
import os
import subprocess
import sys
from contextlib import ExitStack
from urllib.parse import parse_qs, urlsplit

import botocore.session
import pytest

from userimages.errors import ConfigurationError
from userimages.storages.r2 import R2Storage
from userimages.testing.storage_contract import at_once, new_key, read

ACCOUNT = "0123456789abcdef0123456789abcdef"
FULL = {
    "R2_ACCOUNT_ID": ACCOUNT,
    "R2_ACCESS_KEY_ID": "key",
    "R2_SECRET_ACCESS_KEY": "the secret",
    "R2_BUCKET_NAME": "pictures",
}
REQUIRED = {
    "account_id": ACCOUNT,
    "access_key_id": "key",
    "secret_access_key": "the secret",
    "bucket_name": "pictures",
}


@pytest.fixture
def before():
    """Register a handler of a client's event until the test ends, because the client lives longer."""
    with ExitStack() as stack:

        def register(client, event, handler):
            client.meta.events.register_last(event, handler)
            stack.callback(client.meta.events.unregister, event, handler)

        yield register


@pytest.fixture
def sent_by(before):
    """Record the requests that a storage sends after the call."""

    def keep(storage):
        sent = []
        before(storage.client, "before-send.s3", lambda request, **_: sent.append(request))
        return sent

    return keep


# Settings


@pytest.mark.contract("C21")
def test_the_endpoint_follows_from_the_account():
    """And from the jurisdiction, unless another endpoint is given."""
    assert R2Storage.from_env(FULL).client.meta.endpoint_url == f"https://{ACCOUNT}.r2.cloudflarestorage.com"
    assert (
        R2Storage.from_env(FULL | {"R2_JURISDICTION": "eu"}).endpoint
        == f"https://{ACCOUNT}.eu.r2.cloudflarestorage.com"
    )
    assert R2Storage.from_env(FULL | {"R2_ENDPOINT_URL": "http://127.0.0.1:9"}).endpoint == "http://127.0.0.1:9"
    assert R2Storage.from_env(FULL).client.meta.region_name == "auto"


@pytest.mark.contract("C21")
def test_from_env_equals_the_constructor(monkeypatch):
    """`from_env` gives the same as the constructor."""
    for name, value in FULL.items():
        monkeypatch.setenv(name, value)

    assert R2Storage.from_env() == R2Storage.from_env(FULL) == R2Storage(**REQUIRED)


@pytest.mark.contract("C21")
@pytest.mark.parametrize("absent", ["", None, " \n"])
def test_every_missing_setting_is_named_at_once(absent):
    """Every missing setting is named at once."""
    environ = {
        name: value for name, value in (FULL | {"R2_BUCKET_NAME": absent, "R2_ACCOUNT_ID": absent}).items() if value
    }

    with pytest.raises(ConfigurationError, match="Missing: R2_ACCOUNT_ID, R2_BUCKET_NAME") as caught:
        R2Storage.from_env(environ)
    with pytest.raises(ConfigurationError, match="Missing: R2_ACCOUNT_ID, R2_ACCESS_KEY_ID"):
        R2Storage(account_id=None, access_key_id="", secret_access_key="the secret", bucket_name="b")
    assert "the secret" not in str(caught.value)


@pytest.mark.contract("C21")
def test_no_setting_has_a_default():
    """Neither an account nor a domain."""
    with pytest.raises(
        ConfigurationError, match="R2_ACCOUNT_ID, R2_ACCESS_KEY_ID, R2_SECRET_ACCESS_KEY, R2_BUCKET_NAME"
    ):
        R2Storage.from_env({})
    assert R2Storage.from_env(FULL).public_url is None


def test_an_unknown_setting_is_named():
    """Together with those that are missing."""
    environ = FULL | {"R2_PUBLIC_DOMIAN": "img.example.com", "R2_REGION": "auto", "OTHER": "1"}
    del environ["R2_ACCOUNT_ID"]

    with pytest.raises(ConfigurationError, match=r"Missing: R2_ACCOUNT_ID\. Unknown: R2_PUBLIC_DOMIAN, R2_REGION\."):
        R2Storage.from_env(environ)


@pytest.mark.parametrize(
    "account", ["a1b2", ACCOUNT[:-1], ACCOUNT + "0", ACCOUNT[:-1] + "g", f"https://{ACCOUNT}.r2.cloudflarestorage.com"]
)
def test_an_account_id_that_cannot_be_one_is_refused(account):
    """An account id that cannot be one is refused."""
    with pytest.raises(ConfigurationError, match="R2_ACCOUNT_ID is not an account id"):
        R2Storage.from_env(FULL | {"R2_ACCOUNT_ID": account})
    assert R2Storage.from_env(FULL | {"R2_ACCOUNT_ID": account, "R2_ENDPOINT_URL": "http://127.0.0.1:9"})


def test_the_jurisdictions_are_those_of_r2():
    """The jurisdictions are those of R2."""
    for written, endpoint in (("EU", ".eu."), ("fedramp", ".fedramp."), ("default", "."), ("Default", ".")):
        storage = R2Storage.from_env(FULL | {"R2_JURISDICTION": written})
        assert storage.endpoint == f"https://{ACCOUNT}{endpoint}r2.cloudflarestorage.com"
    with pytest.raises(ConfigurationError, match="R2_JURISDICTION is neither"):
        R2Storage.from_env(FULL | {"R2_JURISDICTION": "europe"})


@pytest.mark.parametrize("path", ["/pictures", "/pictures/", "//x", "/?a=b", "#a"])
def test_an_endpoint_with_a_path_is_refused(path):
    """The dashboard shows the endpoint with the bucket in it, and every key would begin with its name."""
    host = "http://127.0.0.1:8333"
    with pytest.raises(ConfigurationError, match=r"R2_ENDPOINT_URL has a path.*R2_BUCKET_NAME"):
        R2Storage.from_env(FULL | {"R2_ENDPOINT_URL": host + path})
    assert R2Storage.from_env(FULL | {"R2_ENDPOINT_URL": host + "/"})


def test_all_settings_that_are_wrong_are_named_at_once():
    """All settings that are wrong are named at once."""
    environ = FULL | {"R2_ACCOUNT_ID": "a", "R2_JURISDICTION": "b", "R2_BUCKET_NAME": "", "R2_REGION": "auto"}

    words = "Missing: R2_BUCKET_NAME.*Unknown: R2_REGION.*R2_ACCOUNT_ID is.*R2_JURISDICTION is"
    with pytest.raises(ConfigurationError, match=words):
        R2Storage.from_env(environ)


def test_a_line_end_after_a_value_is_not_part_of_it():
    """A line end after a value is not part of it."""
    assert R2Storage.from_env({name: f"{value}\n" for name, value in FULL.items()}) == R2Storage(**REQUIRED)


def test_the_secret_is_not_in_the_repr():
    """The secret is not in the repr."""
    assert "the secret" not in repr(R2Storage(**REQUIRED))


def test_without_boto3_the_error_says_what_to_install(monkeypatch):
    """Without boto3 the error says what to install."""
    monkeypatch.setitem(sys.modules, "boto3", None)

    with pytest.raises(ConfigurationError, match=r"pip install 'userimages\[r2\]'"):
        R2Storage(**REQUIRED)


def test_boto3_is_not_loaded_before_the_first_request():
    """boto3 is not loaded before the first request."""
    program = f"""
import sys
from userimages.storages.r2 import R2Storage
storage = R2Storage(**{REQUIRED!r})
storage.url("users/a/images/b")
assert "boto3" not in sys.modules and "botocore" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_aws_profile_of_this_machine_has_no_say(monkeypatch, tmp_path):
    """The AWS profile of this machine has no say."""
    config = tmp_path / "config"
    config.write_text("[default]\nregion = eu-west-1\nendpoint_url = https://elsewhere.example.com\nmax_attempts = 9\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "missing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://elsewhere.example.com")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    client = R2Storage(**REQUIRED).client

    assert client.meta.endpoint_url == f"https://{ACCOUNT}.r2.cloudflarestorage.com"
    assert client.meta.config.retries["total_max_attempts"] == 2
    assert client._request_signer._credentials.token is None


def test_no_aws_variable_of_this_machine_has_a_say(monkeypatch):
    """Each of them with a value that no setting takes, and with one that some do."""

    def facts():
        client = R2Storage(**REQUIRED).client
        config = {name: value for name, value in vars(client.meta.config).items() if not name.startswith("_")}
        return config | {"endpoint": client.meta.endpoint_url, "verify": client._endpoint.http_session._verify}

    variables = {each[1] for each in botocore.session.Session.SESSION_VARIABLES.values() if isinstance(each[1], str)}
    without = facts()
    for value in ("nonsense", "true", "auto"):
        for name in variables - {"AWS_CA_BUNDLE"}:
            monkeypatch.setenv(name, value)
        assert facts() == without


def test_the_trusted_certificates_are_read(monkeypatch):
    """The trusted certificates are read."""
    monkeypatch.setenv("AWS_CA_BUNDLE", "/etc/proxy.pem")

    assert R2Storage(**REQUIRED).client._endpoint.http_session._verify == "/etc/proxy.pem"


def test_a_request_to_a_store_that_hangs_ends():
    """Within 25 s, and there are connections for parallel puts."""
    config = R2Storage(**REQUIRED).client.meta.config

    between_tries = 1
    assert config.retries == {"mode": "standard", "total_max_attempts": 2}
    assert 2 * (config.connect_timeout + config.read_timeout) + between_tries <= 25
    assert config.max_pool_connections == 50


@pytest.mark.contract("C22")
def test_checksums_are_not_left_to_boto3():
    """Checksums are not left to boto3."""
    config = R2Storage(**REQUIRED).client.meta.config

    assert config.request_checksum_calculation == config.response_checksum_validation == "when_required"


# URLs


@pytest.mark.contract("C5")
def test_a_public_domain_gives_percent_encoded_urls():
    """A public domain gives percent-encoded URLs."""
    storage = R2Storage(**REQUIRED, public_url="img.example.com")

    assert storage.url("users/a%20b/images/c~1.jpg") == "https://img.example.com/users/a%2520b/images/c~1.jpg"


@pytest.mark.contract("C5")
def test_without_a_public_domain_there_is_no_url():
    """Without a public domain there is no URL."""
    assert R2Storage(**REQUIRED).url("users/a/images/b.jpg") is None


@pytest.mark.parametrize("written", ["img.example.com", "https://img.example.com", "https://img.example.com/"])
def test_a_public_domain_may_come_with_its_scheme(written):
    """A public domain may come with its scheme."""
    assert R2Storage(**REQUIRED, public_url=written).public_url == "https://img.example.com"


@pytest.mark.parametrize(
    "written", ["http://img.example.com", "img.example.com/media", "img .com", "a@b", "b\u00fc.de"]
)
def test_a_public_domain_that_is_not_a_host_is_refused(written):
    """A public domain that is not a host is refused."""
    with pytest.raises(ConfigurationError, match="R2_PUBLIC_DOMAIN"):
        R2Storage(**REQUIRED, public_url=written)


# Requests


@pytest.mark.contract("C22")
def test_the_headers_of_a_put(r2_moto, sent_by):
    """Its type, how it may be cached, one digest and its condition."""
    sent = sent_by(r2_moto)
    r2_moto.put(new_key(), b"cat", mime_type="image/webp")
    (request,) = sent
    headers = {name.lower(): value for name, value in request.headers.items()}

    assert headers["content-type"] == b"image/webp"
    assert headers["cache-control"] == b"public, max-age=31536000, s-maxage=86400, immutable"
    assert headers["if-none-match"] == b"*"
    assert headers["content-length"] == "3"
    assert headers["x-amz-meta-sha256"].decode() == hashlib.sha256(b"cat").hexdigest()
    assert [name for name in headers if "checksum" in name or "md5" in name] == ["x-amz-checksum-sha256"]


@pytest.mark.contract("C22")
def test_what_a_put_does_not_send(r2_moto, sent_by):
    """No Expect, no chunks, no ACL."""
    sent = sent_by(r2_moto)
    r2_moto.put(new_key(), b"cat" * 100_000, mime_type="image/jpeg")
    names = {name.lower() for name in sent[0].headers}

    assert not names & {
        "expect",
        "transfer-encoding",
        "content-encoding",
        "x-amz-trailer",
        "x-amz-acl",
        "x-amz-tagging",
    }
    assert not sent[0].headers["X-Amz-Content-SHA256"].startswith(b"STREAMING")


@pytest.mark.contract("C22")
def test_private_objects_are_not_for_shared_caches(r2_seaweedfs):
    """Private objects are not for shared caches."""
    key = new_key()
    r2_seaweedfs.put(key, b"cat", mime_type="image/png")
    found = r2_seaweedfs.client.head_object(Bucket=r2_seaweedfs.bucket_name, Key=key)

    assert (found["CacheControl"], found["ContentType"]) == ("private, max-age=3600", "image/png")


def test_open_is_one_request_with_the_range_in_it(r2_moto, sent_by):
    """Open is one request with the range in it."""
    key = new_key()
    r2_moto.put(key, b"0123456789", mime_type="image/jpeg")
    sent = sent_by(r2_moto)
    for start, length in ((0, None), (2, None), (2, 3), (10, None), (4, 0)):
        assert read(r2_moto, key, start=start, length=length) == b"0123456789"[start:][:length]

    assert [(request.method, request.headers.get("Range")) for request in sent] == [
        ("GET", None),
        ("GET", b"bytes=2-"),
        ("GET", b"bytes=2-4"),
        ("GET", b"bytes=10-"),
        ("GET", b"bytes=4-4"),
    ]


def test_delete_sends_a_thousand_keys_at_once(r2_moto, sent_by):
    """And no request for no key."""
    sent = sent_by(r2_moto)
    r2_moto.delete([])
    assert sent == []
    r2_moto.delete([f"users/ana/images/{number}" for number in range(1001)])
    assert [(request.method, request.body.count(b"<Key>")) for request in sent] == [("POST", 1000), ("POST", 1)]


def test_list_asks_for_a_page_when_it_is_wanted(r2_moto, sent_by, before):
    """List asks for a page when it is wanted."""
    for number in range(5):
        r2_moto.put(f"users/ana/images/{number}", b"cat", mime_type="image/jpeg")
    sent = sent_by(r2_moto)
    before(
        r2_moto.client,
        "before-call.s3.ListObjectsV2",
        lambda params, **_: params["query_string"].update({"max-keys": "2"}),
    )
    listing = r2_moto.list("users/", after="users/ana/images/0")
    assert sent == []

    seen = [next(listing).key for _ in range(2)]
    assert len(sent) == 1
    seen += [found.key for found in listing]

    assert seen == [f"users/ana/images/{number}" for number in range(1, 5)]
    assert [parse_qs(urlsplit(request.url).query)["prefix"] for request in sent] == [["users/"]] * len(sent)


def test_a_put_from_many_threads_makes_one_client():
    """A put from many threads makes one client."""
    storage = R2Storage(**REQUIRED)

    assert len(set(map(id, at_once([lambda: storage.client] * 8)))) == 1


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_makes_its_own_client(r2_seaweedfs):
    """Also if another thread of the parent was making one."""
    key = new_key()
    r2_seaweedfs.put(key, b"cat", mime_type="image/jpeg")
    parent, lock = r2_seaweedfs.client, r2_seaweedfs._locks[os.getpid()]
    with lock:
        child = os.fork()
        if child == 0:
            right = False
            try:
                right = r2_seaweedfs.client is not parent and read(r2_seaweedfs, key) == b"cat"
            finally:
                os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
