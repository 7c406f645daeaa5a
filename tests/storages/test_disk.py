"""DiskStorage: no file outside the root, none half written, none lost, none left behind."""

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from userimages.errors import (
    ConfigurationError,
    KeyTakenError,
    ObjectNotFoundError,
    StorageError,
    StorageUnavailableError,
)
from userimages.storages.disk import DiskStorage
from userimages.testing.storage_contract import keys_of, new_key, read

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # the children only put and end

KEY = "users/ana/images/cat.jpg"
BAD_KEYS = ["", "/", "/etc/cat", "../cat", "users/../../cat", "users/./cat", "users//cat", "users/ana/", ".", ".."]
BAD_KEYS += ["a\\..\\cat", "users/a\0b", "users/a\nb", "users/\u00e9", "users/\udc80", ".tmp/cat", ".tmp"]


@pytest.fixture
def storage(tmp_path):
    return DiskStorage(tmp_path / "root")


def put(storage, key=KEY, data=b"cat"):
    storage.put(key, data, mime_type="image/jpeg")


def files(folder):
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if not each.is_dir())


# Nothing outside the root


@pytest.mark.contract("C3")
@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_key_that_is_not_a_path_inside_is_refused(tmp_path, key):
    """A key that is not a path inside is refused."""
    storage = DiskStorage(tmp_path / "root")

    for request in (lambda: put(storage, key), lambda: storage.open(key), lambda: storage.delete([key])):
        with pytest.raises(StorageError, match="not a path inside"):
            request()
    assert files(tmp_path) == []


@pytest.mark.contract("C3")
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    key=st.lists(st.sampled_from(["..", ".", "", "a", "b.c", "~", "%2e", "\\", "\0", " ", ".tmp"]) | st.text()).map(
        "/".join
    )
)
def test_no_key_leads_out_of_the_root(tmp_path, key):
    """No key leads out of the root."""
    storage = DiskStorage(tmp_path / "deep" / "root")

    with suppress(StorageError):
        put(storage, key)
        assert read(storage, key) == b"cat"
        assert keys_of(storage, "") == [key]
        storage.delete([key])
    assert files(tmp_path) == []


@pytest.mark.parametrize("level", ["users", "users/ana", "users/ana/images", KEY])
def test_a_planted_link_is_never_followed(storage, tmp_path, level):
    """A planted link is never followed."""
    outside = tmp_path / "outside"
    planted = tmp_path / "root" / level
    target = outside / KEY.removeprefix(level).removeprefix("/") if level != KEY else outside / "cat.jpg"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"secret")
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.symlink_to(outside if level != KEY else target)
    before = files(outside)

    for request in (lambda: put(storage), lambda: put(storage, data=b"secret"), lambda: storage.open(KEY).close()):
        with pytest.raises(StorageError):
            request()
    with suppress(StorageError):
        storage.delete([KEY])

    assert list(storage.list()) == []
    assert files(outside) == before
    assert target.exists()


def test_a_link_in_the_way_is_named_as_the_problem(storage, tmp_path):
    """A link in the way is named as the problem."""
    (tmp_path / "root" / "users").symlink_to(tmp_path)

    with pytest.raises(StorageError, match="symbolic link"):
        put(storage)


