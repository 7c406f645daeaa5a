"""Six landscapes that Pillow paints from a seed, sent the way a phone sends its photos: with a camera and a place."""

import io
import math
import random
from collections.abc import Iterator

import attrs
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Color = tuple[int, int, int]
SIZE = (1800, 1200)


@attrs.frozen
class Picture:
    """A file to upload, with what it is for."""

    filename: str
    data: bytes
    image_type: str
    caption: str
    is_primary: bool = False

    def facts(self) -> dict[str, object]:
        """Return what is sent, in the words of the page's panels."""
        with Image.open(io.BytesIO(self.data)) as image:
            (width, height), turned = image.size, 0x0112 in image.getexif()
        carried = ["camera and settings (EXIF)", "the place it was taken (GPS)", "a comment"]
        return {
            "name": self.filename,
            "bytes": len(self.data),
            "type": "image/jpeg",
            "way": "python",
            "width": width,
            "height": height,
            "carried": carried + ["a rotation tag (now turned upright)"] * turned,
        }


def six_pictures() -> Iterator[Picture]:
    """Yield the demo's pictures, the one to be seen last first."""
    yield Picture("panorama.jpg", _photo(_panorama()), "cover", "Seven ridges, first light")
    yield Picture("dunes.jpg", _photo(_dunes()), "gallery", "Dunes after the wind dropped")
    yield Picture("forest.jpg", _photo(_forest(), sideways=True), "gallery", "Fog between the pines")
    yield Picture("aurora.jpg", _photo(_aurora()), "gallery", "Aurora, an hour past midnight")
    yield Picture("moonrise.jpg", _photo(_moonrise()), "gallery", "The moon over still water")
    yield Picture("balloon.jpg", _photo(_balloon()), "profile", "Up before everyone else", is_primary=True)


def _photo(image: Image.Image, *, sideways: bool = False) -> bytes:
    """Return a JPEG as a phone would make it: camera, place, a remark and, held upright, turned by a tag."""
    grain = Image.effect_noise(image.size, 20).convert("RGB")
    image = Image.blend(image, ImageChops.soft_light(image, grain), 0.35)
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0132] = "Example", "Pocket Camera 7", "2026:05:17 05:12:44"
    exif[0x8825] = {1: "N", 2: (46.0, 33.0, 36.5), 3: "E", 4: (7.0, 58.0, 47.1)}
    if sideways:
        image = image.transpose(Image.Transpose.ROTATE_90)
        exif[0x0112] = 6
    file = io.BytesIO()
    image.save(file, "JPEG", quality=94, exif=exif, comment=b"Made by the demo of userimages")
    return file.getvalue()


def _gradient(size: tuple[int, int], *colors: Color) -> Image.Image:
    """Return a vertical gradient through *colors*, evenly spaced."""
    strip = Image.new("RGB", (1, len(colors)))
    strip.putdata(colors)
    return strip.resize((1, size[1]), Image.Resampling.BICUBIC, box=(0, 0.5, 1, len(colors) - 0.5)).resize(size)


def _glow(image: Image.Image, centre: tuple[float, float], radius: float, color: Color, strength: float) -> None:
    """Let light of *color* fall off around *centre*; lengths are shares of the picture's height."""
    width, height = image.size
    size = int(radius * height * 2)
    light = Image.radial_gradient("L").point(lambda v: int(255 * max(0, 1 - v / 179) ** 1.8 * strength))
    x, y = int(centre[0] * width) - size // 2, int(centre[1] * height) - size // 2
    image.paste(Image.new("RGB", (size, size), color), (x, y), light.resize((size, size), Image.Resampling.BICUBIC))


def _disc(image: Image.Image, centre: tuple[float, float], radius: float, color: Color) -> None:
    width, height = image.size
    size = int(radius * height * 2)
    mask = Image.new("L", (size * 4, size * 4))
    ImageDraw.Draw(mask).ellipse((0, 0, size * 4 - 1, size * 4 - 1), fill=255)
    x, y = int(centre[0] * width) - size // 2, int(centre[1] * height) - size // 2
    image.paste(Image.new("RGB", (size, size), color), (x, y), mask.resize((size, size), Image.Resampling.LANCZOS))


