"""Objects as files below one folder of a POSIX file system.

A file is written and synced without a name, or with a temporary one, and then linked to its key: a link is made only
where nothing stands yet, and all of it is seen or nothing. Every folder on the way is opened by its parent's
descriptor and never through a symbolic link, so that no key and no planted link leads out of the root.
"""

import contextlib
import errno
import hashlib
import io
import os
import stat
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
_UNNAMED = getattr(os, "O_TMPFILE", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_NO_LINKS = {
    *(errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV),
    *(errno.EINVAL, errno.EISDIR, errno.ENOENT),  # no O_TMPFILE here, or no /proc
}
_TRIES = 100  # a put starts again where a delete has just removed its empty folder

_LINK_IN_THE_WAY = (StorageError, "A symbolic link or a file stands where a folder should be.", "Pass the real folder.")
_PROBLEMS: dict[int | None, tuple[type[StorageError], str, str]] = {
    errno.ENOSPC: (StorageError, "The disk is full.", "Free some space below the root folder."),
    errno.EDQUOT: (StorageError, "The disk quota is used up.", "Raise the quota of this user."),
    errno.EACCES: (StorageError, "The file system denies access.", "Give this user write access to the root folder."),
    errno.EPERM: (StorageError, "The file system denies access.", "Give this user write access to the root folder."),
    errno.EROFS: (StorageError, "The file system is read-only.", "Mount it writable, or choose another root folder."),
    errno.ELOOP: _LINK_IN_THE_WAY,
    errno.ENOTDIR: _LINK_IN_THE_WAY,
    errno.ENAMETOOLONG: (StorageError, "The key is too long for this file system.", "Use keys of at most 240 bytes."),
    errno.EMFILE: (StorageError, "This process has too many open files.", "Close streams, or raise `ulimit -n`."),
    errno.ENFILE: (StorageError, "This machine has too many open files.", "Close streams, or raise the limit."),
    errno.ENOENT: (StorageError, "The root folder, or its folder .tmp, is gone.", "Mount or make it again."),
    errno.EIO: (StorageUnavailableError, "The disk failed to read or write.", "Look at the system's log."),
    errno.ESTALE: (StorageUnavailableError, "The network file system lost the file.", "Look at its server."),
    errno.ETIMEDOUT: (StorageUnavailableError, "The network file system timed out.", "Look at its server."),
}


class DiskStorage:
    """Keep objects as files below *root*, which is made where it is missing.

    *public_url* is where a web server publishes *root*, if one does. Without *create* no root is made, and it must
    be one that was used before: an empty folder may be a volume that is not mounted. The file system must know
    hard links; network file systems and those without case (macOS by default) are described in the documentation.

    Raises:
        ConfigurationError: *root* cannot be used: no access, a file system that refuses links, or, without *create*,
            nothing made here.

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
        self._unnamed = bool(_UNNAMED)
        self._prepare(create=create)

    @property
    def root(self) -> Path:
        """The folder, absolute."""
        return self._root

    def __repr__(self) -> str:
        return f"DiskStorage({str(self._root)!r})"

    def put(self, key: str, data: bytes, *, mime_type: str) -> None:
        """Store *data* under *key*, unless other bytes stand there; synced to the disk on return.

        Raises:
            KeyTakenError: other bytes stand under *key*.
            StorageError: the key is not one of ours, or the file system refused; nothing was stored.
            StorageUnavailableError: the file system failed; the bytes may be there.
        """
        *folders, name = _parts(key)
        with _translated():
            for _ in range(_TRIES):
                with contextlib.suppress(FileNotFoundError):
                    self._put(key, folders, name, data)
                    return
            raise FileNotFoundError(errno.ENOENT, "the folder .tmp is gone")

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Open the bytes from *start*; with *length* given, at most so many of them, read at once.

        Raises:
            ObjectNotFoundError: no file stands under *key*.
            StorageError: the key is not one of ours, or the file system refused.
        """
        *folders, name = _parts(key)
        with _translated():
            try:
                with self._folder(folders) as folder:
                    file = _open_file(folder, name)
            except (FileNotFoundError, IsADirectoryError):
                raise ObjectNotFoundError("No file stands under this key.") from None
            size = os.fstat(file.fileno()).st_size
            file.seek(min(start, size))
            if length is None:
                return file
            with file:
                return io.BytesIO(file.read(min(length, size)))

    def delete(self, keys: Sequence[str]) -> None:
        """Delete the files of *keys*, what a killed ``put`` of them left behind, and the folders that are empty then.

        Raises:
            StorageError: at least one could not be deleted; every folder was tried.
        """
        paths = sorted(_parts(key) for key in keys)
        problems: list[OSError] = []
        for folders, group in groupby(paths, key=lambda parts: parts[:-1]):
            try:
                self._delete(folders, [parts[-1] for parts in group])
            except FileNotFoundError:
                continue
            except OSError as exc:
                problems.append(exc)
        with _translated():
            self._delete_leftovers(keys)
            for problem in problems:
                raise problem

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[StoredObject]:
        """Yield the files under *prefix* that come after *after*, in byte order of the whole key, folder by folder."""
        with _translated(), self._folder(()) as root:
            yield from _walk(root, "", prefix, after)

    def url(self, key: str) -> str | None:
        """Return the public URL of *key*, or None, as for what is staged."""
        return f"{self._public_url}/{quote(key)}" if self._public_url and not key.startswith(STAGING_PREFIX) else None

    def _put(self, key: str, folders: Sequence[str], name: str, data: bytes) -> None:
        with self._temporary(key, data) as (source, source_folder), self._folder(folders, make=True) as folder:
            try:
                os.link(source, name, src_dir_fd=source_folder, dst_dir_fd=folder, follow_symlinks=True)
            except FileExistsError:
                if not _holds(folder, name, data):
                    raise KeyTakenError(
                        "Other bytes already stand under this key.", hint="Use a new key: keys never repeat."
                    ) from None
            try:
                os.fsync(folder)
            except OSError as exc:
                raise StorageUnavailableError("The disk failed to keep a file that it took.") from exc

    @contextmanager
    def _temporary(self, key: str, data: bytes) -> Iterator[tuple[str, int | None]]:
        """Write *data* to a file outside all keys; give its path and the folder that the path is relative to.

        Where a file needs a name, that of its key is in it: ``delete`` finds it after a kill.
        """
        with self._folder((_TMP,)) as tmp:
            name = "." if self._unnamed else f"{_leftover(key)}-{os.urandom(8).hex()}"
            file = os.open(name, os.O_WRONLY | _UNNAMED if self._unnamed else _NEW, 0o666, dir_fd=tmp)
            try:
                with os.fdopen(file, "wb", closefd=False) as stream:
                    stream.write(data)
                os.fsync(file)
                yield (f"/proc/self/fd/{file}", None) if self._unnamed else (name, tmp)
            finally:
                os.close(file)
                if not self._unnamed:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=tmp)

    @contextmanager
    def _folder(self, parts: Sequence[str], *, make: bool = False) -> Iterator[int]:
        """Open a folder below the root level by level, following no link; with *make*, make what is missing."""
        with _translated():
            folder = os.open(self._root, _FOLDER)
        try:
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
        """Delete the temporary files of *keys*; there are none where files need no name."""
        named = {_leftover(key) for key in keys}
        with self._folder((_TMP,)) as tmp:
            for name in os.listdir(tmp):
                if name.partition("-")[0] in named:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=tmp)

    def _prepare(self, *, create: bool) -> None:
        """Make the root and try a link there, of an unnamed file first."""
        tmp = self._root / _TMP
        try:
            if create or (self._root / PREFIX).is_dir():  # as it comes out of a backup without hidden files
                tmp.mkdir(mode=0o700, parents=True, exist_ok=True)
            elif not tmp.is_dir():
                raise ConfigurationError(
                    f"{tmp} is missing: nothing was stored there yet, or its volume is not mounted.",
                    hint="Mount it, or give the folder of the application, which makes it when it first starts.",
                )
            if self._unnamed and not self._links():
                self._unnamed = False
        except OSError as exc:
            raise ConfigurationError(
                f"The folder {self._root} cannot be used: {os.strerror(exc.errno or 0)}.",
                hint="Make it writable for this user, or choose another folder.",
            ) from exc
        if not self._unnamed and not self._links():
            raise ConfigurationError(
                f"The file system of {self._root} ({_file_system(self._root)}) refuses hard links.",
                hint="Choose a folder on another one, such as ext4, XFS, Btrfs or APFS.",
            )

    def _links(self) -> bool:
        """Tell whether a file can be linked here in the way that is chosen now."""
        probe = f"probe-{os.urandom(8).hex()}"
        try:
            self._put(probe, (_TMP,), probe, b"probe")
            with self._folder((_TMP,)) as tmp:
                os.unlink(probe, dir_fd=tmp)
        except OSError as exc:
            if exc.errno in _NO_LINKS:
                return False
            raise
        return True


