"""Store one photo, print its record and where the bytes are, then delete every trace of it.

    python examples/quickstart.py PHOTO.jpg

Without an argument it makes a photo of its own. With no settings (docs/reference/configuration.md) the bytes go to the
local disk and the record to SQLite, both in ``userimages-data``.
"""

import sys
from pathlib import Path

from userimages.config import service_from_env
from userimages.testing import make_image

images = service_from_env()
photo = Path(sys.argv[1]).read_bytes() if len(sys.argv) > 1 else make_image("JPEG", (4000, 3000), orientation=6)

image = images.upload("ana", photo, image_type="gallery", is_primary=True, caption="The first one")
print(f"Came in   {len(photo):>9,} bytes")
print(f"Stored    {image.size_bytes:>9,} bytes  {image.width}x{image.height}  {image.mime_type}  {image.key}")
for name, variant in image.variants.items():
    print(f"  {name:>6}  {variant.size_bytes:>9,} bytes  {variant.width}x{variant.height}  {variant.mime_type}")
print(f"Record    {image.id}  {image.image_type}, primary: {image.is_primary}, placeholder {image.placeholder}")
print(f"URL       {image.url}")
print(f"Where     {images.storage!r}")
with images.open(image.id, variant="320") as stream:
    print(f"Read back {len(stream.read()):>9,} bytes of variant 320")

images.delete(image.id)
left = [each.key for each in images.storage.list() if each.key in image.object_keys]
print(f"Deleted   {len(left)} objects and {len(images.list('ana'))} records are left")
