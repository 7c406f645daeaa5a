"""The console: what it prints, and its exit status."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest
from tests.reliability import rig

from userimages import ImageService, RepositoryError, StorageError
from userimages.cli import main
from userimages.cli.console import Progress
from userimages.config import service_from_env
from userimages.keys import new_stem, owner_of
from userimages.model import StoredObject
from userimages.repositories.memory import MemoryRepository
from userimages.storages.disk import DiskStorage
from userimages.storages.memory import MemoryStorage
from userimages.testing import make_image
from userimages.testing.faults import before, faulty

OLD = datetime.now(UTC) - timedelta(days=2)


class Aged(MemoryStorage):
    """A storage that an orphan has lain in for two days."""

    def list(self, prefix: str = "", *, after: str = ""):
        for found in super().list(prefix, after=after):
            yield attrs.evolve(found, modified=OLD) if "orphan" in found.key else found


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> ImageService:
    """Let the console find this service in the environment."""
    images = ImageService(Aged(), MemoryRepository(), processor=rig.instant_processor)
    monkeypatch.setattr("userimages.config.service_from_env", lambda **_: images)
    return images


@pytest.fixture
def orphan(images: ImageService) -> str:
    key = new_stem("orphan", "cover", OLD, owner_of(images.repository.database_id())) + ".webp"
    images.storage.put(key, b"left over", mime_type="image/webp")
    return key


def test_help_says_what_each_command_does(capsys: pytest.CaptureFixture[str]) -> None:
    """Help says what each command does."""
    with pytest.raises(SystemExit) as exit:
        main(["--help"])
    shown = capsys.readouterr().out
    assert exit.value.code == 0
    for words in ("check", "sweep", "audit", "USERIMAGES_DATABASE_URL", "exit status"):
        assert words in shown


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    """The version is that of the package."""
    with pytest.raises(SystemExit) as exit:
        main(["--version"])
    assert (exit.value.code, capsys.readouterr().out) == (0, f"userimages {version('userimages')}\n")


def test_a_reader_that_stops_early_gets_no_traceback(tmp_path: Path) -> None:
    """A reader that has seen enough gets no traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    environ = {"PATH": os.environ["PATH"], "USERIMAGES_DATA_DIR": str(tmp_path)}
    service_from_env(environ)
    command = [sys.executable, "-m", "userimages", "sweep"]
    done = subprocess.run(command, env=environ, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (2, b"")


@pytest.mark.parametrize(("option", "value"), [("--limit", "x"), ("--limit", "0"), ("--max-share", "x")])
def test_a_bad_number_is_shown(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A bad number is shown."""
    with pytest.raises(SystemExit) as exit:
        main(["audit", option, value])
    assert exit.value.code == 2
    assert f"{option}: '{value}' is not a" in capsys.readouterr().err


@pytest.mark.contract("C12")
def test_check_prints_a_line_each_where_all_is_well(images: ImageService, capsys) -> None:
    """Check prints a line each, and its status is 0 where all is well."""
    assert main(["check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12
    assert all(line.startswith("ok ") for line in lines)


@pytest.mark.contract("C12")
def test_check_says_what_to_do_and_fails(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Check says what to do, and its status is 1."""
    storage = faulty(MemoryStorage(), put=before(StorageError("Refused.", hint="Grant write access.")))
    images = ImageService(storage, MemoryRepository(), processor=rig.instant_processor)
    monkeypatch.setattr("userimages.config.service_from_env", lambda **_: images)
    assert main(["check"]) == 1
    shown = capsys.readouterr().out
    assert "FAIL  write          Refused.\n" in shown
    assert "Grant write access." in shown


def test_check_names_every_missing_setting(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Check names every missing setting."""
    for name in [name for name in os.environ if name.startswith(("R2_", "USERIMAGES_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("R2_ACCOUNT_ID", "account")
    assert main(["check"]) == 1
    shown = capsys.readouterr().out
    assert shown.startswith("FAIL  settings")
    for name in ("R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY", "R2_BUCKET_NAME"):
        assert name in shown


def test_check_of_a_database_that_is_away_is_a_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    """Check of a database that is away is a line."""
    monkeypatch.setenv("USERIMAGES_DATA_DIR", str(tmp_path))
    DiskStorage(tmp_path / "objects")
    monkeypatch.setenv("USERIMAGES_DATABASE_URL", "postgresql://user:a-secret@127.0.0.1:9/none")
    assert main(["check"]) == 1
    shown = capsys.readouterr().out
    assert "FAIL  database" in shown
    assert f"ok    storage        {tmp_path}/objects can be listed." in shown
    assert "a-secret" not in shown


@pytest.mark.parametrize("wrong", ["storage", "database"])
def test_check_tries_each_part_without_the_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys, wrong: str
) -> None:
    """One part that the settings do not give is one line, and the other is tried for real."""
    monkeypatch.setenv("USERIMAGES_DATA_DIR", str(tmp_path))
    service_from_env()
    if wrong == "storage":
        (tmp_path / "objects").rename(tmp_path / "elsewhere")
    else:
        monkeypatch.setenv("USERIMAGES_DATABASE_URL", f"sqlite:///{tmp_path}/none.sqlite3")
    assert main(["check", "--json"]) == 1
    checks = json.loads(capsys.readouterr().out)["checks"]
    settings, *others = ((each["name"], each["ok"]) for each in checks)
    assert settings == ("settings", False)
    assert len(others) > 3
    assert {ok for _, ok in others} == {True}
    assert ("schema" in dict(others), "write" in dict(others)) == (wrong == "storage", wrong == "database")


def test_check_says_once_what_spoils_both_parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    """A misspelt setting may belong to either, hence neither is tried."""
    monkeypatch.setenv("USERIMAGES_DATA_DIR", str(tmp_path))
    service_from_env()
    monkeypatch.setenv("USERIMAGES_DATABSE_URL", "sqlite:///other.db")
    assert main(["check"]) == 1
    (line, hint) = capsys.readouterr().out.splitlines()
    assert line.startswith("FAIL  settings       Unknown settings: USERIMAGES_DATABSE_URL")
    assert "Correct" in hint


def test_check_as_json(images: ImageService, capsys) -> None:
    """Check as JSON."""
    assert main(["check", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is True
    assert {"name", "ok", "detail", "hint"} == set(report["checks"][0])
    assert (report["overdue"], report["oldest"]) == (0, None)


def test_sweep_says_what_it_did(images: ImageService, capsys) -> None:
    """Sweep says what it did."""
    assert main(["sweep"]) == 0
    assert capsys.readouterr().out.startswith("0 finished, 0 due again in an hour, 0 failed.")
    assert main(["sweep", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "finished": 0,
        "claimed": 0,
        "failed": 0,
        "overdue": 0,
        "oldest": None,
    }


def test_a_sweep_that_failed_has_a_status(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """The status of a sweep that failed is 1."""
    images = ImageService(
        faulty(MemoryStorage(), delete=before(StorageError("Refused."))),
        MemoryRepository(),
        processor=rig.instant_processor,
    )
    image = images.upload("ana", b"x", image_type="cover")
    with pytest.raises(StorageError):
        images.delete(image.id)
    monkeypatch.setattr("userimages.config.service_from_env", lambda **_: images)
    assert main(["sweep"]) == 1
    assert "next sweep" in capsys.readouterr().out


def test_an_audit_of_a_healthy_store_succeeds(images: ImageService, capsys) -> None:
    """The status of an audit of a healthy store is 0."""
    images.upload("ana", b"x", image_type="cover")
    assert main(["audit"]) == 0
    assert capsys.readouterr().out.startswith("3 objects and 1 images seen: 0 orphans")


def test_an_audit_is_a_dry_run_unless_delete_is_given(images: ImageService, orphan: str, capsys) -> None:
    """An audit is a dry run unless `--delete` is given."""
    assert main(["audit"]) == 1
    shown = capsys.readouterr().out
    assert f"orphan   {orphan}" in shown
    assert "--delete" in shown
    assert images.storage.open(orphan).read() == b"left over"
    assert main(["audit", "--delete", "--max-share", "1"]) == 0
    assert "1 deleted" in capsys.readouterr().out
    assert orphan not in [found.key for found in images.storage.list()]


def test_an_audit_stops_where_too_much_would_go(images: ImageService, orphan: str, capsys) -> None:
    """An audit stops where too much would go."""
    assert main(["audit", "--delete"]) == 1
    assert "Nothing was deleted" in capsys.readouterr().out
    assert orphan in [found.key for found in images.storage.list()]


def test_an_audit_reports_a_missing_object(images: ImageService, capsys) -> None:
    """An audit reports a missing object, and what can be done."""
    image = images.upload("ana", b"x", image_type="cover")
    images.storage.delete([image.key])
    assert main(["audit"]) == 1
    shown = capsys.readouterr().out
    assert f"missing  {image.key} of image {image.id}" in shown
    assert "backup" in shown


def test_an_audit_in_parts_says_where_to_resume(images: ImageService, orphan: str, capsys) -> None:
    """An audit in parts says where to resume."""
    images.upload("ana", b"x", image_type="cover")
    main(["audit", "--limit", "3"])
    shown = capsys.readouterr().out
    after = shown.rpartition("--after '")[2].rstrip("'\n")
    main(["audit", "--after", after])
    assert f"orphan   {orphan}" in capsys.readouterr().out


def test_an_audit_as_json_lists_everything(images: ImageService, orphan: str, capsys) -> None:
    """An audit as JSON lists everything."""
    assert main(["audit", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["orphans"][0]["key"] == orphan


def test_progress_is_a_bar_on_a_terminal_only(images: ImageService, monkeypatch, capsys) -> None:
    """Progress is a bar on a terminal only."""
    for n in range(400):
        images.upload("ana", b"%d" % n, image_type="gallery")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    main(["audit", "--json"])
    captured = capsys.readouterr()
    assert "1200 objects" in captured.err
    assert json.loads(captured.out)["images"] == 400
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    main(["audit"])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_without_the_library_is_lines(terminal: bool, monkeypatch, capsys) -> None:
    """There is a line at once if ten seconds have passed, and none before."""
    now = [0.0]
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    monkeypatch.setattr("userimages.cli.console.time", SimpleNamespace(monotonic=lambda: now[0]))
    with Progress("images", lambda seen: (seen, f"{seen // 10} failed")) as progress:
        for now[0], seen in ((9.0, 10), (10.0, 1020), (19.0, 1500), (20.0, 2000)):
            progress(seen)
    assert progress.last == 2000
    assert capsys.readouterr().err == "1,020 images, 102 failed\n2,000 images, 200 failed\n"


def test_an_audit_that_is_cut_off_says_where_to_resume(images: ImageService, monkeypatch, capsys) -> None:
    """An audit that is cut off says where to resume."""
    for n in range(400):
        images.upload("ana", b"%d" % n, image_type="gallery")
    keys = [found.key for found in images.storage.list("users/")]
    listing = MemoryStorage.list

    def breaking(self: MemoryStorage, prefix: str = "", *, after: str = ""):
        for n, found in enumerate(listing(self, prefix, after=after)):
            if n == 1100:
                raise KeyboardInterrupt
            yield found

    monkeypatch.setattr(Aged, "list", breaking)
    assert main(["audit"]) == 2
    assert f"--after '{keys[999]}'" in capsys.readouterr().err


def test_an_error_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """An error is one line, and status 2."""
    images = ImageService(
        MemoryStorage(), faulty(MemoryRepository(), list_intents=before(RepositoryError("Away.", hint="Start it.")))
    )
    monkeypatch.setattr("userimages.config.service_from_env", lambda **_: images)
    assert main(["sweep"]) == 2
    assert capsys.readouterr().err == "userimages: Away. Start it.\n"


def test_an_audit_of_a_wrong_store_is_not_repeated(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """An audit of a wrong store is not to be repeated."""
    right = ImageService.in_memory()
    right.upload("ana", make_image("PNG", (9, 9)), image_type="cover")
    deleted = right.upload("ben", make_image("PNG", (9, 9)), image_type="cover")
    right.repository.begin_delete([deleted.id])
    wrong = ImageService(MemoryStorage(), right.repository)
    monkeypatch.setattr("userimages.config.service_from_env", lambda **_: wrong)
    assert main(["audit", "--delete"]) == 2
    said = capsys.readouterr().err
    assert "belong together" in said
    assert "Repeat it" not in said


@pytest.mark.parametrize(
    ("more", "advice"),
    [
        ([], "Repeat it.\n"),
        (["--after", "users/x"], "Resume with: --after 'users/x'\n"),
        (["--delete"], "Repeat it, in parts with --limit.\n"),
    ],
)
def test_an_audit_cut_off_early_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys, more: list[str], advice: str
) -> None:
    """An audit that was cut off before it saw anything says how to go on."""
    images = ImageService(MemoryStorage(), faulty(MemoryRepository(), list_by_key=before(RepositoryError("Away."))))
    monkeypatch.setattr("userimages.config.service_from_env", lambda **_: images)
    assert main(["audit", *more]) == 2
    assert f"The audit was cut off. {advice}" in capsys.readouterr().err


def test_a_terminal_gets_what_its_encoding_can_show(tmp_path: Path) -> None:
    """A terminal of another encoding gets what it can show."""
    environ = {**os.environ, "USERIMAGES_DATA_DIR": str(tmp_path / "d\xe4ta"), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-c", "from userimages.cli import main; raise SystemExit(main())", "check"]
    done = subprocess.run(command, env=environ, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (1, b"")
    assert b"d\\xe4ta" in done.stdout


def test_an_unreadable_folder_is_not_an_output_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    """A folder that cannot be read is not a trouble of the output."""
    monkeypatch.setenv("USERIMAGES_DATA_DIR", str(tmp_path / ("x" * 300)))
    assert main(["sweep"]) == 2
    assert "USERIMAGES_DATA_DIR" in (told := capsys.readouterr().err)
    assert "File name too long" in told


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_an_output_that_is_full_is_one_line(tmp_path: Path) -> None:
    """An output that is full is one line, and status 2."""
    environ = {**os.environ, "USERIMAGES_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-c", "from userimages.cli import main; raise SystemExit(main())", "check"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, env=environ, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "No space left" in done.stderr


@pytest.mark.parametrize("arguments", [["audit", "--max-share", "2"], ["audit", "--limit", "0"], ["nonsense"], []])
def test_bad_arguments_are_refused(arguments: list[str], capsys) -> None:
    """Bad arguments are refused."""
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 2
    assert "usage: userimages" in capsys.readouterr().err


def test_the_module_runs_as_a_program(tmp_path: Path) -> None:
    """The module runs as a program."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("R2_", "USERIMAGES_"))}
    service_from_env({"USERIMAGES_DATA_DIR": str(tmp_path / "userimages-data")})
    done = subprocess.run(
        [sys.executable, "-m", "userimages", "check"],
        check=False,
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok    schema" in done.stdout


@pytest.mark.parametrize("command", ["check", "sweep", "audit"])
def test_the_console_makes_nothing_that_is_not_there(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    """The console makes nothing that is not there."""
    for name in [name for name in os.environ if name.startswith(("R2_", "USERIMAGES_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    assert main([command])
    assert "userimages-data" in "".join(capsys.readouterr())
    assert list(tmp_path.iterdir()) == []
    repository = service_from_env().repository
    with closing(sqlite3.connect("userimages-data/userimages.sqlite3")) as connection, connection:
        connection.execute("DROP TABLE userimages_primaries")
        connection.execute("DROP TABLE userimages_intents")
    assert main([command])
    assert len(repository.missing_schema()) > 2


def test_check_prints_the_ddl_that_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    """Check prints the DDL that is missing."""
    monkeypatch.setenv("USERIMAGES_DATA_DIR", str(tmp_path))
    service_from_env()
    with closing(sqlite3.connect(tmp_path / "userimages.sqlite3")) as connection, connection:
        connection.execute("DROP TABLE userimages_primaries")
    assert main(["check"]) == 1
    assert "CREATE TABLE userimages_primaries" in capsys.readouterr().out


def test_an_object_that_came_during_the_audit_is_well() -> None:
    """A missing object that came during the audit is not reported."""
    storage, repository = MemoryStorage(), MemoryRepository()
    images = ImageService(storage, repository, processor=rig.instant_processor)

    def late_page(call) -> list[StoredObject]:
        found = list(call.do())
        if call.args == ("users/",):
            images.upload("ana", b"x", image_type="cover")
        return iter(found)

    report = ImageService(faulty(storage, list=late_page), repository, processor=rig.instant_processor).audit()
    assert report.missing == ()


@pytest.mark.parametrize("name", ["images", "make", "box.images"])
def test_the_console_takes_an_application_s_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """``--app module:name`` is a service or a function that returns one, in the folder where it is called."""
    module = f"app_{name.replace('.', '_')}"
    (tmp_path / f"{module}.py").write_text(
        "from types import SimpleNamespace\n"
        "from userimages import ImageService\n"
        "images = ImageService.in_memory()\n"
        "box = SimpleNamespace(images=images)\n"
        "def make(): return images\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["--app", f"{module}:{name}", "check"]) == main(["check", "--app", f"{module}:{name}"]) == 0
    assert f"MemoryStorage and MemoryRepository, from {module}:{name}." in capsys.readouterr().out


@pytest.mark.parametrize(
    "app", ["json", "json:nothing", "no_such_module:x", "json:loads", "json:JSONDecoder", ":", "", ".x:y"]
)
def test_an_app_that_is_none_is_one_line(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An `--app` that does not exist is one line."""
    assert main(["--app", app, "sweep"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("userimages: --app")
    assert error.count("\n") == 1


def test_new_id_is_for_a_repository_that_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`new-id` is for a repository that has one."""
    monkeypatch.setenv("USERIMAGES_DATA_DIR", str(tmp_path))
    images = service_from_env()
    before_it = images.repository.database_id()
    assert main(["check", "--new-id"]) == 0
    assert images.repository.database_id() != before_it
    monkeypatch.setattr("userimages.config.service_from_env", lambda **_: ImageService.in_memory())
    assert main(["check", "--new-id"]) == 1
    assert "MemoryRepository has no id that can change." in capsys.readouterr().out


def test_the_audit_counts_what_is_foreign(images: ImageService, capsys: pytest.CaptureFixture[str]) -> None:
    """The audit counts what is foreign."""
    images.storage.put(new_stem("ana", "cover", OLD, "bbbbbb") + ".webp", b"theirs", mime_type="image/webp")
    images.storage.put("users/ana/notes.txt", b"?", mime_type="text/plain")
    assert main(["audit"]) == 0
    assert "Left alone: 1 objects of other databases and 1 of unknown names." in capsys.readouterr().out