@contextmanager
def _translated() -> Iterator[None]:
    """Turn an OSError into ours, by the table of problems."""
    try:
        yield
    except OSError as exc:
        name = errno.errorcode.get(exc.errno or 0, "unknown error")
        error, words, hint = _PROBLEMS.get(
            exc.errno, (StorageUnavailableError, "The file system failed.", "Look at the system's log.")
        )
        raise error(f"{words} ({name})", hint=hint) from exc


def _parts(key: str) -> list[str]:
    """Split *key* into names of folders and a file that are safe on every file system."""
    parts = key.split("/")
    usable = key.isascii() and key.isprintable() and "\\" not in key
    if not usable or parts[0] == _TMP or any(part in {"", ".", ".."} for part in parts):
        raise StorageError(
            "The key is not a path inside the storage.",
            hint="Keys are printable ASCII, without backslashes, empty parts, '.' or '..'.",
        )
    return parts


def _leftover(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _enter(folder: int, name: str, *, make: bool) -> int:
    """Open the folder *name* in *folder*; with *make*, make it where it is missing, to stay after a power cut."""
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
    """Tell whether the file *name* is there and has exactly the bytes *data*."""
    try:
        with _open_file(folder, name) as file:
            return file.read(len(data) + 1) == data
    except (FileNotFoundError, IsADirectoryError):
        return False


def _walk(folder: int, path: str, prefix: str, after: str) -> Iterator[StoredObject]:
    """Yield the files below *folder*, whose keys begin with *path*.

    A folder is sorted with the slash that follows its name in keys: ``a-b/`` and ``a.b/`` come before ``a/``.
    """
    with os.scandir(folder) as entries:
        names = sorted(
            entry.name + ("/" if entry.is_dir(follow_symlinks=False) else "")
            for entry in entries
            if path or entry.name != _TMP
        )
    for name in names:
        key = path + name
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # gone since
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
    """Name the type of the file system that holds *path*, such as ``exfat``, where the system tells."""
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with contextlib.suppress(OSError), open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        for line in mounts:
            fields, _, tail = line.partition(" - ")
            if fields.split()[2] == number:
                return tail.split()[0]
    return "of unknown type"
