"""Objects as files below one folder of a POSIX file system.

A file is written and synced under a temporary name in the folder ``.tmp``, and then linked to its key. A link is made
only if the key is free, and it shows the whole file or nothing. Every folder on the way is opened through the
descriptor of its parent and never through a symbolic link, so neither a key nor a planted link leads out of the root.
"""

import contextlib
import errno
import hashlib
import io
import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from userimages.errors import (
    ConfigurationError,
    KeyTakenError,
    ObjectNotFoundError,
    StorageError,
    StorageUnavailableError,
)
from userimages.keys import PREFIX, STAGING_PREFIX
from userimages.model import StoredObject

_TMP = ".tmp"
_PRIVATE = {STAGING_PREFIX.rstrip("/")}  # folders that no web server may publish: they are for their owner alone
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_FILE = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # a planted pipe must not block
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_TEMPORARY = re.compile("[0-9a-f]{64}-[0-9a-f]{16}")
_OLD = 24 * 60 * 60  # seconds, which no put takes
_TRIES = 100  # a put starts again if a delete has just removed its empty folder
_FEW_INODES = 16  # more than one put needs: its file and three folders

Meaning = tuple[type[StorageError], str, str]
_LINK_IN_THE_WAY = (StorageError, "A symbolic link or a file is where a folder should be.", "Use the real folder.")
_DENIED = (StorageError, "The file system denies access.", "Give this user write access to the root folder.")
_NO_INODES = (
    StorageError,
    "The disk has free space but no free inodes, so it holds no more files.",
    "Delete files on this file system, or move the root folder to one with more inodes.",
)
_MEANINGS: dict[int | None, Meaning] = {
    errno.ENOSPC: (StorageError, "The disk is full.", "Free some space below the root folder."),
    errno.EDQUOT: (StorageError, "The disk quota is used up.", "Raise the quota of this user."),
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EROFS: (StorageError, "The file system is read-only.", "Mount it writable, or choose another root folder."),
    errno.ELOOP: _LINK_IN_THE_WAY,
    errno.ENOTDIR: _LINK_IN_THE_WAY,
    errno.ENAMETOOLONG: (StorageError, "The key is too long for this file system.", "Use keys of at most 240 bytes."),
    errno.EMFILE: (StorageError, "This process has too many open files.", "Close streams, or raise `ulimit -n`."),
    errno.ENFILE: (StorageError, "This machine has too many open files.", "Close streams, or raise the limit."),
    errno.ENOENT: (StorageError, "The root folder or its folder .tmp is missing.", "Mount it, or create it again."),
    errno.EIO: (StorageUnavailableError, "The disk failed to read or write.", "Check the system's log."),
    errno.ESTALE: (StorageUnavailableError, "The network file system lost the file.", "Check its server."),
    errno.ETIMEDOUT: (StorageUnavailableError, "The network file system timed out.", "Check its server."),
}
_UNKNOWN = (StorageUnavailableError, "The file system failed.", "Check the system's log.")