def test_a_planted_temporary_folder_is_not_followed(tmp_path):
    """A planted temporary folder is not followed."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / ".tmp").symlink_to(tmp_path)

    with pytest.raises(ConfigurationError):
        DiskStorage(tmp_path / "root")


def test_a_folder_swapped_for_a_link_leads_nowhere(storage, tmp_path):
    """Another process exchanges a folder for a link to another place, again and again."""
    outside, folder = tmp_path / "outside", tmp_path / "root" / "users"
    (outside / "ana").mkdir(parents=True)
    aside = tmp_path / "aside"
    aside.mkdir()

    def swap():
        for number in range(2500):
            with suppress(OSError):
                folder.rename(aside / str(number))
            with suppress(OSError):
                folder.symlink_to(outside)
                folder.unlink()

    def use():
        stored = 0
        while not swapping.done():
            key = f"users/ana/{os.urandom(4).hex()}"
            with suppress(StorageError):
                put(storage, key)
                stored += 1
            with suppress(StorageError):
                storage.open(key).close()
            with suppress(StorageError):
                storage.delete([key])
        return stored

    with ThreadPoolExecutor(3) as pool:
        swapping = pool.submit(swap)
        assert sum(future.result() for future in [pool.submit(use), pool.submit(use)]) > 0
    assert files(outside) == []
    assert (outside / "ana").is_dir(), "no delete has reached it either"


# Nothing half


def killed_at(step, storage, monkeypatch):
    """Put in a child process that is killed when it calls a function of ``os``: "fsync" is after the write."""

    def kill(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        monkeypatch.setattr(os, step, kill)
        put(storage, data=b"cat" * 1000)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("step", ["fsync", "link"])
def test_a_killed_put_leaves_nothing_after_a_delete(storage, tmp_path, monkeypatch, step):
    """It shows no object, and its temporary file goes with the key."""
    killed_at(step, storage, monkeypatch)

    assert list(storage.list()) == []
    with pytest.raises(ObjectNotFoundError):
        storage.open(KEY)
    storage.delete([KEY])
    assert files(tmp_path) == []


def test_old_temporary_files_go_at_the_next_start(storage, tmp_path):
    """What a killed put left of a key that nobody deletes goes a day later; nothing else does."""
    folder = tmp_path / "root" / ".tmp"
    young, old, other = f"{'0' * 64}-{'1' * 16}", f"{'0' * 64}-{'2' * 16}", "notes.txt"
    for name in (young, old, other):
        (folder / name).write_bytes(b"half")
    for name, hours in ((young, 23), (old, 25), (other, 1000)):
        os.utime(folder / name, (time.time() - hours * 3600,) * 2)
    for create in (True, False):
        DiskStorage(tmp_path / "root", create=create)
        assert files(folder) == sorted([young, other])


def test_a_delete_leaves_temporary_files_of_other_keys(storage, tmp_path, monkeypatch):
    """A delete leaves temporary files of other keys."""
    killed_at("link", storage, monkeypatch)

    storage.delete([KEY + ".webp", "users/ana/images/dog.jpg"])
    assert len(files(tmp_path)) == 1
    storage.delete([KEY])
    assert files(tmp_path) == []


def test_the_same_put_succeeds_after_a_kill(storage, monkeypatch):
    """The same put succeeds after a kill."""
    killed_at("link", storage, monkeypatch)

    put(storage)
    assert read(storage, KEY) == b"cat"


def test_a_put_syncs_the_file_and_every_new_folder(storage, tmp_path, monkeypatch):
    """A put syncs the file and every new folder."""
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_ino), fsync(fd))[1])
    put(storage)
    root = tmp_path / "root"

    assert [(root / part).stat().st_ino for part in (KEY, ".", "users", "users/ana", "users/ana/images")] == synced

    synced.clear()
    put(storage, "users/ana/images/dog.jpg")
    assert len(synced) == 2, "a folder that existed needs no sync of its parents"


def test_a_delete_syncs_the_folder_and_every_parent(storage, tmp_path, monkeypatch):
    """Else a picture that was deleted could come back after a power cut."""
    put(storage)
    put(storage, "users/ana/images/dog.jpg")
    root = tmp_path / "root"
    folders = [(root / part).stat().st_ino for part in ("users/ana/images", "users/ana", "users", ".")]
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_ino), fsync(fd))[1])

    storage.delete([KEY])
    assert synced == folders[:1]
    synced.clear()
    storage.delete(["users/ana/images/dog.jpg"])
    assert synced == folders


@pytest.mark.parametrize("processes", [4])
def test_of_many_processes_one_wins(storage, processes):
    """Of many processes one wins."""
    children = []
    for number in range(processes):
        child = os.fork()
        if child == 0:
            code = 9
            try:
                put(storage, data=bytes([number]) * 50_000)
                code = 0
            except KeyTakenError:
                code = 1
            finally:
                os._exit(code)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]

    assert sorted(codes) == [0] + [1] * (processes - 1)
    assert read(storage, KEY) == bytes([codes.index(0)]) * 50_000


# Errors of the file system


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "denies access"),
        (errno.EROFS, "read-only"),
        (errno.EMFILE, "open files"),
        (errno.EIO, "failed to read or write"),
        (errno.ESTALE, "network"),
        (errno.EBADMSG, "file system failed"),
    ],
    ids=errno.errorcode.get,
)
def test_a_failure_is_named_and_leaves_nothing(storage, tmp_path, monkeypatch, number, words):
    """A failure is named and leaves nothing."""

    def fail(fd):
        raise OSError(number, "about users/ana")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match=words) as caught:
        put(storage)

    assert errno.errorcode[number] in str(caught.value)
    assert "ana" not in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)
    assert files(tmp_path) == []


def test_a_folder_that_cannot_be_synced_is_unknown(storage, monkeypatch):
    """The file is linked, but the link may not survive a power cut."""
    fsync = os.fsync

    def fail_for_folders(fd):
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            raise OSError(errno.ENOSPC, "no")
        fsync(fd)

    put(storage, "users/ana/images/dog.jpg")
    monkeypatch.setattr(os, "fsync", fail_for_folders)
    with pytest.raises(StorageUnavailableError):
        put(storage)


def test_a_full_disk_goes_on_when_there_is_room(small_disk):
    """A full disk goes on when there is room."""
    storage = DiskStorage(small_disk("size=1m"))
    put(storage, "users/a/1", b"x" * 600_000)
    with pytest.raises(StorageError, match="disk is full"):
        put(storage, "users/a/2", b"x" * 600_000)
    assert keys_of(storage, "") == ["users/a/1"]
    storage.delete(["users/a/1"])
    put(storage, "users/a/2", b"x" * 600_000)


@pytest.mark.parametrize("left", range(4))
def test_a_disk_without_inodes_is_not_called_full(small_disk, left):
    """Whichever of the inodes that a put needs is the last one."""
    storage = DiskStorage(root := small_disk("size=1m,nr_inodes=30"))
    spare = root / "spare"
    spare.mkdir()
    while os.statvfs(root).f_favail > left:
        (spare / str(os.statvfs(root).f_favail)).touch()

    with pytest.raises(StorageError, match=r"no free inodes.*ENOSPC") as caught:
        put(storage)
    assert type(caught.value) is StorageError
    assert keys_of(storage, "users/") == []
    shutil.rmtree(spare)
    put(storage)


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_links_is_refused(tmp_path, monkeypatch, number):
    """It is named when the storage is created."""

    def refuse(*_, **__):
        raise OSError(number, "no links")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(ConfigurationError, match="refuses hard links") as caught:
        DiskStorage(tmp_path)

    assert str(tmp_path) in str(caught.value)
    assert "unknown" not in str(caught.value) or sys.platform != "linux"
    assert files(tmp_path) == []


def test_a_root_that_cannot_be_a_folder_is_refused(tmp_path):
    """A root that cannot be a folder is refused."""
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(ConfigurationError, match="cannot be used"):
        DiskStorage(tmp_path / "file")


def test_a_root_that_goes_away_is_not_an_empty_one(storage, tmp_path):
    """A root that goes away is not an empty one."""
    put(storage)
    (tmp_path / "root").rename(tmp_path / "elsewhere")

    for request in (lambda: put(storage), lambda: storage.open(KEY), lambda: list(storage.list())):
        with pytest.raises(StorageError, match="is missing") as caught:
            request()
        assert not isinstance(caught.value, ObjectNotFoundError)


@pytest.mark.parametrize(
    "verb", [put, lambda storage: storage.open(KEY), lambda storage: list(storage.list())], ids=["put", "open", "list"]
)
def test_a_mount_point_without_its_disk_is_not_empty(storage, tmp_path, verb):
    """Its objects are away, not deleted. So none is reported as missing, and none is stored in the empty folder."""
    (tmp_path / "root" / ".tmp").rmdir()

    with pytest.raises(StorageError, match="is missing") as caught:
        verb(storage)
    assert not isinstance(caught.value, ObjectNotFoundError)
    assert files(tmp_path) == []


def test_a_disk_that_is_unmounted_is_noticed(small_disk):
    """So is another disk, which is mounted in its place."""
    storage = DiskStorage(root := small_disk("size=1m"))
    put(storage)
    subprocess.run(["umount", str(root)], check=True)
    for request in (put, lambda storage: storage.open(KEY), lambda storage: storage.delete([KEY])):
        with pytest.raises(StorageError, match="is missing"):
            request(storage)
    small_disk("size=1m")
    with pytest.raises(StorageError, match="is missing"):
        storage.open(KEY)


# Nothing left


def test_a_delete_removes_the_empty_folders(storage, tmp_path):
    """And no others."""
    put(storage)
    put(storage, "users/ana/images/dog.jpg")
    put(storage, "users/ben/images/dog.jpg")

    storage.delete([KEY])
    assert (tmp_path / "root" / "users" / "ana" / "images").is_dir()
    storage.delete(["users/ana/images/dog.jpg"])
    assert os.listdir(tmp_path / "root" / "users") == ["ben"]
    storage.delete(["users/ben/images/dog.jpg"])
    assert os.listdir(tmp_path / "root") == [".tmp"]


def test_a_put_whose_folder_is_deleted_succeeds(storage):
    """A delete in another thread removes the folder because it is empty."""

    def put_and_delete(name):
        for number in range(100):
            key = f"users/ana/images/{name}{number}"
            put(storage, key)
            assert read(storage, key) == b"cat"
            storage.delete([key])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put_and_delete, "abcd"))
    assert list(storage.list()) == []


def test_a_delete_goes_on_after_a_folder_that_fails(storage, tmp_path):
    """A delete goes on after a folder that fails."""
    put(storage)
    (tmp_path / "root" / "users" / "aaa").symlink_to(tmp_path)

    with pytest.raises(StorageError, match="symbolic link"):
        storage.delete(["users/aaa/images/cat.jpg", KEY])
    assert list(storage.list()) == []


# Reading and listing


def test_what_is_not_a_plain_file_is_not_an_object(storage, tmp_path):
    """What is not a plain file is not an object."""
    put(storage)
    os.mkfifo(tmp_path / "root" / "users" / "pipe")

    for key in ("users/pipe", "users/ana/images", "users/ana"):
        with pytest.raises(ObjectNotFoundError):
            storage.open(key)
        storage.delete(["users/ana"])
    assert keys_of(storage, "") == [KEY]


def test_a_start_beyond_any_file_gives_nothing(storage):
    """A start beyond any file gives nothing."""
    put(storage)

    assert read(storage, KEY, start=2**70) == read(storage, KEY, start=2**70, length=1) == b""


@pytest.mark.cost
def test_a_listing_enters_only_the_folders_it_needs(storage, monkeypatch):
    """A listing enters only the folders it needs."""
    for user in "abcde":
        put(storage, f"users/{user}/images/cat.jpg")
    entered, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: (entered.append(folder), scandir(folder))[1])

    assert keys_of(storage, "users/c/") == ["users/c/images/cat.jpg"]
    assert len(entered) == 4, "the root, users, users/c and its images"
    entered.clear()
    assert len(keys_of(storage, "users/", after="users/d/images/cat.jpg")) == 1
    assert len(entered) == 6, "the root, users, and two for each of d and e"
    entered.clear()
    next(storage.list())
    assert len(entered) == 4


def test_a_listing_passes_over_what_was_deleted(storage):
    """A listing passes over what was deleted."""
    keys = [f"users/{user}/images/cat.jpg" for user in "abc"]
    for key in keys:
        put(storage, key)
    listing = storage.list()

    assert next(listing).key == keys[0]
    storage.delete([keys[1]])
    assert [found.key for found in listing] == [keys[2]]


def test_the_temporary_folder_is_never_listed(storage, tmp_path):
    """And only its owner can read it."""
    (tmp_path / "root" / ".tmp" / "leftover").write_bytes(b"half")

    assert (tmp_path / "root" / ".tmp").stat().st_mode & 0o777 == 0o700
    assert list(storage.list()) == []


def test_a_stored_file_may_be_read_by_a_web_server(storage, tmp_path):
    """A stored file may be read by a web server."""
    umask = os.umask(0o022)
    try:
        put(storage)
    finally:
        os.umask(umask)
    assert (tmp_path / "root" / KEY).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("made_before", [None, ".tmp"], ids=["new root", "old root"])
def test_the_group_of_a_setgid_root_is_kept(tmp_path, made_before):
    """By folders and by files, also if the root became setgid after its folder .tmp was created."""
    groups = [group for group in os.getgroups() if group != os.getegid()] or [os.getegid() + 1]
    root = tmp_path / "root"
    root.mkdir()
    if made_before:
        DiskStorage(root)
    try:
        os.chown(root, -1, groups[0])
    except PermissionError:
        pytest.skip("this user is in one group alone")
    root.chmod(0o2775)
    put(DiskStorage(root))

    for folder in ("users", "users/ana", "users/ana/images"):
        assert (root / folder).stat().st_gid == groups[0]
        assert (root / folder).stat().st_mode & stat.S_ISGID
    assert (root / KEY).stat().st_gid == groups[0]


def test_no_descriptor_stays_open(storage):
    """No descriptor stays open."""

    def descriptors():
        return len(os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd"))

    before = descriptors()
    for _ in range(3):
        key = new_key()
        put(storage, key)
        put(storage, key)
        with suppress(KeyTakenError):
            put(storage, key, b"dog")
        storage.open(key).close()
        storage.open(key, start=1, length=1).close()
        next(storage.list())
        list(storage.list())
        storage.delete([key, key])
        for bad in (key, "users/x/y"):
            with suppress(StorageError):
                storage.open(bad)
    assert descriptors() == before
