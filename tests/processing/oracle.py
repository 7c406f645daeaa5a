"""What Chromium shows of two files, and how much that differs: one page for all of them.

A still is drawn on a canvas; of an animation ``ImageDecoder`` gives every frame. Both over black and over white, so
that transparency is compared too.
"""

import base64
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
from tests.parts import chromium

ORIGIN = "https://pictures.test"  # nobody's: every request to it is answered here. ImageDecoder wants https
_PAGE = """<!doctype html><meta charset=utf-8><script>
const SIDE = 1000;

async function file(name) {
  const answer = await fetch(name);
  return { type: answer.headers.get("content-type"), data: await answer.arrayBuffer() };
}

function canvas(width, height, ground) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  if (ground) { context.fillStyle = ground; context.fillRect(0, 0, width, height); }
  return context;
}

// As a player sees it: how long each frame stays (a delay of at most 10 ms is played as 100), and how often all play.
async function frames(name) {
  const { type, data } = await file(name);
  const decoder = new ImageDecoder({ type, data, preferAnimation: true });
  await decoder.tracks.ready;
  await decoder.completed;
  const track = decoder.tracks.selectedTrack, shown = [];
  for (let frameIndex = 0; frameIndex < track.frameCount; frameIndex++) {
    const { image } = await decoder.decode({ frameIndex });
    const bitmap = await createImageBitmap(image);
    const ms = (image.duration ?? 0) / 1000;
    shown.push({ bitmap, ms: ms <= 10 ? 100 : ms });
    image.close();
  }
  const plays = track.repetitionCount + 1;
  decoder.close();
  return { shown, plays: plays >= 65535 ? 0 : plays, size: [shown[0].bitmap.width, shown[0].bitmap.height] };
}

async function still(name) {
  const image = new Image();
  image.src = name;
  await image.decode();
  return { shown: [{ bitmap: image, ms: 0 }], plays: 0, size: [image.naturalWidth, image.naturalHeight] };
}

function pixels(bitmap, width, height, ground) {
  const context = canvas(width, height, ground);
  context.drawImage(bitmap, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

// The mean difference of a channel, the larger one of those over black and over white.
function difference(one, other, width, height) {
  let most = 0;
  for (const ground of ["black", "white"]) {
    const [a, b] = [one, other].map((each) => pixels(each, width, height, ground));
    let sum = 0;
    for (let at = 0; at < a.length; at++) sum += Math.abs(a[at] - b[at]);
    most = Math.max(most, sum / (a.length * 3 / 4));
  }
  return most;
}

// Frames by the instant at which they begin: an encoder may join frames that are equal.
function instants(shown) {
  let at = 0;
  return shown.map(({ ms }) => { const begins = at; at += ms; return begins; });
}

async function compare(before, after, moves) {
  const read = moves ? frames : still;
  const [one, other] = [await read(before), await read(after)];
  const scale = Math.min(1, SIDE / Math.max(...other.size));
  const [width, height] = other.size.map((side) => Math.max(1, Math.round(side * scale)));
  const begin = [instants(one.shown), instants(other.shown)];
  const times = [...new Set(begin.flat().map(Math.round))].sort((a, b) => a - b);
  let worst = -1, at = 0, pair = [];
  for (const time of times) {
    const now = [one, other].map(({ shown }, side) => shown[begin[side].findLastIndex((each) => each <= time + 2)]);
    const found = difference(now[0].bitmap, now[1].bitmap, width, height);
    if (found > worst) { [worst, at, pair] = [found, time, now]; }
  }
  const facts = [one, other].map(({ shown, plays, size }) => ({
    size, plays, frames: shown.length, ms: shown.reduce((sum, each) => sum + each.ms, 0),
  }));
  return { difference: worst, at, facts, pictures: await beside(pair, width, height) };
}

async function beside(pair, width, height) {
  const context = canvas(2 * width + 8, height, "white");
  context.fillStyle = "#bbb";
  for (let y = 0; y < height; y += 8) for (let x = y % 16; x < 2 * width + 8; x += 16) context.fillRect(x, y, 8, 8);
  pair.forEach(({ bitmap }, side) => context.drawImage(bitmap, side * (width + 8), 0, width, height));
  const blob = await context.canvas.convertToBlob();
  const bytes = new Uint8Array(await blob.arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

async function shown(name) {
  const { shown, size } = await still(name);
  return [...pixels(shown[0].bitmap, ...size, null)];
}
</script>"""


@attrs.frozen
class Shown:
    """How two files look: the largest mean difference of a frame, and size, frames, plays and ms of each."""

    difference: float
    at: float
    before: dict[str, object]
    after: dict[str, object]
    pictures: bytes = attrs.field(repr=False)


class Oracle:
    """A page of Chromium that compares files."""

    def __init__(self, page: object) -> None:
        self._page = page
        self._files: dict[str, tuple[str, bytes]] = {f"{ORIGIN}/": ("text/html", _PAGE.encode())}
        self._number = itertools.count()
        page.route(f"{ORIGIN}/**", self._answer)
        page.goto(f"{ORIGIN}/")

    def _answer(self, route: object) -> None:
        kind, data = self._files[route.request.url]
        route.fulfill(content_type=kind, body=data)

    def _placed(self, data: bytes) -> str:
        url = f"{ORIGIN}/{next(self._number)}"
        self._files[url] = (mime_type(data), data)
        return url

    def compare(self, before: bytes, after: bytes, *, moves: bool = False) -> Shown:
        """Return how much the second file looks like the first; *moves*: in all of their frames."""
        names = [self._placed(each) for each in (before, after)]
        found = self._page.evaluate("(all) => compare(...all)", [*names, moves])
        for name in names:
            del self._files[name]
        pictures = base64.b64decode(found["pictures"])
        return Shown(found["difference"], found["at"], *found["facts"], pictures)

    def pixels(self, data: bytes) -> list[tuple[int, ...]] | None:
        """Return the RGBA pixels of a still, None where Chromium does not show it."""
        try:
            flat = self._page.evaluate("(name) => shown(name)", self._placed(data))
        except Exception:
            return None
        return list(zip(*(flat[part::4] for part in range(4)), strict=True))


def mime_type(data: bytes) -> str:
    """Return the media type by the first bytes."""
    for magic, name in ((b"\xff\xd8", "jpeg"), (b"\x89PNG", "png"), (b"GIF8", "gif"), (b"RIFF", "webp")):
        if data.startswith(magic):
            return f"image/{name}"
    return "image/avif"


@contextmanager
def opened(folder: Path | None = None) -> Iterator[Oracle]:
    """Start Chromium with one page."""
    with chromium() as browser:
        yield Oracle(browser.new_page())
