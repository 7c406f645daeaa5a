"""Photographs in luma and chroma, as their files keep them: half as much to shrink as in red, green and blue.

Most JPEGs and every lossy WebP keep colour at every fourth pixel, and are stored so again. Their chroma is shrunk to
half the size of the luma, which is all that the stored file can hold.
"""

import attrs
from PIL import Image, JpegImagePlugin

from userimages.processing.header import Header
from userimages.processing.recipes import Size

Region = tuple[float, float, float, float]
GAP = 1.4  # a picture is halved by plain averages first, as long as it stays this much larger than what is wanted
_LANCZOS, _BICUBIC = Image.Resampling.LANCZOS, Image.Resampling.BICUBIC


def is_subsampled(source: Image.Image, header: Header) -> bool:
    """Tell whether a file is of luma and chroma, with chroma at every fourth pixel, and nothing else."""
    if source.mode != "RGB":
        return False
    if not isinstance(source, JpegImagePlugin.JpegImageFile):
        return header.lossy
    components = [layer[0] for layer in source.layer]
    return (
        components == [1, 2, 3]
        and source.info.get("adobe_transform", 1) == 1
        and JpegImagePlugin.get_sampling(source) == 2
    )


@attrs.frozen
class Planes:
    """Luma, and both chromas: as large as it when decoded, half as large (rounded up) once shrunk."""

    luma: Image.Image
    blue: Image.Image
    red: Image.Image

    @classmethod
    def of(cls, image: Image.Image) -> "Planes":
        """Take an RGB or YCbCr picture apart."""
        return cls(*(image if image.mode == "YCbCr" else image.convert("YCbCr")).split())

    @property
    def size(self) -> Size:
        """The size of the picture."""
        return self.luma.size

    def shrunk(self, size: Size, region: Region) -> "Planes":
        """Cut *region* out and shrink it to *size*."""
        luma = self.luma.resize(size, _LANCZOS, region, reducing_gap=GAP)
        half = (size[0] + 1) // 2, (size[1] + 1) // 2
        if self.blue.size == self.size:  # as decoded: smooth, for the file holds a quarter of it
            blue, red = (each.resize(half, _BICUBIC, region, reducing_gap=1.0) for each in (self.blue, self.red))
        else:
            across, down = self.blue.width / self.luma.width, self.blue.height / self.luma.height
            box = (region[0] * across, region[1] * down, region[2] * across, region[3] * down)
            blue, red = (each.resize(half, _LANCZOS, box, reducing_gap=GAP) for each in (self.blue, self.red))
        return Planes(luma, blue, red)

    def turned(self, turn: Image.Transpose | None) -> "Planes":
        """Return the planes turned upright."""
        if turn is None:
            return self
        return Planes(self.luma.transpose(turn), self.blue.transpose(turn), self.red.transpose(turn))

    def whole(self) -> Image.Image:
        """Return the picture in YCbCr. Each chroma stands for four pixels, as the encoder will average them again."""
        if self.blue.size == self.size:
            return Image.merge("YCbCr", (self.luma, self.blue, self.red))
        blue, red = (plane.resize(self.size, Image.Resampling.NEAREST) for plane in (self.blue, self.red))
        return Image.merge("YCbCr", (self.luma, blue, red))
