"""``AsyncImageService``: the same verbs, awaited, on threads of its own."""

import asyncio
import contextvars
import inspect
import io
import multiprocessing
import os
import threading

import pytest

from userimages import (
    AsyncImageService,
    ConfigurationError,
    FileTooLargeError,
    ImageNotFoundError,
    ImageService,
    InvalidFieldError,
)
from userimages.storages.memory import MemoryStorage
from userimages.testing import make_image

JPEG = make_image("JPEG", (160, 80))
# What is no verb of a request: operators call these, by `run` where they have a loop.
OF_OPERATORS = {"in_memory", "max_bytes", "image_types", "sweep", "audit", "check", "rebuild_all"}
WITHOUT_IO = {"seconds_left", "allowed_put", "with_urls"}
OF_ROUTES = {"put_staged"}  # and no verb of an application


def verbs(kind):
    return {name for name in dir(kind) if not name.startswith("_")}


def test_every_verb_of_a_request_can_be_awaited():
    """No verb is missing, and none is there that the service does not have."""
    own = {"run", "reset"}

    assert verbs(AsyncImageService) - own == verbs(ImageService) - OF_OPERATORS - WITHOUT_IO - OF_ROUTES


@pytest.mark.parametrize("name", sorted(verbs(ImageService) - OF_OPERATORS - WITHOUT_IO - OF_ROUTES))
def test_an_awaited_verb_has_the_same_signature(name):
    """Arguments, defaults and kinds are the service's own; only files and streams are also awaited ones."""
    verb, awaited = getattr(ImageService, name), getattr(AsyncImageService, name)
    ours, theirs = inspect.signature(awaited), inspect.signature(verb)

    def without_types(signature):
        return [(each.name, each.kind, each.default) for each in signature.parameters.values()]

    def types(signature, leave_out):
        return {each.name: each.annotation for each in signature.parameters.values() if each.name != leave_out}

    assert inspect.iscoroutinefunction(awaited)
    assert without_types(ours) == without_types(theirs)
    assert types(ours, "file") == types(theirs, "file")
    assert ours.return_annotation == theirs.return_annotation or name == "open"


class Awaited:
    """A file as asyncio has them."""

    def __init__(self, data):
        self._file = io.BytesIO(data)
        self.asked = 0

    async def read(self, n=-1):
        self.asked += n
        await asyncio.sleep(0)
        return self._file.read(n)


@pytest.mark.parametrize("file", [bytes, io.BytesIO, Awaited], ids=["bytes", "file", "awaited"])
def test_any_kind_of_file_is_uploaded(file):
    """Bytes, files and files that are awaited are the same picture."""

    async def main():
        images = AsyncImageService(ImageService.in_memory())
        image = await images.upload("ana", file(JPEG), image_type="gallery")
        return (image.width, len(await images.list("ana")), (await images.get(image.id)).sha256 == image.sha256)

    assert asyncio.run(main()) == (160, 1, True)


def test_an_awaited_file_is_read_to_the_limit():
    """No more than one byte past the limit is read of a file that never ends."""
    images = ImageService.in_memory()
    file = Awaited(bytes(images.max_bytes + 5_000_000))

    with pytest.raises(FileTooLargeError):
        asyncio.run(AsyncImageService(images).upload("ana", file, image_type="gallery"))
    assert file.asked == images.max_bytes + 1


def test_an_awaited_text_file_is_refused():
    """A file that was opened as text is named as such."""

    class Text:
        async def read(self, n):
            return "text"

    with pytest.raises(InvalidFieldError, match="bytes"):
        asyncio.run(AsyncImageService(ImageService.in_memory()).upload("ana", Text(), image_type="gallery"))