class DiskStorage:
    """Keep objects as files below *root*.

    The file system must support hard links. Network file systems, and those that ignore case (the default on macOS),
    are described in the documentation.

    Args:
        root: the folder. It is created if it is missing.
        public_url: where a web server publishes *root*, such as ``"https://img.example.com"``. None: nowhere.
        create: with False, no root is created, and it must have been used before: an empty folder may be a volume
            that is not mounted.

    Raises:
        ConfigurationError: *root* cannot be used: no access, a file system that refuses links, or, with
            ``create=False``, nothing was ever stored there.

    >>> import tempfile
    >>> storage = DiskStorage(tempfile.mkdtemp())
    >>> storage.put("users/ana/images/cat.jpg", b"meow", mime_type="image/jpeg")
    >>> [found.key for found in storage.list()]
    ['users/ana/images/cat.jpg']
    """

    def __init__(self, root: str | os.PathLike[str], *, public_url: str | None = None, create: bool = True) -> None:
        if os.open not in os.supports_dir_fd:
            raise ConfigurationError("DiskStorage needs a POSIX system.", hint="Use R2Storage or MemoryStorage here.")
        self._root = Path(root).resolve()
        self._public_url = public_url.rstrip("/") if public_url else None
        self._prepare(create=create)

    @property
    def root(self) -> Path:
        """The folder, as an absolute path."""
        return self._root

    def __repr__(self) -> str:
        return f"DiskStorage({str(self._root)!r})"

    def put(self, key: str, data: bytes, *, mime_type: str) -> None:
        """Store *data* under *key*, unless other bytes are already stored there. On return it is synced to the disk.

        Raises:
            KeyTakenError: other bytes are stored under *key*.
            StorageError: *key* is not valid, or the file system refused. Nothing was stored.
            StorageUnavailableError: the file system failed. The bytes may be stored.
        """
        *folders, name = _parts(key)
        with self._translate_errors():
            for _ in range(_TRIES):
                with contextlib.suppress(FileNotFoundError):
                    self._put(key, folders, name, data)
                    return
        raise StorageError("Deletions kept removing the folder of this key.", hint="Try again.")

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Open the bytes from *start*. With *length*, read at most that many bytes, at once.

        Raises:
            ObjectNotFoundError: no object is stored under *key*.
            StorageError: *key* is not valid, or the file system refused.
        """
        *folders, name = _parts(key)
        with self._translate_errors():
            try:
                with self._folder(folders) as folder:
                    file = _open_file(folder, name)
            except (FileNotFoundError, IsADirectoryError):
                raise ObjectNotFoundError("Object not found.") from None
            size = os.fstat(file.fileno()).st_size
            file.seek(min(start, size))
            if length is None:
                return file
            with file:
                return io.BytesIO(file.read(min(length, size)))

    def delete(self, keys: Sequence[str]) -> None:
        """Delete the files of *keys*, what a killed ``put`` of them left behind, and folders that are then empty.

        Raises:
            StorageError: at least one file could not be deleted. Every folder was tried.
        """
        paths = sorted(_parts(key) for key in keys)
        failures: list[OSError] = []
        for folders, group in groupby(paths, key=lambda parts: parts[:-1]):
            try:
                self._delete(folders, [parts[-1] for parts in group])
            except FileNotFoundError:
                continue
            except OSError as exc:
                failures.append(exc)
        with self._translate_errors():
            self._delete_leftovers(keys)
            for failure in failures:
                raise failure

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[StoredObject]:
        """Yield the objects whose keys begin with *prefix* and come after *after*, in byte order of the whole key."""
        with self._translate_errors(), self._folder(()) as root:
            yield from _walk(root, "", prefix, after)

    def url(self, key: str) -> str | None:
        """Return the public URL of *key*, or None, as for what is staged."""
        return f"{self._public_url}/{quote(key)}" if self._public_url and not key.startswith(STAGING_PREFIX) else None

    def _put(self, key: str, folders: Sequence[str], name: str, data: bytes) -> None:
        with self._temporary(key, data) as (file, temporary, tmp), self._folder(folders, make=True) as folder:
            _hand_down_group(folder, file)
            try:
                os.link(temporary, name, src_dir_fd=tmp, dst_dir_fd=folder)
            except FileExistsError:
                if not _holds(folder, name, data):
                    raise KeyTakenError(
                        "Other bytes are already stored under this key.", hint="Use a new key: keys never repeat."
                    ) from None
            try:
                os.fsync(folder)
            except OSError as exc:
                raise StorageUnavailableError("The disk failed to keep a file that it had accepted.") from exc

    @contextmanager
    def _temporary(self, key: str, data: bytes) -> Iterator[tuple[int, str, int]]:
        """Write *data* to a file in ``.tmp``. Give its descriptor, its name and the descriptor of ``.tmp``.

        The name holds a digest of *key*, so that ``delete`` finds the file after a kill.
        """
        with self._folder((_TMP,)) as tmp:
            name = f"{_leftover(key)}-{os.urandom(8).hex()}"
            file = os.open(name, _NEW, 0o666, dir_fd=tmp)
            try:
                with os.fdopen(file, "wb", closefd=False) as stream:
                    stream.write(data)
                os.fsync(file)
                yield file, name, tmp
            finally:
                os.close(file)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=tmp)

    @contextmanager
    def _folder(self, parts: Sequence[str], *, make: bool = False) -> Iterator[int]:
        """Open a folder below the root level by level, following no link. With *make*, create what is missing.

        A root without its folder ``.tmp`` is an error, because it may be the mount point of a volume that is away.
        """
        with self._translate_errors():
            folder = os.open(self._root, _FOLDER)
        try:
            with self._translate_errors():
                os.stat(_TMP, dir_fd=folder, follow_symlinks=False)
            for part in parts:
                below = _enter(folder, part, make=make)
                os.close(folder)
                folder = below
            yield folder
        finally:
            os.close(folder)

    def _delete(self, folders: Sequence[str], names: Sequence[str]) -> None:
        with self._folder(folders) as folder:
            for name in names:
                with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                    os.unlink(name, dir_fd=folder)
            os.fsync(folder)
        for depth in range(len(folders), 0, -1):
            with self._folder(folders[: depth - 1]) as parent:
                try:
                    os.rmdir(folders[depth - 1], dir_fd=parent)
                except OSError:  # not empty, or already gone
                    return
                os.fsync(parent)

    def _delete_leftovers(self, keys: Sequence[str]) -> None:
        """Delete the temporary files that killed puts of *keys* left behind."""
        named = {_leftover(key) for key in keys}
        with self._folder((_TMP,)) as tmp:
            for name in os.listdir(tmp):
                if name.partition("-")[0] in named:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=tmp)

    def _delete_old_temporaries(self) -> None:
        """Delete what killed puts left behind of keys that nobody will delete, as a killed copy may."""
        with self._folder((_TMP,)) as tmp:
            for name in os.listdir(tmp):
                with contextlib.suppress(OSError):  # another process is faster, or this user may only read
                    found = os.stat(name, dir_fd=tmp, follow_symlinks=False)
                    if _TEMPORARY.fullmatch(name) and time.time() - found.st_mtime > _OLD:
                        os.unlink(name, dir_fd=tmp)

    def _prepare(self, *, create: bool) -> None:
        """Create the root and its folder ``.tmp``, and try a link there."""
        tmp = self._root / _TMP
        try:
            if create or (self._root / PREFIX).is_dir():  # restored from a backup without hidden files
                tmp.mkdir(mode=0o700, parents=True, exist_ok=True)
            elif not tmp.is_dir():
                raise ConfigurationError(
                    f"{tmp} is missing: nothing was ever stored there, or its volume is not mounted.",
                    hint="Mount it, or use the folder of the application, which creates it at its first start.",
                )
            linked = self._links()
            self._delete_old_temporaries()
        except OSError as exc:
            raise ConfigurationError(
                f"The folder {self._root} cannot be used: {os.strerror(exc.errno or 0)}.",
                hint="Make it writable for this user, or choose another folder.",
            ) from exc
        if not linked:
            raise ConfigurationError(
                f"The file system of {self._root} ({_file_system(self._root)}) refuses hard links.",
                hint="Choose a folder on another one, such as ext4, XFS, Btrfs or APFS.",
            )

    def _links(self) -> bool:
        """Tell whether the file system takes hard links, by making one."""
        with self._temporary("probe", b"") as (_, name, tmp):
            probe = f"{name}-link"
            try:
                os.link(name, probe, src_dir_fd=tmp, dst_dir_fd=tmp)
            except OSError as exc:
                if exc.errno in _NO_LINKS:
                    return False
                raise
            os.unlink(probe, dir_fd=tmp)
        return True

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Turn an OSError into an error of the library, by the table of meanings."""
        try:
            yield
        except OSError as exc:
            name = errno.errorcode.get(exc.errno or 0, "unknown error")
            meaning = _MEANINGS.get(exc.errno, _UNKNOWN)
            if exc.errno == errno.ENOSPC and _lacks_inodes(self._root):
                meaning = _NO_INODES
            error, words, hint = meaning
            raise error(f"{words} ({name})", hint=hint) from exc


