"""What signed URLs cost: those of a page of fifty images with four variants each, beside boto3 in the same run.

CPU time, the best of some rounds. Run ``python benchmarks/signing.py``.
"""

import time
from datetime import UTC, datetime, timedelta

from userimages.signing import UrlSigner
from userimages.storages.r2 import R2Storage

IMAGES, VARIANTS, ROUNDS = 50, ("", ".256", ".640", ".1280", ".1920"), 15
KEYS = [
    f"users/ana%20b/images/gallery_1795000000{number:06}_aaaaaaaaaaaaaaaa{variant}.webp"
    for number in range(IMAGES)
    for variant in VARIANTS
]
IDS = [f"01a20978-e21c-7b2b-a921-{number:012x}" for number in range(IMAGES)]
PATHS = [f"/api/user_image/{id}/serve/{f'?variant={name[1:]}' if name else ''}" for id in IDS for name in VARIANTS]
BUCKET = {
    "account_id": "a1b2c3d4e5f60718293a4b5c6d7e8f90",
    "access_key_id": "key",
    "secret_access_key": "secret",
    "bucket_name": "pictures",
}
SIGNER = UrlSigner(["a-key-of-at-least-32-characters-1234"])


def milliseconds(page):
    """Return the CPU time of the fastest of some rounds, after one that fills what is kept."""
    page()
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        page()
        times.append((time.process_time() - began) * 1000)
    return min(times)


def main():
    presigned = R2Storage(**BUCKET, signed_urls=timedelta(hours=1))
    behind_waf = R2Storage(**BUCKET, public_url="img.example.com", signer=SIGNER)
    public = R2Storage(**BUCKET, public_url="img.example.com")
    sign = presigned.client.generate_presigned_url
    now = datetime.now(UTC)

    def page_of_boto3():
        return [sign("get_object", {"Bucket": "pictures", "Key": key}, 7200) for key in KEYS]

    pages = {
        "boto3, presigned": page_of_boto3,
        "ours, presigned, equal to boto3's": lambda: [presigned.url(key) for key in KEYS],
        "ours, a custom domain behind the WAF": lambda: [behind_waf.url(key) for key in KEYS],
        "ours, the serve route": lambda: [SIGNER.signed(path, now=now) for path in PATHS],
        "ours, public and not signed": lambda: [public.url(key) for key in KEYS],
    }
    print(f"{len(KEYS)} URLs: a page of {IMAGES} images with {len(VARIANTS) - 1} variants each")
    figures = {name: milliseconds(page) for name, page in pages.items()}
    first, ours, *_ = figures.values()
    for name, figure in figures.items():
        print(f"{name:40} {figure:7.2f} ms  {figure / len(KEYS) * 1000:7.2f} us a URL  {first / figure:7.1f}x")
    print(f"boto3 / ours, presigned: {first / ours:.1f} (goal: at least 20); a page: {ours:.2f} ms (goal: under 2)")


if __name__ == "__main__":
    main()
