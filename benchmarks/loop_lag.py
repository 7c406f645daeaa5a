"""How late the event loop is while six photographs of 12 megapixels are stored: python benchmarks/loop_lag.py"""

import asyncio
import statistics
import time

from userimages import AsyncImageService, ImageService
from userimages.testing import make_image

UPLOADS = 6
TICK = 0.001


async def lags(work):
    """Return how many milliseconds late each tick of the loop was while *work* ran."""
    late, task = [], asyncio.create_task(work)
    while not task.done():
        began = time.perf_counter()
        await asyncio.sleep(TICK)
        late.append((time.perf_counter() - began - TICK) * 1000)
    await task
    return late


async def main():
    photo = make_image("JPEG", (4000, 3000))
    images = AsyncImageService(ImageService.in_memory())

    async def blocking():
        await asyncio.sleep(0.01)
        for _ in range(UPLOADS):
            images.images.upload("ana", photo, image_type="gallery")

    async def awaited():
        await asyncio.gather(*(images.upload("ana", photo, image_type="gallery") for _ in range(UPLOADS)))

    await awaited()  # imports and threads
    for name, work in (
        ("idle", asyncio.sleep(1)),
        ("AsyncImageService", awaited()),
        ("called in the loop", blocking()),
    ):
        began = time.perf_counter()
        late = sorted(await lags(work))
        took, most = time.perf_counter() - began, late[-1]
        print(f"{name:<18} {took:5.2f} s; the loop was late by {statistics.median(late):.1f} ms (median), ", end="")
        print(
            f"{statistics.fmean(late):.1f} ms (mean), {late[len(late) * 99 // 100]:.1f} ms (99 %), {most:.1f} ms (most)"
        )


if __name__ == "__main__":
    asyncio.run(main())
