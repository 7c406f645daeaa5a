"""Take the pictures of the README from a running demo: ``python tests/gallery/screenshots.py URL docs/images``."""

import io
import os
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
LIMIT = 300_000  # bytes


def page_itself(page: Page) -> None:
    pass


def panel(page: Page) -> None:
    page.locator(".card", has_text="Fog between the pines").locator(".view").click()
    page.locator("#panel img").evaluate("each => each.decode()")


def refusals(page: Page) -> None:
    page.click("summary:has-text('See what is refused')")
    for name in ("text", "empty", "bomb", "large"):
        page.click(f"[data-bad={name}]")
    page.locator(".item.bad code").nth(3).wait_for()


SHOTS = {
    "gallery-light": ("light", 1280, 960, page_itself),
    "gallery-dark": ("dark", 1280, 900, panel),
    "gallery-refusals": ("light", 1280, 900, refusals),
    "gallery-phone": ("light", 390, 844, page_itself),
}


def main(url: str, folder: Path) -> None:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or sys.exit("no Chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        for name, (scheme, width, height, prepare) in SHOTS.items():
            size = {"width": width, "height": height}
            context = browser.new_context(
                viewport=size, color_scheme=scheme, device_scale_factor=1.5, reduced_motion="reduce"
            )
            page = context.new_page()
            page.goto(url)
            page.locator(".view img.here").nth(2 if width < 500 else 5).wait_for()
            prepare(page)
            save(page.screenshot(), folder / f"{name}.jpg")
            context.close()
        browser.close()


def save(png: bytes, file: Path) -> None:
    """Save as JPEG, in the best quality that stays within the limit."""
    with Image.open(io.BytesIO(png)) as image:
        for quality in (90, 85, 80, 75, 70, 60):
            image.convert("RGB").save(file, "JPEG", quality=quality, optimize=True, progressive=True)
            if file.stat().st_size <= LIMIT:
                break
    sys.stdout.write(f"{file}: {file.stat().st_size} bytes at quality {quality}\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