def _lacks_inodes(root: Path) -> bool:
    """Tell whether the file system of *root* has no inodes left: then it also reports that no space is left."""
    try:
        found = os.statvfs(root)
    except OSError:
        return False
    return found.f_files > 0 and found.f_favail < _FEW_INODES  # f_files is 0 if the file system has no such limit


def _hand_down_group(folder: int, file: int) -> None:
    """Give *file* the group of *folder* if the folder is setgid, as a file that is created there has it."""
    parent = os.fstat(folder)
    if parent.st_mode & stat.S_ISGID and os.fstat(file).st_gid != parent.st_gid:
        with contextlib.suppress(
            PermissionError
        ):  # only a member of the group may do this; the file is as good without
            os.fchown(file, -1, parent.st_gid)
            os.fsync(file)


def _parts(key: str) -> list[str]:
    """Split *key* into the names of folders and of a file. All of them are safe on every file system."""
    parts = key.split("/")
    usable = key.isascii() and key.isprintable() and "\\" not in key
    if not usable or parts[0] == _TMP or any(part in {"", ".", ".."} for part in parts):
        raise StorageError(
            "The key is not a path inside the storage.",
            hint="Keys are printable ASCII, without backslashes, empty parts, '.' or '..'.",
        )
    return parts


def _leftover(key: str) -> str:
    """Return what the names of the temporary files of *key* begin with."""
    return hashlib.sha256(key.encode()).hexdigest()