def _ridge(seed: int, width: int, roughness: float, octaves: int = 7) -> list[float]:
    """Return *width* heights about 0: value noise, each octave twice as fine and *roughness* as high."""
    rng = random.Random(seed)
    heights, amplitude, step = [0.0] * width, 1.0, width / 2.3
    for _ in range(octaves):
        knots = [rng.uniform(-1, 1) for _ in range(int(width / step) + 3)]
        for x in range(width):
            at, part = divmod(x / step, 1)
            part = part * part * (3 - 2 * part)
            heights[x] += amplitude * (knots[int(at)] * (1 - part) + knots[int(at) + 1] * part)
        amplitude, step = amplitude * roughness, step / 2
    return heights


def _land(image: Image.Image, heights: list[float], base: float, scale: float, *colors: Color) -> None:
    """Fill below a ridge line at *base* +- *scale* (shares of the height) with a gradient from its top down."""
    width, height = image.size
    line = [(base - scale * h) * height for h in heights]
    mask = Image.new("L", (width, height * 2))
    ImageDraw.Draw(mask).polygon(
        [(0, height * 2), *((x, y * 2) for x, y in enumerate(line)), (width, height * 2)], fill=255
    )
    mask = mask.resize((width, height), Image.Resampling.BOX)
    top = max(0, int(min(line)))
    fill = Image.new("RGB", image.size, colors[-1])
    fill.paste(_gradient((width, height - top), *colors), (0, top))
    image.paste(fill, (0, 0), mask)


def _mix(one: Color, other: Color, share: float) -> Color:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _panorama() -> Image.Image:
    image = _gradient((2700, 1080), (44, 62, 112), (108, 110, 158), (226, 148, 138), (255, 206, 150), (255, 226, 178))
    _glow(image, (0.64, 0.56), 0.95, (255, 214, 150), 0.95)
    _disc(image, (0.64, 0.5), 0.052, (255, 246, 222))
    far, near = (214, 158, 158), (20, 28, 52)
    for layer in range(7):
        share = layer / 6
        color = _mix(far, near, share**0.85)
        mist = _mix(_mix(color, (255, 214, 176), 0.42 * (1 - share)), near, share * 0.3)
        heights = _ridge(40 + layer, image.width, 0.5 - 0.05 * share)
        _land(image, heights, 0.56 + 0.068 * layer, 0.085 - 0.004 * layer, color, mist, mist)
    return image


def _dunes() -> Image.Image:
    image = _gradient(SIZE, (58, 78, 120), (140, 132, 156), (236, 176, 140), (250, 208, 164))
    _glow(image, (0.26, 0.44), 0.8, (255, 222, 170), 0.9)
    _disc(image, (0.26, 0.4), 0.045, (255, 248, 230))
    for layer in range(5):
        share = layer / 4
        lit = _mix((236, 176, 132), (206, 110, 66), share)
        shade = _mix((176, 112, 104), (70, 30, 40), share)
        heights = _ridge(8 + layer * 3, image.width, 0.2, octaves=3)
        _land(image, heights, 0.5 + 0.12 * layer, 0.085 + 0.012 * layer, lit, _mix(lit, shade, 0.55), shade)
        slip = [h - 0.32 - 0.7 * abs(math.sin(x / image.width * 4.2 + layer)) for x, h in enumerate(heights)]
        _land(image, slip, 0.5 + 0.12 * layer, 0.085 + 0.012 * layer, _mix(lit, shade, 0.72), shade, shade)
    return image


