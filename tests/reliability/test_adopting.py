"""Pictures that an application has already: each comes once, with its date, whatever happens on the way."""

import csv
import errno
import io
import json
import tracemalloc
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import killing
import pytest
import rig

from userimages import ConfigurationError, ImageService, RepositoryError, StorageError, StorageUnavailableError
from userimages.adopting import AdoptReport, Original, Refusal, adopt, read_csv
from userimages.cli import main
from userimages.config import service_from_env
from userimages.repositories.memory import MemoryRepository
from userimages.storages.memory import MemoryStorage
from userimages.testing import make_image
from userimages.testing.faults import after, before, faulty

BEGAN = datetime(2019, 5, 4, tzinfo=UTC)


@pytest.fixture
def images() -> ImageService:
    return ImageService(MemoryStorage(), MemoryRepository(), processor=rig.instant_processor)


def original(name: str = "1", data: bytes = b"picture", **facts: Any) -> Original:
    facts = {"user": "ana", "image_type": "gallery", "open": lambda: io.BytesIO(data)} | facts
    return Original(name=name, **facts)


def refusals(images: ImageService, originals: Iterable[Original]) -> tuple[AdoptReport, list[tuple[str, str]]]:
    told: list[Refusal] = []
    report = adopt(images, originals, refused=told.append)
    return report, [(each.original.name, each.code) for each in told]


def write_csv(path: Path, rows: Iterable[Iterable[str]], columns: str = "user,path,image_type") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns.split(","), *rows])
    return path


def test_dates_order_and_facts_are_kept(images: ImageService) -> None:
    """Dates, order, captions, meta and the primary image are those of the old place."""
    days = [3, 1, 2]
    adopt(
        images,
        (
            original(
                str(day), uploaded_at=BEGAN + timedelta(day), caption=f"day {day}", is_primary=day == 1, meta={"d": day}
            )
            for day in days
        ),
    )

    listed = images.list("ana")
    assert [each.caption for each in listed] == ["day 3", "day 2", "day 1"]
    assert [each.uploaded_at for each in listed] == [BEGAN + timedelta(day) for day in (3, 2, 1)]
    assert [each.meta["d"] for each in listed if each.is_primary] == [1]
    assert [each.caption for each in images.recent()] == ["day 3", "day 2", "day 1"]


def test_the_last_primary_of_a_user_counts(images: ImageService) -> None:
    """Originals of one user are done one after the other, so the last that is primary stays it."""
    adopt(images, (original(str(n), user=f"user-{n % 7}", caption=str(n), is_primary=True) for n in range(140)))
    primaries = images.primaries([f"user-{n}" for n in range(7)])
    assert {user: each.caption for user, each in primaries.items()} == {f"user-{n}": str(133 + n) for n in range(7)}


def test_a_second_run_makes_no_doubles(images: ImageService) -> None:
    """A second run makes no picture again, and a longer one adopts what is new."""
    calls = []
    images.processor = lambda data, image_type: calls.append(1) or rig.instant_processor(data, image_type)
    first = [original(str(n)) for n in range(20)]
    assert adopt(images, first) == AdoptReport(adopted=20)
    assert adopt(images, first) == AdoptReport(present=20)
    assert len(calls) == 20
    assert adopt(images, [*first, original("20")]) == AdoptReport(adopted=1, present=20)
    assert len(images.list("ana", limit=200)) == 21
    assert not images.repository.list_intents()


def missing() -> io.BytesIO:
    raise FileNotFoundError


def numbered(number: int | None) -> Callable[[], io.BytesIO]:
    def fail() -> io.BytesIO:
        raise OSError(number, "from the system") if number else OSError("not existing")

    return fail


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "no file": ("unreadable_file", {"open": missing}),
    "a bad sector": ("unreadable_file", {"open": numbered(errno.EIO)}),
    "no right to it": ("unreadable_file", {"open": numbered(errno.EACCES)}),
    "a folder": ("unreadable_file", {"open": numbered(errno.EISDIR)}),
    "filedepot's way": ("unreadable_file", {"open": numbered(None)}),
    "a bad name": ("unreadable_file", {"open": partial(Path.open, Path("\0"), "rb")}),
    "an object that is gone": ("unreadable_file", {"open": lambda: MemoryStorage().open("users/a")}),
    "no picture": ("unsupported_format", {"data": b"text"}),
    "nothing": ("empty_image", {"data": b""}),
    "a broken one": ("broken_image", {"data": make_image("PNG", (64, 64))[:200]}),
    "too large": ("file_too_large", {"data": b"\xff" * (10 * 2**20 + 1)}),
    "no user": ("invalid_field", {"user": ""}),
    "a user of bytes": ("invalid_field", {"user": b"ana"}),
    "an unknown type": ("invalid_field", {"image_type": "banner"}),
    "a long caption": ("invalid_field", {"caption": "x" * 1001}),
    "a date without a zone": ("invalid_field", {"uploaded_at": datetime(2019, 5, 4)}),
    "a date to come": ("invalid_field", {"uploaded_at": datetime.now(UTC) + timedelta(days=2)}),
}


