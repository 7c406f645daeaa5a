"""The engine: many threads, forks, a budget of pixels, and no state between two pictures."""

import contextlib
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest
from PIL import Image

from userimages import BrokenImageError, BusyError, ImageType, LimitExceededError
from userimages.processing import Fit, Limits, PillowProcessor, Recipe
from userimages.processing.budget import Budget, _cores
from userimages.processing.engine import decoded_pixels, process
from userimages.processing.intake import examine
from userimages.testing import make_image

MEMORY = 40_000_000


def test_threads_get_what_each_asked_for(processor):
    """Threads get what each asked for."""
    files = [
        make_image("JPEG", (900, 600), quality=95, orientation=6),
        make_image("PNG", (700, 500), mode="RGBA"),
        make_image("GIF", (120, 90), frames=3),
        make_image("JPEG", (640, 480), quality=40),
    ]
    alone = [processor(data, ImageType.PROFILE) for data in files]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda data: processor(data, ImageType.PROFILE), files * 4))
    assert together == alone * 4


def _in_a_child(processor, data, queue):
    queue.put(processor(data, ImageType.GALLERY).main.width)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_may_fork_while_a_thread_works():
    """A process may fork after use, and while another thread is at work."""
    processor = PillowProcessor(limits=Limits(memory_in_flight=MEMORY, wait_seconds=0))
    data = make_image("JPEG", (640, 480))
    processor(data, ImageType.GALLERY)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    with processor._budget.hold(MEMORY), processor._budget._changed:
        child = context.Process(target=_in_a_child, args=(processor, data, queue))
        child.start()
        child.join(60)
        child.kill()
    assert child.exitcode == 0
    assert queue.get() == 640


def test_a_full_budget_is_busy_after_the_wait():
    """A full budget is busy after the wait and free afterwards."""
    processor = PillowProcessor(limits=Limits(memory_in_flight=MEMORY, wait_seconds=0))
    data = make_image("JPEG", (64, 48))
    with processor._budget.hold(MEMORY - 1), pytest.raises(BusyError, match="40,000,000") as refused:
        processor(data, ImageType.GALLERY)
    assert refused.value.retry_after == 10
    assert refused.value.hint
    assert processor(data, ImageType.GALLERY).main.width == 64


def test_the_default_wait_and_budget():
    """The wait is ten seconds and the budget 400 MB."""
    assert Limits().wait_seconds == 10
    assert Limits().memory_in_flight == 400_000_000


def test_who_waits_goes_on_as_soon_as_there_is_room():
    """Who waits goes on as soon as there is room."""
    budget, order = Budget(100, 30), []
    entered, release = threading.Event(), threading.Event()

    def holder():
        with budget.hold(80):
            entered.set()
            release.wait(30)
            order.append("out")

    def waiter():
        with budget.hold(30):
            order.append("in")

    threads = [threading.Thread(target=holder), threading.Thread(target=waiter)]
    threads[0].start()
    entered.wait(30)
    threads[1].start()
    release.set()
    for thread in threads:
        thread.join(30)
    assert order == ["out", "in"]


def test_a_refused_picture_gives_its_budget_back():
    """A refused picture gives its part of the budget back."""
    processor = PillowProcessor(limits=Limits(memory_in_flight=MEMORY, wait_seconds=0))
    broken = make_image("JPEG", (400, 300))[:5000]
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"):
            processor(broken, ImageType.GALLERY)
    assert processor(make_image("JPEG", (64, 48)), ImageType.GALLERY).main.width == 64


@pytest.mark.parametrize("name", ["max_memory", "memory_in_flight"])
def test_a_picture_that_needs_too_much_is_refused(name, monkeypatch):
    """One that needs more than all together may have is never let in, so it is told at once instead of waiting."""
    monkeypatch.setattr("userimages.processing.process", lambda *_: pytest.fail("it was decoded"))
    processor = PillowProcessor(limits=Limits(**{name: 100_000}))
    with pytest.raises(LimitExceededError, match=f"needs .* bytes of memory.*{name}") as refused:
        processor(make_image("PNG", (64, 48)), ImageType.GALLERY)
    assert refused.value.code == "too_much_memory"
    assert refused.value.limit == 100_000


def test_first_come_first_served():
    """A large one waits its turn and gets it: what comes later waits behind it, though it would fit beside."""
    budget, order = Budget(100, 30), []
    started = [threading.Event() for _ in range(3)]

    def work(number, size):
        started[number].set()
        with budget.hold(size):
            order.append(number)

    with budget.hold(50):
        threads = [threading.Thread(target=work, args=(number, size)) for number, size in ((0, 100), (1, 10), (2, 10))]
        for count, (thread, event) in enumerate(zip(threads, started, strict=True), 1):
            thread.start()
            assert event.wait(30)
            while len(budget._queue) < count and not order:
                pass
        assert order == []
    for thread in threads:
        thread.join(30)
    assert order[0] == 0


def test_no_more_pictures_at_once_than_cores():
    """More would only take turns and hold memory. A place is free again when a picture is done."""
    budget = Budget(10_000, 0)
    for _ in range(2):
        with contextlib.ExitStack() as held:
            for _ in range(max(2, _cores())):
                held.enter_context(budget.hold(1))
            with pytest.raises(BusyError):
                held.enter_context(budget.hold(1))


def test_who_gave_up_waiting_holds_nobody_up():
    """The head of the queue that was refused leaves it, and the next goes in."""
    budget = Budget(100, 0)
    with budget.hold(60):
        with pytest.raises(BusyError), budget.hold(50):
            pass
        with budget.hold(40):
            pass