def _enter(folder: int, name: str, *, make: bool) -> int:
    """Open the folder *name* in *folder*. With *make*, create it if it is missing, and sync it against a power cut."""
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except FileNotFoundError:
        if not make:
            raise
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700 if name in _PRIVATE else 0o777, dir_fd=folder)
    os.fsync(folder)
    return os.open(name, _FOLDER, dir_fd=folder)


def _open_file(folder: int, name: str) -> io.BufferedReader:
    file = os.fdopen(os.open(name, _FILE, dir_fd=folder), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise FileNotFoundError(errno.ENOENT, "not a regular file")
    return file


def _holds(folder: int, name: str, data: bytes) -> bool:
    """Tell whether the file *name* exists and holds exactly *data*."""
    try:
        with _open_file(folder, name) as file:
            return file.read(len(data) + 1) == data
    except (FileNotFoundError, IsADirectoryError):
        return False


def _walk(folder: int, path: str, prefix: str, after: str) -> Iterator[StoredObject]:
    """Yield the files below *folder*. Their keys begin with *path*.

    A folder is sorted by its name with the slash, because keys are: ``a-b/`` and ``a.b/`` come before ``a/``.
    """
    with os.scandir(folder) as entries:
        names = sorted(
            entry.name + ("/" if entry.is_dir(follow_symlinks=False) else "")
            for entry in entries
            if path or entry.name != _TMP
        )
    for name in names:
        key = path + name
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # deleted meanwhile
            if not name.endswith("/"):
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISREG(found.st_mode) and key.startswith(prefix) and key > after:
                    yield StoredObject(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))
            elif (key.startswith(prefix) or prefix.startswith(key)) and (key > after or after.startswith(key)):
                below = os.open(name.rstrip("/"), _FOLDER, dir_fd=folder)
                try:
                    yield from _walk(below, key, prefix, after)
                finally:
                    os.close(below)


def _file_system(path: Path) -> str:
    """Name the type of the file system that holds *path*, such as ``exfat``, if the system tells."""
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with contextlib.suppress(OSError), open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        for line in mounts:
            fields, _, tail = line.partition(" - ")
            if fields.split()[2] == number:
                return tail.split()[0]
    return "of unknown type"
