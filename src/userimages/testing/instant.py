"""A processor for tests that are about something else than images."""

from userimages.model import ProcessedImage, Rendition


def instant_processor(data: bytes, image_type: str) -> ProcessedImage:
    """Store any bytes as they are, with two variants, without decoding anything.

    The record says that the image is a JPEG of 640 x 480 pixels, whatever its bytes are. The bytes of a variant are
    those of the image, followed by the variant's name.

    >>> from userimages import ImageService
    >>> from userimages.repositories.memory import MemoryRepository
    >>> from userimages.storages.memory import MemoryStorage
    >>> images = ImageService(MemoryStorage(), MemoryRepository(), processor=instant_processor)
    >>> image = images.upload("ana", b"anything", image_type="cover")
    >>> images.open(image.id, "256").read()
    b'anything256'
    """
    data = bytes(data)
    variants = {
        name: Rendition(data + name.encode(), width, height, "image/webp")
        for name, width, height in (("64", 64, 48), ("256", 256, 192))
    }
    return ProcessedImage(Rendition(data, 640, 480, "image/jpeg"), variants, "cGxhY2Vob2xkZXI=")