@pytest.mark.parametrize(
    ("data", "pixels"),
    [
        (make_image("JPEG", (4000, 3000), quality=50), 2000 * 1500),
        (make_image("JPEG", (640, 480)), 640 * 480),
        (make_image("PNG", (640, 480)), 640 * 480),
        (make_image("GIF", (64, 48), frames=3), 64 * 48),
    ],
)
def test_what_is_decoded_is_known_before(data, pixels):
    """What a decode costs is known before it begins."""
    assert decoded_pixels(examine(data, Limits()), Recipe()) == pixels


@pytest.mark.cost
def test_a_large_jpeg_is_decoded_at_the_needed_size(monkeypatch):
    """A large JPEG is decoded at the size that is needed."""
    data, loaded, load = make_image("JPEG", (4000, 3000), quality=50), [], Image.Image.load
    monkeypatch.setattr(Image.Image, "load", lambda self: (loaded.append(self.size), load(self))[1])
    PillowProcessor()(data, ImageType.GALLERY)
    assert max(loaded) == (2000, 1500)


@pytest.mark.cost
def test_each_variant_is_made_from_the_next_larger_one(monkeypatch, without_fast):
    """Each variant is made from the next larger one."""
    sources = []
    resize = Image.Image.resize

    def seen(self, size, *args, **options):
        sources.append((self.size, tuple(size)))
        return resize(self, size, *args, **options)

    monkeypatch.setattr(Image.Image, "resize", seen)
    recipe = Recipe(Fit(600), variants={"50": Fit(50), "200": Fit(200), "100": Fit(100)})
    PillowProcessor(recipes={"cover": recipe})(make_image("PNG", (800, 400)), ImageType.COVER)
    made = [(600, 300), (200, 100), (100, 50), (50, 25)]
    assert [pair for pair in sources if pair[1] in made] == list(zip([(800, 400), *made], made, strict=False))


@pytest.mark.parametrize("claim", [{"width": 65}, {"height": 47}, {"frames": 2}])
def test_a_decoder_of_another_picture_is_refused(claim):
    """A decoder that sees another picture than the intake is not trusted."""
    header = examine(make_image("WEBP", (64, 48), frames=3), Limits())
    assert process(header, Recipe(), Limits()).main.width == 64
    with pytest.raises(BrokenImageError):
        process(attrs.evolve(header, **claim), Recipe(), Limits())


@pytest.mark.cost
def test_variants_that_come_out_alike_are_encoded_once(monkeypatch):
    """Variants that come out alike are encoded once."""
    saved, save = [], Image.Image.save
    monkeypatch.setattr(
        Image.Image, "save", lambda self, *args, **options: (saved.append(self.size), save(self, *args, **options))[1]
    )
    data = make_image("PNG", (50, 40))
    saved.clear()
    processed = PillowProcessor()(data, ImageType.PROFILE)
    assert saved == [(40, 40), (50, 40)]
    assert {each.width for each in processed.variants.values()} == {40}


def test_the_same_file_gives_the_same_bytes(processor):
    """The same file gives the same bytes."""
    data = make_image("JPEG", (500, 400), orientation=8)
    assert processor(data, ImageType.COVER) == processor(data, ImageType.COVER)


def test_what_is_given_may_be_any_bytes(processor):
    """What is given may be any bytes."""
    data = make_image("JPEG", (64, 48))
    for kind in (bytes, bytearray, memoryview):
        assert processor(kind(data), "gallery").main.width == 64


def test_limits_can_be_printed_compared_and_pickled():
    """The limits can be printed, compared and pickled."""
    limits = Limits(max_bytes=5)
    assert pickle.loads(pickle.dumps(limits)) == limits
    assert "max_bytes=5" in repr(limits)


def test_memory_that_runs_out_is_a_userimages_error(monkeypatch):
    """Memory that runs out under a giant picture is an error of this library."""

    def exhausted(*_):
        raise MemoryError

    monkeypatch.setattr(Image.core, "new", exhausted)
    with pytest.raises(LimitExceededError):
        PillowProcessor()(make_image("JPEG", (64, 48)), ImageType.GALLERY)


def test_it_works_with_every_warning_an_error():
    """It works with every warning an error."""
    script = (
        "import sys; from userimages.processing import PillowProcessor; from userimages.testing import make_image\n"
        "for format, options in (('JPEG', {'orientation': 6, 'gps': True}), ('GIF', {'frames': 2}), ('WEBP', {}),"
        " ('PNG', {'mode': 'P'})):\n"
        "    print(PillowProcessor()(make_image(format, (64, 48), **options), 'gallery').main.width)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["48", "64", "64", "64"], done.stderr


def test_importing_the_package_imports_no_pillow():
    """Importing the package imports neither Pillow nor its color management."""
    script = (
        "import sys, userimages; print('PIL' in sys.modules)\n"
        "import userimages.processing; print('PIL.ImageCms' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system has no files in memory")
def test_a_jpeg_is_the_same_without_a_file_in_memory(processor, monkeypatch):
    """A JPEG is the same with and without a file in memory."""
    data = make_image("JPEG", (500, 400))
    before, descriptors = processor(data, ImageType.COVER), len(os.listdir("/proc/self/fd"))
    monkeypatch.delattr(os, "memfd_create")
    assert processor(data, ImageType.COVER) == before
    assert len(os.listdir("/proc/self/fd")) == descriptors