def test_what_is_refused_is_told_and_passed_over() -> None:
    """Each kind of refusal is told with its code, in order, and the originals between them are adopted."""
    images = ImageService.in_memory()
    good = make_image("PNG", (8, 8))
    mixed = []
    for name, (_, facts) in REFUSED.items():
        mixed += [original(name, **facts), original(f"after {name}", good)]

    report, told = refusals(images, mixed)

    assert told == [(name, code) for name, (code, _) in REFUSED.items()]
    assert report == AdoptReport(adopted=len(REFUSED), refused=len(REFUSED))


def test_a_changed_file_is_a_conflict(images: ImageService) -> None:
    """A file that was changed since the run before is refused, and what was adopted stays."""
    adopt(images, [original("1", b"before")])
    assert refusals(images, [original("1", b"now"), original("2")]) == (
        AdoptReport(adopted=1, refused=1),
        [("1", "conflict")],
    )
    assert images.open(images.list("ana")[1].id).read() == b"before"


@pytest.mark.parametrize(
    "outage",
    [
        {"storage": {"put": before(StorageUnavailableError("Away."))}},
        {"storage": {"put": before(StorageError("The disk is full."))}},
        {"repository": {"begin_upload": before(RepositoryError("Away."))}},
        {"repository": {"publish": after(RepositoryError("The answer was lost."))}},
    ],
)
def test_an_outage_stops(images: ImageService, outage: dict[str, dict[str, Any]]) -> None:
    """An outage ends the run before everything was tried, and the run after it brings the rest, once."""
    parts = {name: faulty(getattr(images, name), **plan) for name, plan in outage.items()}
    broken = ImageService(
        parts.get("storage", images.storage), parts.get("repository", images.repository), processor=images.processor
    )
    read = []

    def old() -> Iterable[Original]:
        for n in range(1000):
            read.append(n)
            yield original(str(n), user=f"user-{n % 50}")

    with pytest.raises((StorageError, RepositoryError)):
        adopt(broken, old())
    assert len(read) < 200
    adopt(images, old())
    assert sum(len(images.list(f"user-{n}")) for n in range(50)) == 1000


@pytest.mark.parametrize(
    "failure", [ConnectionResetError(), TimeoutError(), OSError(errno.ESTALE, "x"), io.UnsupportedOperation()]
)
def test_an_old_place_that_is_away_stops(images: ImageService, failure: OSError) -> None:
    """An old place that is away says nothing about a file, so no file is refused for it."""

    def fail() -> io.BytesIO:
        raise failure

    told: list[Refusal] = []
    with pytest.raises(StorageUnavailableError, match="old files"):
        adopt(images, [original(open=fail)], refused=told.append)
    assert told == []


