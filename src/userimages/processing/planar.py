"""Photographs in luma and chroma, as their files keep them: half as much to shrink as in red, green and blue.

Most JPEGs and every lossy WebP keep color at every fourth pixel, and are stored so again. Their chroma is shrunk to
half the size of the luma, which is all that the stored file can hold.
"""

import attrs
from PIL import Image, JpegImagePlugin

from userimages.processing.header import Header
from userimages.processing.recipes import Size
from userimages.processing.resize import Region

GAP = 1.4  # a picture is halved by plain averages first, as long as it stays this much larger than what is wanted


def is_subsampled(source: Image.Image, header: Header) -> bool:
    """Tell whether a file is of luma and chroma, with chroma at every fourth pixel, and nothing else."""
    if source.mode != "RGB":
        return False
    if not isinstance(source, JpegImagePlugin.JpegImageFile):
        return header.lossy and header.frames == 1
    components = [layer[0] for layer in source.layer]
    return (
        components == [1, 2, 3]
        and source.info.get("adobe_transform", 1) == 1
        and JpegImagePlugin.get_sampling(source) == 2
    )


@attrs.frozen
class Planes:
    """Luma, and both chromas at half its size (rounded up): each of their samples stands for two by two pixels."""

    luma: Image.Image
    blue: Image.Image
    red: Image.Image

    @classmethod
    def of(cls, image: Image.Image, turn: Image.Transpose | None = None) -> "Planes":
        """Take an RGB or YCbCr picture apart and turn it, one plane at a time, which saves memory.

        A chroma stands for pairs of pixels of the upright picture: of an odd size they are others than as stored.
        """
        image = image if image.mode == "YCbCr" else image.convert("YCbCr")
        odd = image.width % 2 or image.height % 2

        def turned(plane: Image.Image) -> Image.Image:
            return plane if turn is None else plane.transpose(turn)

        def halved(plane: Image.Image) -> Image.Image:
            return turned(plane).reduce(2) if odd else turned(plane.reduce(2))

        blue, red = halved(image.getchannel(1)), halved(image.getchannel(2))
        return cls(turned(image.getchannel(0)), blue, red)

    @property
    def size(self) -> Size:
        """The size of the picture."""
        return self.luma.size

    def shrunk(self, size: Size, region: Region) -> "Planes":
        """Cut *region* out and shrink it to *size*."""
        luma = self.luma.resize(size, Image.Resampling.LANCZOS, region, reducing_gap=GAP)
        return Planes(luma, _chroma(self.blue, size, region), _chroma(self.red, size, region))

    def whole(self) -> Image.Image:
        """Return the picture in YCbCr. Each chroma stands for four pixels, as the encoder will average them again."""
        return Image.merge("YCbCr", (self.luma, _doubled(self.blue, self.size), _doubled(self.red, self.size)))


def _chroma(plane: Image.Image, size: Size, region: Region) -> Image.Image:
    """Shrink a chroma to half of *size*. Of an odd size the last pixel has no second one: it gets the color beside."""
    left, top, right, bottom = (edge / 2 for edge in region)
    wide, high = max(1, size[0] // 2), max(1, size[1] // 2)
    right = min(right, left + (right - left) * 2 * wide / size[0])
    bottom = min(bottom, top + (bottom - top) * 2 * high / size[1])
    pairs = plane.resize((wide, high), Image.Resampling.BICUBIC, (left, top, right, bottom), reducing_gap=GAP)
    across, down = (size[0] + 1) // 2 - wide, (size[1] + 1) // 2 - high
    if not (across or down):
        return pairs
    made = Image.new("L", (wide + across, high + down))
    for corner in ((across, down), (0, down), (across, 0), (0, 0)):  # each leaves of the one before what it lacks
        made.paste(pairs, corner)
    return made


def _doubled(plane: Image.Image, size: Size) -> Image.Image:
    doubled = plane.resize((2 * plane.width, 2 * plane.height), Image.Resampling.NEAREST)
    return doubled if doubled.size == size else doubled.crop((0, 0, *size))
