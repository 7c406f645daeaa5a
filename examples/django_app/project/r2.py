"""The ``STORAGES`` entries for a bucket on Cloudflare R2: ``pip install 'django-storages[s3]'``."""

from collections.abc import Mapping

from botocore.config import Config

from userimages.storages.r2 import R2Storage


def r2_storages(environ: Mapping[str, str]) -> dict:
    """Return ``STORAGES`` for media and static files, under prefixes of their own beside ``users/``."""
    bucket = R2Storage.from_env(environ)  # checks the settings
    options = {
        "bucket_name": bucket.bucket_name,
        "access_key": bucket.access_key_id,
        "secret_key": bucket.secret_access_key,
        "endpoint_url": bucket.endpoint,
        "region_name": "auto",
        "custom_domain": bucket.public_url and bucket.public_url.removeprefix("https://"),
        "default_acl": None,  # R2 has no ACLs
        "querystring_auth": not bucket.public_url,
        "client_config": Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",  # R2 refuses the trailers of boto3's default
            response_checksum_validation="when_required",
        ),
    }
    media = {**options, "location": "media", "file_overwrite": False}
    static = {**options, "location": "static", "querystring_auth": False}
    return {
        "default": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": media},
        "staticfiles": {"BACKEND": "storages.backends.s3.S3ManifestStaticStorage", "OPTIONS": static},
    }
