"""Photographs in luma and chroma, as JPEG keeps them: a third less to shrink than in red, green and blue.

Most JPEGs store colour at every fourth pixel and are stored so again. Their chroma is then shrunk to half the size of
the luma, which is all that the stored file can hold.
"""

import attrs
from PIL import Image, JpegImagePlugin

from userimages.processing.recipes import Size

_LANCZOS = Image.Resampling.LANCZOS
_Region = tuple[float, float, float, float]


def is_planar(source: JpegImagePlugin.JpegImageFile) -> bool:
    """Tell whether a JPEG is of luma and chroma, with chroma at every fourth pixel."""
    components = [layer[0] for layer in source.layer]
    return (
        source.mode == "RGB"
        and components == [1, 2, 3]
        and source.info.get("adobe_transform", 1) == 1
        and JpegImagePlugin.get_sampling(source) == 2
    )


@attrs.frozen
class Planes:
    """Luma of the final size, and both chromas of half of it, rounded up."""

    luma: Image.Image
    blue: Image.Image
    red: Image.Image

    @classmethod
    def shrunk(cls, image: Image.Image, region: _Region, size: Size) -> "Planes":
        """Cut *region* out of an image of mode YCbCr and shrink it to *size*."""
        luma, blue, red = image.split()
        half = (size[0] + 1) // 2, (size[1] + 1) // 2
        return cls(
            luma.resize(size, _LANCZOS, region, reducing_gap=2.0),
            blue.resize(half, _LANCZOS, region, reducing_gap=1.0),
            red.resize(half, _LANCZOS, region, reducing_gap=1.0),
        )

    def turned(self, turn: Image.Transpose | None) -> "Planes":
        """Return the planes turned upright."""
        if turn is None:
            return self
        return Planes(self.luma.transpose(turn), self.blue.transpose(turn), self.red.transpose(turn))

    def whole(self) -> Image.Image:
        """Return the picture in YCbCr. Each chroma stands for four pixels, as the encoder will average them again."""
        size, box = self.luma.size, (0, 0, self.luma.width / 2, self.luma.height / 2)
        blue, red = (plane.resize(size, Image.Resampling.NEAREST, box) for plane in (self.blue, self.red))
        return Image.merge("YCbCr", (self.luma, blue, red))

    def half(self) -> Image.Image:
        """Return the picture in RGB at half its size, rounded up."""
        return Image.merge("YCbCr", (self.luma.reduce(2), self.blue, self.red)).convert("RGB")