def _forest() -> Image.Image:
    image = _gradient((1200, 1600), (214, 226, 222), (188, 208, 206), (150, 178, 180), (120, 150, 152))
    _glow(image, (0.7, 0.16), 0.5, (255, 250, 226), 0.9)
    rng = random.Random(5)
    for layer in range(6):
        share = layer / 5
        color = _mix((164, 190, 190), (14, 34, 38), share**0.9)
        heights = _ridge(70 + layer, image.width, 0.45)
        base = 0.36 + 0.115 * layer
        _land(image, heights, base, 0.045, color, _mix(color, (196, 212, 208), 0.35 * (1 - share)))
        mask = Image.new("L", (image.width * 2, image.height * 2))
        draw = ImageDraw.Draw(mask)
        for _ in range(int(54 - 34 * share)):
            x = rng.randrange(image.width)
            foot = (base - 0.045 * heights[x]) * image.height + 12
            _pine(draw, x * 2, foot * 2, (70 + 220 * share) * rng.uniform(0.7, 1.45) * 2, rng)
        image.paste(color, (0, 0), mask.resize(image.size, Image.Resampling.BOX))
        fog = Image.linear_gradient("L").resize(image.size, box=(0, 0, 256, 200)).point(lambda v: v // 3)
        image.paste((206, 220, 216), (0, 0), fog.point(lambda v, s=share: int(v * (1 - s) * 0.9)))
    return image


def _pine(draw: ImageDraw.ImageDraw, x: float, foot: float, height: float, rng: random.Random) -> None:
    draw.rectangle((x - height * 0.012, foot - height * 0.2, x + height * 0.012, foot + height * 0.1), fill=255)
    tiers = 9
    for tier in range(tiers):
        top = foot - height + height * 0.92 * tier / tiers
        half = height * (0.03 + 0.17 * (tier + 1) / tiers) * rng.uniform(0.85, 1.12)
        droop = height * 0.19
        draw.polygon([(x, top), (x - half, top + droop), (x, top + droop * 0.82), (x + half, top + droop)], fill=255)


def _stars(image: Image.Image, count: int, seed: int, below: float) -> None:
    rng = random.Random(seed)
    layer = Image.new("L", image.size)
    draw = ImageDraw.Draw(layer)
    for _ in range(count):
        x, y = rng.random() * image.width, rng.random() ** 1.4 * below * image.height
        size, light = rng.choice((0.6, 0.8, 1.0, 1.6)), int(255 * rng.random() ** 1.6)
        draw.ellipse((x - size, y - size, x + size, y + size), fill=light)
    layer = ImageChops.add(layer, layer.filter(ImageFilter.GaussianBlur(2.2)))
    image.paste((236, 242, 255), (0, 0), layer)


def _mirrored(image: Image.Image, shore: float, tint: Color) -> Image.Image:
    """Return *image* with what stands above *shore* reflected below it in slightly moving water."""
    width, height = image.size
    line = int(shore * height)
    water = image.crop((0, max(0, line - (height - line)), width, line)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    water = water.resize((width, height - line)).filter(ImageFilter.GaussianBlur(1.6))
    rippled = water.copy()
    for y in range(water.height):
        depth = y / water.height
        shift = round(math.sin(y * y * 0.0011 + y * 0.16) * (1 + 7 * depth))
        rippled.paste(water.crop((0, y, width, y + 1)), (shift, y))
    image.paste(Image.blend(rippled, Image.new("RGB", water.size, tint), 0.28), (0, line))
    return image


def _aurora() -> Image.Image:
    image = _gradient(SIZE, (6, 12, 34), (10, 28, 58), (18, 56, 82), (44, 98, 108))
    _stars(image, 900, 3, 0.62)
    light = Image.new("RGB", image.size)
    rng = random.Random(11)
    for curtain, color in enumerate(((60, 255, 170), (50, 220, 190), (150, 110, 255))):
        draw = ImageDraw.Draw(light)
        path, flame = (
            _ridge(204 + curtain, image.width, 0.4, octaves=3),
            _ridge(230 + curtain, image.width, 0.6, octaves=5),
        )
        for x in range(0, image.width, 3):
            foot = (0.5 - 0.05 * curtain + 0.11 * path[x]) * image.height
            length = (0.36 + 0.08 * flame[x]) * image.height * rng.uniform(0.9, 1.1)
            for part in range(14):
                fade = (1 - part / 14) ** 1.8 * (0.5 + 0.3 * flame[x]) * (0.5 if curtain else 1)
                top = foot - length * (part + 1) / 14
                draw.rectangle((x, top, x + 2, foot - length * part / 14), fill=_mix((0, 0, 0), color, max(0, fade)))
        light = light.filter(ImageFilter.GaussianBlur(5 - curtain))
    image = ImageChops.screen(image, light)
    image = ImageChops.screen(image, light.filter(ImageFilter.GaussianBlur(46)))
    _land(image, _ridge(21, image.width, 0.5), 0.62, 0.07, (20, 44, 62), (16, 38, 54))
    _land(image, _ridge(22, image.width, 0.5), 0.69, 0.05, (8, 22, 34), (6, 16, 26))
    return _mirrored(image, 0.735, (6, 22, 36))


def _moonrise() -> Image.Image:
    image = _gradient(SIZE, (26, 30, 74), (70, 62, 124), (152, 104, 156), (236, 160, 164), (252, 198, 176))
    _stars(image, 260, 8, 0.3)
    _glow(image, (0.57, 0.5), 0.6, (255, 226, 214), 0.75)
    _disc(image, (0.57, 0.47), 0.08, (255, 240, 226))
    _land(image, _ridge(91, image.width, 0.48), 0.6, 0.07, (150, 100, 146), (190, 128, 152))
    _land(image, _ridge(95, image.width, 0.5), 0.655, 0.055, (84, 62, 112), (104, 76, 120))
    _land(image, _ridge(98, image.width, 0.52), 0.7, 0.03, (36, 32, 68), (36, 32, 68))
    return _mirrored(image, 0.71, (60, 44, 92))


def _balloon() -> Image.Image:
    image = _gradient((1400, 1400), (88, 150, 196), (154, 196, 214), (240, 222, 196), (252, 204, 164))
    _glow(image, (0.2, 0.78), 0.7, (255, 236, 196), 0.85)
    for layer in range(4):
        color = _mix((196, 188, 190), (64, 88, 104), layer / 3)
        _land(
            image,
            _ridge(130 + layer, image.width, 0.46),
            0.8 + 0.05 * layer,
            0.05,
            color,
            _mix(color, (250, 222, 196), 0.3),
        )
    for x, y, size, palette in ((0.5, 0.4, 0.52, 0), (0.2, 0.6, 0.13, 1), (0.83, 0.52, 0.1, 2)):
        _one_balloon(image, x * 1400, y * 1400, size * 1400, palette)
    return image


def _one_balloon(image: Image.Image, x: float, y: float, size: float, palette: int) -> None:
    """Paint a striped balloon of *size* pixels, lit from the left, with its basket below."""
    reds = ((214, 72, 60), (250, 214, 150)), ((66, 116, 148), (240, 232, 214)), ((226, 150, 62), (250, 236, 206))
    scale = 2
    canvas = Image.new("RGBA", (int(size * scale), int(size * 1.5 * scale)))
    draw = ImageDraw.Draw(canvas)
    half, steps = size * scale / 2, 120

    def outline(share: float) -> list[tuple[float, float]]:
        """Return one meridian of the envelope: from the crown down to its mouth."""
        points = []
        for step in range(steps + 1):
            t = step / steps
            crown = math.sqrt(max(0.0, 1 - (1 - t / 0.42) ** 2))
            taper = math.cos((t - 0.42) / 0.58 * math.pi / 2 * 0.88) ** 0.92 if t > 0.42 else crown
            points.append((half + share * half * taper, t * size * scale * 1.12))
        return points

    gores = 12
    for gore in range(gores):
        left, right = (math.sin(math.pi * (each / gores - 0.5)) for each in (gore, gore + 1))
        draw.polygon(outline(left) + outline(right)[::-1], fill=reds[palette][gore % 2])
    foot = size * scale * 1.12
    basket = size * scale * 0.075
    for side in (-1, 1):
        draw.line(
            (half + side * half * 0.16, foot, half + side * basket, foot * 1.16),
            fill=(74, 54, 44),
            width=max(2, int(size / 160)),
        )
    draw.rounded_rectangle(
        (half - basket, foot * 1.155, half + basket, foot * 1.155 + basket * 1.5), basket * 0.25, fill=(110, 74, 48)
    )
    canvas = canvas.resize((int(size), int(size * 1.5)), Image.Resampling.LANCZOS)
    shade = Image.linear_gradient("L").transpose(Image.Transpose.ROTATE_90).resize(canvas.size)
    dark = Image.new("RGBA", canvas.size, (52, 24, 52, 255))
    dark.putalpha(ImageChops.multiply(shade.point(lambda v: int((v / 255) ** 1.7 * 150)), canvas.getchannel("A")))
    canvas.alpha_composite(dark)
    image.paste(canvas, (int(x - size / 2), int(y - size * 0.56)), canvas)