def test_memory_does_not_grow(images: ImageService) -> None:
    """Of 300 originals of a megabyte, only those in hand are in memory, and the source is read as there is room."""
    images.processor = lambda data, image_type: rig.instant_processor(data[:8], image_type)
    ahead = done = most = 0

    def old() -> Iterable[Original]:
        nonlocal ahead, most
        for n in range(300):
            ahead += 1
            most = max(most, ahead - done)
            yield original(str(n), user=f"user-{n}", open=lambda n=n: io.BytesIO(n.to_bytes(2) * 2**19))

    def progress(report: AdoptReport) -> None:
        nonlocal done
        done = report.adopted

    tracemalloc.start()
    try:
        adopt(images, old(), progress=progress)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most <= 65
    assert peak < 60 * 2**20


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_kill_at_any_step_and_a_restart(place: rig.Place) -> None:
    """SIGKILL at steps of a run: those after it make no doubles and lose nothing, also not of the row in hand."""
    users = [rig.new_user() for _ in range(4)]
    sizes = [*range(1, 13)]
    originals = [original(f"{n}", b"x" * n, user=users[n % 4], uploaded_at=BEGAN) for n in sizes]

    def work(images: ImageService, ack: Callable[[str], None]) -> None:
        ack(str(adopt(images, originals)))

    killed = 0
    steps = range(3, 700, 23) if rig.TORTURE else (7, 61, 140, 233)
    for step in steps:
        clock = rig.Clock()
        killed += killing.run_and_kill(place, clock, work, step=step).killed
        images = place.service(clock)
        _, told = refusals(images, originals)
        assert {code for _, code in told} <= {"conflict"}  # the rows that the dead had in hand
        clock.move(minutes=11)
        last = adopt(images, originals)
        assert (last.refused, last.adopted, last.present) == (0, len(told), 12 - len(told))
        rig.sweep_twice(images, clock)
        assert [len(images.list(user)) for user in users] == [3, 3, 3, 3]
        assert sorted(each.size_bytes for user in users for each in rig.check_whole(images, user).values()) == sizes
        audit = images.audit()
        assert (audit.missing, audit.orphans) == ((), ())
        for user in users:
            assert images.delete_user(user).left == ()
    assert killed >= len(steps) // 3
    rig.count("adoptions killed and repeated", killed)


def test_two_runs_at_once_make_no_doubles(tmp_path: Path) -> None:
    """Two runs of the same originals make each once; a row that the other has in hand to the end is a conflict."""
    images = service_from_env({"USERIMAGES_DATA_DIR": str(tmp_path)}, processor=rig.instant_processor)
    originals = [original(str(n), user=f"user-{n % 3}") for n in range(30)]
    for report, told in rig.at_once([lambda: refusals(images, originals)] * 2):
        assert report.adopted + report.present + report.refused == 30
        assert {code for _, code in told} <= {"conflict"}
    assert adopt(images, originals) == AdoptReport(present=30)
    assert sum(len(images.list(f"user-{n}")) for n in range(3)) == 30
    assert not images.repository.list_intents()


# The console.


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder of a service on disk that the console finds, with three old pictures in ``old``."""
    monkeypatch.setenv("USERIMAGES_DATA_DIR", str(tmp_path / "data"))
    service_from_env()
    (tmp_path / "old" / "photos").mkdir(parents=True)
    for seed, name in enumerate(("a.png", "b.jpg", "ü, c.png")):
        format = "JPEG" if name.endswith("jpg") else "PNG"
        (tmp_path / "old" / "photos" / name).write_bytes(make_image(format, (40, 30), seed=seed))
    return tmp_path


ALL = "user,path,image_type,caption,is_primary,uploaded_at"
ROWS = [
    ("ana", "photos/a.png", "profile", "", "true", "2019-05-04T10:00:00+02:00"),
    ("ana", "photos/b.jpg", "gallery", 'A "cat",\nand a dog', "f", "2020-01-01 00:00:00+00"),
    ("zoë", "photos/ü, c.png", "cover", "", "", ""),
]


def test_the_console_adopts_and_repeats(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Paths are relative to the file, whatever the folder of the process; a second run finds everything there."""
    file = write_csv(folder / "old" / "rows.csv", ROWS, ALL)
    monkeypatch.chdir("/")
    assert main(["adopt", str(file)]) == 0
    assert capsys.readouterr().out == "3 adopted, 0 had been before, 0 refused.\n"
    assert main(["adopt", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"adopted": 0, "present": 3, "refused": 0}

    images = service_from_env()
    gallery, profile = images.list("ana")
    assert (profile.is_primary, gallery.is_primary, gallery.caption) == (True, False, 'A "cat",\nand a dog')
    assert profile.uploaded_at == datetime(2019, 5, 4, 8, tzinfo=UTC)
    assert images.list("zoë")[0].image_type == "cover"


def test_refused_rows_can_be_mended_and_adopted(folder: Path, capsys) -> None:
    """The file of the refusals has each row with its code, and can be adopted once it is mended."""
    rows = [
        *ROWS,
        ("ben", "photos/none.png", "gallery", "", "", ""),
        ("ben", "rows.csv", "gallery", "", "", ""),
        ("ben", "photos/a.png", "gallery", "", "maybe", ""),
        ("ben", "photos/a.png", "gallery", "", "", "4.5.2019"),
        ("ben", "photos/a.png", "gallery", "", "", "2019-05-04"),
        ("ben", "photos/a.png"),
        ("ben", "photos/a.png", "gallery", "", "", "", "more"),
    ]
    file, refused = write_csv(folder / "old" / "rows.csv", rows, ALL), folder / "old" / "refused.csv"
    assert main(["adopt", str(file), "--refused", str(refused)]) == 1
    assert f"3 adopted, 0 had been before, 7 refused.\n{refused} says why." in capsys.readouterr().out
    with refused.open(encoding="utf-8", newline="") as lines:
        told = list(csv.DictReader(lines))
    assert [each["code"] for each in told] == ["unreadable_file", "unsupported_format", *["invalid_field"] * 5]
    assert (told[3]["user"], told[3]["path"], told[3]["uploaded_at"]) == ("ben", "photos/a.png", "4.5.2019")
    assert "uploaded_at" in told[3]["message"]

    mended = folder / "old" / "mended.csv"
    mended.write_text(refused.read_text(encoding="utf-8").replace("4.5.2019", "2019-05-04T00:00Z"), encoding="utf-8")
    assert main(["adopt", str(mended), "--refused", str(refused)]) == 1
    assert "1 adopted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "lacks columns: 'user', 'path', 'image_type'"),
        (b"user;path;image_type\n", "lacks columns"),
        (b"user,path,image_type,captions\n", "unknown columns: 'captions'"),
        (b"user,path,image_type,user\n", "repeats columns: 'user'"),
        ("user,path,image_type\nzoë,a,b\n".encode("latin-1"), "UTF-8"),
        (b'user,path,image_type\nana,"a,gallery\n', "CSV"),
    ],
)
def test_a_file_that_is_no_such_csv_is_one_line(folder: Path, content: bytes, words: str, capsys) -> None:
    """A file that is not such a CSV file ends with one line that says what is wrong, and the status 2."""
    file = folder / "rows.csv"
    file.write_bytes(content)
    assert main(["adopt", str(file)]) == 2
    shown = capsys.readouterr().err
    assert words in shown
    assert "Repeat it" not in shown


