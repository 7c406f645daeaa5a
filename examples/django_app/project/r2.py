"""The ``STORAGES`` entries for a bucket on Cloudflare R2: ``pip install 'django-storages[s3]'``."""

from collections.abc import Mapping

from botocore.config import Config


def r2_storages(environ: Mapping[str, str]) -> dict:
    """Return ``STORAGES`` for media and static files, under prefixes of their own beside ``users/``."""
    account, jurisdiction = environ["R2_ACCOUNT_ID"], environ.get("R2_JURISDICTION", "")
    host = ".".join(filter(None, [account, jurisdiction, "r2.cloudflarestorage.com"]))
    options = {
        "bucket_name": environ["R2_BUCKET_NAME"],
        "access_key": environ["R2_ACCESS_KEY_ID"],
        "secret_key": environ["R2_SECRET_ACCESS_KEY"],
        "endpoint_url": environ.get("R2_ENDPOINT_URL") or f"https://{host}",
        "region_name": "auto",
        "custom_domain": environ.get("R2_PUBLIC_DOMAIN") or None,
        "default_acl": None,  # R2 has no ACLs
        "querystring_auth": not environ.get("R2_PUBLIC_DOMAIN"),
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
