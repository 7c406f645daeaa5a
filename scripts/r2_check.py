"""Try your own bucket: run ``userimages check``, then upload one image, read, replace and delete it.

It needs the R2_* settings in the environment, sends about twenty requests, and leaves nothing in the bucket. Its
records are in memory, so no database is used.
"""

import os
import sys
from datetime import UTC, datetime

from userimages import ImageService, UserImagesError
from userimages.repositories.memory import MemoryRepository
from userimages.storages.r2 import R2Storage
from userimages.testing import make_image


def main() -> int:
    if not any(name.startswith("R2_") for name in os.environ):
        print("Set R2_ACCOUNT_ID, R2_ACCESS_KEY_ID, R2_SECRET_ACCESS_KEY and R2_BUCKET_NAME to run this.")
        return 2
    try:
        storage = R2Storage.from_env()
        requests: list[str] = []
        storage.client.meta.events.register("before-send.s3", lambda request, **_: requests.append(request.method))
        images = ImageService(storage, MemoryRepository())
        report = images.check()
        for line in report.checks:
            print(f"{'ok' if line.ok else 'FAIL':<5} {line.name:<14} {line.detail} {line.hint}".rstrip())
        if report.ok:
            use(images)
            print(f"ok    {'a life':<14} An image was put up, read whole and in part, replaced and deleted.")
    except UserImagesError as exc:
        print(f"FAIL  {exc}")
        return 1
    print(f"seen on {datetime.now(UTC):%Y-%m-%d}: {'all well' if report.ok else 'not well'}, {len(requests)} requests")
    return 0 if report.ok else 1


def use(images: ImageService) -> None:
    """Upload an image, read it, replace it and delete it. Check that nothing of it is left."""
    user = f"userimages-probe-{os.urandom(4).hex()}"
    try:
        first = images.upload(user, make_image("JPEG", (640, 480)), image_type="gallery")
        with images.open(first.id) as whole, images.open(first.id, start=1, length=3) as part:
            if whole.read()[1:4] != part.read():
                raise UserImagesError("A range is not what the whole has there.")
        images.upload(user, make_image("PNG", (64, 48)), image_type="gallery", replace=True)
        images.storage.delete([f"users/{user}/missing"])  # the answer must name a missing key, too
    finally:
        images.delete_user(user)
    if left := list(images.storage.list(f"users/{user}/")):
        raise UserImagesError(f"{len(left)} objects are left in the bucket.")


if __name__ == "__main__":
    sys.exit(main())