def test_a_byte_order_mark_is_no_part_of_a_name(folder: Path) -> None:
    """A file as spreadsheets write it begins with a byte order mark."""
    file = folder / "old" / "rows.csv"
    file.write_bytes(b"\xef\xbb\xbfuser,path,image_type\r\nana,photos/a.png,gallery\r\n")
    assert main(["adopt", str(file)]) == 0


def test_files_that_cannot_be_used_are_named(folder: Path, capsys) -> None:
    """A file that is missing, or a --refused that cannot be written or is the file itself, is one line."""
    file = write_csv(folder / "rows.csv", [])
    link = folder / "link.csv"
    link.symlink_to(file)
    for arguments in (["none.csv"], [str(file), "--refused", str(folder)], [str(file), "--refused", str(link)]):
        assert main(["adopt", *arguments]) == 2
        assert capsys.readouterr().err.startswith("userimages: ")
    assert file.read_text() == "user,path,image_type\n"


def test_an_outage_says_that_it_may_be_repeated(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """An outage ends with the status 2, and what was refused by then is written."""
    images = service_from_env()
    broken = ImageService(faulty(images.storage, put=before(StorageUnavailableError("Away."))), images.repository)
    monkeypatch.setattr("userimages.config.service_from_env", lambda **_: broken)
    rows = [("ben", "none.png", "gallery", "", "", ""), *ROWS]
    file, refused = write_csv(folder / "old" / "rows.csv", rows, ALL), folder / "refused.csv"
    assert main(["adopt", str(file), "--refused", str(refused)]) == 2
    assert "Repeat it: what was adopted is not adopted again." in capsys.readouterr().err
    assert "ben,none.png" in refused.read_text()


def test_the_reader_is_lazy(tmp_path: Path) -> None:
    """A file of a million rows is read row by row, and a column that is misspelt is told before the first."""
    file = write_csv(tmp_path / "rows.csv", [("ana", f"{n}.png", "gallery") for n in range(10)])
    first = next(iter(read_csv(file)))
    assert (first.name, first.user, first.uploaded_at) == ("0.png", "ana", None)
    with pytest.raises(ConfigurationError):
        next(read_csv(write_csv(tmp_path / "bad.csv", [], "user,path,type")))
