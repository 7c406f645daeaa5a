"""What libraries store of hostile files, and what they leave behind when a process is killed.

    python benchmarks/promises.py

Each library does what its README shows for an image column, on SQLite and the local disk, with its own checks
switched on. Each upload is a process of its own. Hostile: a text named .jpg, no bytes at all, a JPEG that is cut in
half, a PNG of 169 megapixels in 0.2 MB, a photograph with GPS, and one with a script behind its end. Killed: the
process gets SIGKILL when the bytes are stored and the transaction is about to commit; what counts is files that no row
names, after the library's own repair, if it has one.
"""

import argparse
import io
import os
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from userimages import ImageService
from userimages.config import service_from_env
from userimages.ids import utcnow
from userimages.testing import make_image

SCRIPT = b"<script>alert(1)</script>"
LIBRARIES = ("userimages", "Django ImageField", "filedepot", "sqlalchemy-file")
Upload = Callable[[bytes], None]


def bomb() -> bytes:
    """Return a PNG of 13,000 by 13,000 pixels."""
    side, packer = 13_000, zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + side)) for _ in range(side)) + packer.flush()

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def files() -> dict[str, bytes]:
    """Return the hostile files by name."""
    photo = make_image("JPEG", (1200, 900), orientation=6, gps=True)
    return {
        "text named .jpg": b"hello, I am not a picture\n" * 40,
        "no bytes": b"",
        "half a JPEG": photo[: len(photo) // 2],
        "PNG bomb": bomb(),
        "GPS": photo,
        "script behind the end": make_image("JPEG", (1200, 900), trailing=SCRIPT),
    }


def ours(folder: Path, before_commit: Callable[[], None] | None) -> Upload:
    """The service that the environment describes."""
    images = service_from_env({"USERIMAGES_DATA_DIR": str(folder)})
    if before_commit:
        publish = images.repository.publish

        def killed(*arguments: object, **options: object) -> object:
            before_commit()
            return publish(*arguments, **options)  # type: ignore[arg-type]

        images.repository.publish = killed  # type: ignore[method-assign,assignment]
    return lambda data: images.upload("1", data, image_type="gallery") and None


def django(folder: Path, before_commit: Callable[[], None] | None) -> Upload:
    """A model with an ImageField, saved by a form, which is where Django checks an image."""
    from django.conf import settings

    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "db.sqlite3"}
    settings.configure(DATABASES={"default": database}, MEDIA_ROOT=str(folder), USE_TZ=True)
    import django as framework

    framework.setup()
    from django import forms
    from django.core.files.uploadedfile import SimpleUploadedFile
    from django.db import connection, models, transaction

    class Picture(models.Model):
        image = models.ImageField(upload_to="objects")

        class Meta:
            app_label = "promises"

    if Picture._meta.db_table not in connection.introspection.table_names():
        with connection.schema_editor() as editor:
            editor.create_model(Picture)
    form = forms.modelform_factory(Picture, fields=["image"])

    def upload(data: bytes) -> None:
        filled = form({}, {"image": SimpleUploadedFile("a.jpg", data, "image/jpeg")})
        if not filled.is_valid():
            raise ValueError(filled.errors)
        with transaction.atomic():
            filled.save()
            if before_commit:
                before_commit()

    return upload


def _sqlalchemy(folder: Path, column: object, before_commit: Callable[[], None] | None) -> Callable[[object], None]:
    from sqlalchemy import Column, Integer, create_engine, event
    from sqlalchemy.orm import Session, declarative_base

    base = declarative_base()

    class Picture(base):  # type: ignore[misc,valid-type]
        __tablename__ = "pictures"
        id = Column(Integer, primary_key=True)
        image = Column(column)  # type: ignore[var-annotated,arg-type]

    engine = create_engine(f"sqlite:///{folder}/db.sqlite3")
    base.metadata.create_all(engine)

    def upload(data: object) -> None:
        with Session(engine) as session:
            if before_commit:
                event.listen(engine, "commit", lambda connection: before_commit())
            session.add(Picture(image=data))
            session.commit()

    return upload


