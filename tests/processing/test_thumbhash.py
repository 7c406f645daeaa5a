"""ThumbHash: the same bytes as the reference algorithm."""

import base64
import math
import random

import pytest
from PIL import Image

from userimages import ImageType
from userimages.processing.thumbhash import thumbhash
from userimages.testing import make_image
from userimages.testing.images import make_pixels


def reference(width, height, rgba):
    """The algorithm as it was published, pixel by pixel: slow and plain."""
    pixels = [rgba[at : at + 4] for at in range(0, len(rgba), 4)]
    average, total = [0.0, 0.0, 0.0], 0.0
    for pixel in pixels:
        part = pixel[3] / 255
        average = [value + part / 255 * band for value, band in zip(average, pixel[:3], strict=True)]
        total += part
    average = [value / total for value in average] if total else average
    has_alpha = total < width * height
    limit = 5 if has_alpha else 7
    across = max(1, math.floor(limit * width / max(width, height) + 0.5))
    down = max(1, math.floor(limit * height / max(width, height) + 0.5))
    channels = [[], [], [], []]
    for pixel in pixels:
        part = pixel[3] / 255
        red, green, blue = (
            mean * (1 - part) + part / 255 * band for mean, band in zip(average, pixel[:3], strict=True)
        )
        for channel, value in zip(
            channels, ((red + green + blue) / 3, (red + green) / 2 - blue, red - green, part), strict=True
        ):
            channel.append(value)

    def encode(channel, nx, ny):
        dc, ac, scale = 0.0, [], 0.0
        for cy in range(ny):
            for cx in range(nx):
                if cx * ny >= nx * (ny - cy):
                    break
                total = 0.0
                fx = [math.cos(math.pi / width * cx * (x + 0.5)) for x in range(width)]
                for y in range(height):
                    fy = math.cos(math.pi / height * cy * (y + 0.5))
                    for x in range(width):
                        total += channel[x + y * width] * fx[x] * fy
                total /= width * height
                if cx or cy:
                    ac.append(total)
                    scale = max(scale, abs(total))
                else:
                    dc = total
        return dc, [0.5 + 0.5 / scale * value for value in ac] if scale else ac, scale

    def rounded(value):
        return math.floor(value + 0.5)

    l_dc, l_ac, l_scale = encode(channels[0], max(3, across), max(3, down))
    p_dc, p_ac, p_scale = encode(channels[1], 3, 3)
    q_dc, q_ac, q_scale = encode(channels[2], 3, 3)
    wide = width > height
    first = rounded(63 * l_dc) | rounded(31.5 + 31.5 * p_dc) << 6 | rounded(31.5 + 31.5 * q_dc) << 12
    first |= rounded(31 * l_scale) << 18 | has_alpha << 23
    second = (down if wide else across) | rounded(63 * p_scale) << 3 | rounded(63 * q_scale) << 9 | wide << 15
    out = [first & 255, first >> 8 & 255, first >> 16, second & 255, second >> 8]
    waves = l_ac + p_ac + q_ac
    if has_alpha:
        a_dc, a_ac, a_scale = encode(channels[3], 5, 5)
        out.append(rounded(15 * a_dc) | rounded(15 * a_scale) << 4)
        waves += a_ac
    for at, value in enumerate(waves):
        if at % 2:
            out[-1] |= rounded(15 * value) << 4
        else:
            out.append(rounded(15 * value))
    return bytes(out)


# Made with the published JavaScript, npm thumbhash 0.1.1, from make_pixels(size, mode=, seed=).
VECTORS = [
    ((32, 24), "RGB", 1, "3/cBDYJFVomc+GdIfYeIqfepV0oM"),
    ((24, 32), "RGB", 2, "IAgGDQSpp3902IN3hpeGiCpn8KZU"),
    ((32, 32), "L", 3, "HwgCBwAsqWYXl3b4mnh0monJBQAAAAAA"),
    ((100, 75), "RGB", 4, "3gcGDYKPdll8lneGdIiIdtG5sAgt"),
    ((33, 47), "RGB", 5, "4AcCFQTAdWZYR6Wil5i4l3pA3gLW"),
    ((64, 36), "RGB", 6, "3xcCDIR4d3ZfVIeblJZv7h2PzA=="),
    ((1, 32), "RGB", 7, "Htg9EQgIiHeIiIeICIRxX2g="),
    ((7, 3), "RGB", 8, "XugFE4hzK7wIZedm76V2aPY="),
]


@pytest.mark.parametrize(("size", "mode", "seed", "expected"), VECTORS)
def test_the_bytes_are_those_of_the_published_program(size, mode, seed, expected):
    """The bytes are those of the published program."""
    rgba = make_pixels(size, mode=mode, seed=seed).convert("RGBA").tobytes()
    assert base64.b64encode(thumbhash(*size, rgba)).decode() == expected


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "noise", "flat", "gradient", "halves", "clear"])
def test_the_bytes_are_those_of_the_reference(mode):
    """The bytes are those of the reference."""
    seeded = random.Random(mode)
    for _ in range(6):
        size = seeded.randint(1, 40), seeded.randint(1, 40)
        if mode == "noise":
            rgba = seeded.randbytes(4 * size[0] * size[1])
        elif mode in ("flat", "clear"):
            rgba = bytes([*seeded.randbytes(3), 255 * (mode == "flat")]) * (size[0] * size[1])
        elif mode == "gradient":
            rgba = Image.linear_gradient("L").resize(size).convert("RGBA").tobytes()
        elif mode == "halves":
            image = Image.new("RGBA", size, (*seeded.randbytes(3), 255))
            image.paste((0, 255, 9, 128), (0, 0, size[0] // 2, size[1]))
            rgba = image.tobytes()
        else:
            rgba = make_pixels(size, mode=mode, seed=seeded.randint(0, 99)).convert("RGBA").tobytes()
        assert thumbhash(*size, rgba) == reference(*size, rgba), size


@pytest.mark.cost
def test_the_slow_sums_are_made_only_where_needed(monkeypatch):
    """The slow sums are made only where a rounding hangs on them."""

    def forbidden(*_):
        pytest.fail("summed pixel by pixel")

    monkeypatch.setattr("userimages.processing.thumbhash._reference_sums", forbidden)
    for seed in range(30):
        thumbhash(32, 24, make_pixels((32, 24), seed=seed).convert("RGBA").tobytes())


@pytest.mark.parametrize("arguments", [(101, 1, bytes(404)), (1, 101, bytes(404)), (2, 2, bytes(15)), (0, 1, b"")])
def test_a_wrong_size_is_refused(arguments):
    """What is too large, or not of its size, is refused."""
    with pytest.raises(ValueError, match="at most 100"):
        thumbhash(*arguments)


def test_the_placeholder_is_that_of_the_whole_picture(processor):
    """The placeholder is the hash of the whole picture, in base64."""
    for size in ((640, 480), (300, 700), (1, 900), (3, 2)):
        for image_type in ImageType:
            placeholder = processor(make_image("PNG", size), image_type).placeholder
            raw = base64.b64decode(placeholder, validate=True)
            assert 5 < len(raw) < 30
            landscape = bool(raw[4] & 0x80)
            assert landscape == (size[0] > size[1])