def test_a_stream_is_read_by_awaiting():
    """Parts, the rest, chunks and ranges are what the service's own stream gives, and it is closed at the end."""

    async def main():
        images = AsyncImageService(ImageService.in_memory())
        image = await images.upload("ana", JPEG, image_type="gallery")
        with images.images.open(image.id) as stream:
            whole = stream.read()
        async with await images.open(image.id) as stream:
            assert await stream.read(2) + await stream.read() == whole
            assert await stream.read(1) == b""
        async with await images.open(image, start=3, length=4) as stream:
            assert [chunk async for chunk in stream] == [whole[3:7]]
        with pytest.raises(ValueError, match="closed"):
            await stream.read()

    asyncio.run(main())


def test_errors_are_the_services_own():
    """What a verb raises comes through as it is."""

    async def main():
        images = AsyncImageService(ImageService.in_memory())
        with pytest.raises(ImageNotFoundError):
            await images.delete("019e0000-0000-7000-8000-000000000000")

    asyncio.run(main())


def test_threads_are_its_own_and_bounded():
    """So many calls run at once as there are threads, whatever the machine; the others wait for their turn."""
    at_once, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(12)

    def work():
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        together.wait(20)
        with lock:
            at_once -= 1

    async def main():
        images = AsyncImageService(ImageService.in_memory(), threads=12)
        await asyncio.gather(*(images.run(work) for _ in range(24)))

    asyncio.run(main())
    assert most == 12


def test_context_variables_go_along():
    """A request id or a trace that is kept in a context variable is seen in the thread."""
    trace = contextvars.ContextVar("trace", default="")

    async def main():
        trace.set("abc")
        return await AsyncImageService(ImageService.in_memory()).run(trace.get)

    assert asyncio.run(main()) == "abc"


def test_a_cancelled_upload_ends_its_work():
    """Who is cancelled hears of it at once, and the upload that has begun is there afterwards."""
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def slow(data, image_type):
        begun.set()
        go_on.wait(20)
        return plain(data, image_type)

    plain = ImageService.in_memory().processor
    images = ImageService.in_memory()
    images.processor = slow

    async def main():
        service = AsyncImageService(images)
        task = asyncio.create_task(service.upload("ana", JPEG, image_type="gallery"))
        await service.run(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(images.list("ana")) == 0
        go_on.set()
        while not images.list("ana"):
            await asyncio.sleep(0)
        ended.set()

    asyncio.run(asyncio.wait_for(main(), 20))
    assert ended.is_set()


def test_a_cancelled_open_leaves_no_stream_open():
    """A stream that nobody waits for any more is closed, whenever the storage gives it."""
    begun, go_on, opened = threading.Event(), threading.Event(), []

    class Slow(MemoryStorage):
        def open(self, key, *, start=0, length=None):
            begun.set()
            go_on.wait(20)
            opened.append(super().open(key, start=start, length=length))
            return opened[0]

    images = ImageService.in_memory()
    image = images.upload("ana", JPEG, image_type="gallery")
    slow = Slow()
    slow.__dict__ |= images.storage.__dict__
    images.storage = slow

    async def main():
        service = AsyncImageService(images)
        task = asyncio.create_task(service.open(image))
        await service.run(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        while not (opened and opened[0].closed):
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(main(), 20))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_service_works_after_a_fork():
    """A server that loads the application and then forks gives each child threads of its own."""
    images = AsyncImageService(ImageService.in_memory())
    asyncio.run(images.upload("ana", JPEG, image_type="gallery"))

    def child():
        os._exit(70 + len(asyncio.run(asyncio.wait_for(images.list("ana"), 20))))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(30)
    assert process.exitcode == 71


@pytest.mark.parametrize("arguments", [(ImageService,), ("images",), (None,)])
def test_what_is_no_service_is_refused(arguments):
    """A class or a string in place of the service is found at once."""
    with pytest.raises(ConfigurationError, match="AsyncImageService"):
        AsyncImageService(*arguments)


@pytest.mark.parametrize("threads", [0, -1, True, 1.5, "40"])
def test_a_number_of_threads_is_a_number(threads):
    """Anything else is found at once."""
    with pytest.raises(ConfigurationError, match="threads"):
        AsyncImageService(ImageService.in_memory(), threads=threads)