def filedepot(folder: Path, before_commit: Callable[[], None] | None) -> Upload:
    """A column of filedepot that makes a thumbnail of each image."""
    from depot.fields.specialized.image import UploadedImageWithThumb
    from depot.fields.sqlalchemy import UploadedFileField
    from depot.manager import DepotManager

    DepotManager.configure("default", {"depot.storage_path": str(folder / "objects")})
    upload = _sqlalchemy(folder, UploadedFileField(upload_type=UploadedImageWithThumb), before_commit)
    return lambda data: upload(io.BytesIO(data))


def sqlalchemy_file(folder: Path, before_commit: Callable[[], None] | None) -> Upload:
    """A column of sqlalchemy-file with its own check and a thumbnail."""
    from libcloud.storage.drivers.local import LocalStorageDriver
    from sqlalchemy_file import File, ImageField
    from sqlalchemy_file.storage import StorageManager

    (folder / "objects").mkdir(exist_ok=True)
    StorageManager.add_storage("default", LocalStorageDriver(str(folder)).get_container("objects"))
    upload = _sqlalchemy(folder, ImageField(thumbnail_size=(320, 320)), before_commit)
    return lambda data: upload(File(content=io.BytesIO(data), filename="a.jpg"))


MAKE = dict(zip(LIBRARIES, (ours, django, filedepot, sqlalchemy_file), strict=True))


def child(library: str, folder: Path, kill: bool) -> None:
    """Upload what comes in and tell what it took."""

    def now() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    upload = MAKE[library](folder, now if kill else None)
    upload(make_image("JPEG", (80, 60))) if not kill else None
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        upload(sys.stdin.buffer.read())
        said = "stored"
    except Exception as exc:
        print(f"{type(exc).__name__}: {exc}", file=sys.stderr)
        said = "refused"
    print(said, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)


def run(library: str, folder: Path, data: bytes, *, kill: bool = False) -> tuple[str, int]:
    """Upload *data* in a process of its own, and return what became of it and the MiB that it took."""
    command = [sys.executable, __file__, "--child", library, "--folder", str(folder), *(["--kill"] if kill else [])]
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    words = done.stdout.split()
    return (words[0].decode(), int(words[1])) if words else ("killed" if done.returncode < 0 else "failed", 0)


def objects(folder: Path) -> list[Path]:
    """Return the files that were stored."""
    return [path for path in (folder / "objects").rglob("*") if path.is_file() and path.suffix != ".json"]


def main() -> None:
    """Print one row for each question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--kill", action="store_true")
    options = parser.parse_args()
    if options.child:
        child(options.child, options.folder, options.kill)
        return
    print("| | " + " | ".join(LIBRARIES) + " |\n|---|" + "---|" * len(LIBRARIES))
    for name, data in files().items():
        cells = []
        for library in LIBRARIES:
            with tempfile.TemporaryDirectory() as made:
                folder = Path(made)
                said, memory = run(library, folder, data)
                kept = b"".join(path.read_bytes() for path in objects(folder))
                if said == "stored" and name == "GPS":
                    said = "**kept**" if b"Exif" in kept else "removed"
                if said == "stored" and name == "script behind the end":
                    said = "**kept**" if SCRIPT in kept else "removed"
                if said == "stored" and name not in {"GPS", "script behind the end"}:
                    said = "**stored**"
                cells.append(f"{said}, {memory} MiB" if name == "PNG bomb" else said)
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    cells = []
    for library in LIBRARIES:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            for _ in range(10):
                said, _ = run(library, folder, make_image("JPEG", (800, 600)), kill=True)
                assert said == "killed", said
            if library == "userimages":
                found = service_from_env({"USERIMAGES_DATA_DIR": str(folder)})
                for hours in (1, 3):  # as if the sweep came an hour later, and again
                    at = utcnow() + timedelta(hours=hours)
                    ImageService(found.storage, found.repository, clock=partial(lambda at: at, at)).sweep()
            left = len(objects(folder))
            cells.append(str(left) if left == 0 else f"**{left}**")
    print("| files without a row after 10 kills | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
