"""The ways of ``docs/how-to/adopting.md`` bring what they say: each runs literally, as described there."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.parts import needs

from userimages import ImageService
from userimages.adopting import AdoptReport, Refusal
from userimages.repositories.sqlalchemy import SQLAlchemyRepository
from userimages.storages.disk import DiskStorage
from userimages.storages.r2 import R2Storage
from userimages.testing import make_image

DOCS = Path(__file__).parents[2] / "docs/how-to"
DAY = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def block(heading: str) -> str:
    """Return the Python block of the page under *heading*."""
    section = (DOCS / "adopting.md").read_text(encoding="utf-8").partition(f"### {heading}\n")[2]
    return re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)[0]


def follow(heading: str, images: ImageService, **names: Any) -> tuple[AdoptReport, list[Refusal]]:
    """Do what the page says under *heading*, and return the report and what it would print."""
    told: list[Refusal] = []
    names |= {"images": images, "print": told.append}
    exec(block(heading), names)
    return names["report"], told


@pytest.fixture
def images(tmp_path: Path) -> Iterator[ImageService]:
    repository = SQLAlchemyRepository(f"sqlite:///{tmp_path}/new.sqlite3")
    repository.create_schema()
    yield ImageService(DiskStorage(tmp_path / "new"), repository)
    repository.close()


def test_a_django_image_field(seaweedfs, tmp_path: Path) -> None:
    """An ImageField on django-storages: dates, users and refusals, once, although it runs twice."""
    needs("storages")
    bucket = {"bucket_name": seaweedfs.bucket, "access_key": seaweedfs.access_key, "secret_key": seaweedfs.secret_key}
    bucket |= {"endpoint_url": seaweedfs.endpoint, "region_name": "auto", "default_acl": None}
    bucket |= {"location": tmp_path.name, "file_overwrite": False}
    script = Path(__file__).parent / "adopters" / "old_django.py"
    command = [sys.executable, str(script), json.dumps(bucket), str(tmp_path)]
    run = subprocess.run(
        command, input=block("From a Django `ImageField`"), capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout)
    assert seen["report"] == "AdoptReport(adopted=0, present=3, refused=2)"
    assert seen["refused"][:2] == [["avatars/3.png", "unreadable_file"], ["avatars/4.png", "unsupported_format"]]
    assert seen["found"] == [["2", 3, 42, True], ["1", 2, 41, True], ["0", 1, 40, True]]


def test_filedepot(images: ImageService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column of filedepot, in a folder of its own."""
    needs("depot")
    from depot.fields.sqlalchemy import UploadedFileField
    from depot.manager import DepotManager
    from sqlalchemy import Column, Integer, String, create_engine
    from sqlalchemy.orm import declarative_base, sessionmaker

    DepotManager._clear()
    DepotManager.configure("default", {"depot.storage_path": str(tmp_path / "depot")})
    base = declarative_base()

    class User(base):  # type: ignore[valid-type,misc]
        __tablename__ = "users"
        id = Column(Integer, primary_key=True)
        name = Column(String)
        photo = Column(UploadedFileField)

    engine = create_engine(f"sqlite:///{tmp_path}/old.sqlite3")
    base.metadata.create_all(engine)
    session = sessionmaker(engine)
    began = datetime.now(UTC).replace(microsecond=0)
    with session() as filling:
        filling.add_all(User(name=f"user-{n}", photo=make_image("PNG", (40 + n, 30), seed=n)) for n in range(3))
        filling.add_all([User(name="no-photo"), User(name="lost", photo=make_image("PNG", (30, 30)))])
        filling.commit()
        lost = filling.query(User).filter_by(name="lost").one().photo
        lost.depot.delete(lost.file_id)
        path = lost["path"]
    monkeypatch.setitem(sys.modules, "shop.models", ModuleType("shop.models"))
    vars(sys.modules["shop.models"]).update(Session=session, User=User)

    for report in (AdoptReport(adopted=3, refused=1), AdoptReport(present=3, refused=1)):
        found, told = follow("From filedepot", images)
        assert found == report
        assert [(each.original.name, each.code) for each in told] == [(path, "unreadable_file")]
    adopted = sorted(images.recent(), key=lambda each: each.user)
    assert [(each.user, each.width, each.is_primary) for each in adopted] == [
        (f"user-{n}", 40 + n, True) for n in range(3)
    ]
    assert all(began <= each.uploaded_at <= datetime.now(UTC) for each in adopted)
    engine.dispose()


def test_the_original_table_and_its_r2_keys(bucket: R2Storage, own_database: str, monkeypatch) -> None:
    """The original table on PostgreSQL with its keys: into the same bucket, where the old objects stay unharmed."""
    import psycopg

    for name, value in environ_of(bucket).items():
        monkeypatch.setenv(name, value)
    rows = []
    for n in range(6):
        at = DAY + timedelta(hours=n)
        kind = ("profile", "gallery", "cover")[n % 3]
        key = f"users/{'ana' if n < 4 else 'ben'}/images/{kind}_{int(at.timestamp() * 1_000_000)}.jpg"
        if n != 4:
            bucket.put(key, make_image("JPEG", (60 + n, 40), seed=n), mime_type="image/jpeg")
        rows.append((key, key.split("/")[1], kind, n == 3, None if n else "first", at))
    with psycopg.connect(own_database) as connection:
        connection.execute(
            'CREATE TABLE myapp_userimage (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), "user" varchar(150), '
            "image varchar(100), image_type varchar(20), is_primary boolean, caption text, uploaded_at timestamptz)"
        )
        columns = 'INSERT INTO myapp_userimage (image, "user", image_type, is_primary, caption, uploaded_at) VALUES '
        with connection.cursor() as cursor:
            cursor.executemany(columns + "(%s, %s, %s, %s, %s, %s)", rows)
    repository = SQLAlchemyRepository(own_database)
    repository.create_schema()
    images = ImageService(bucket, repository)

    for report in (AdoptReport(adopted=5, refused=1), AdoptReport(present=5, refused=1)):
        found, told = follow("From a table with R2 keys", images, OLD_DATABASE=own_database)
        assert found == report
        assert [(each.original.name, each.code) for each in told] == [(rows[4][0], "unreadable_file")]

    ana = images.list("ana")
    assert [(each.uploaded_at, each.image_type) for each in ana] == [(row[5], row[2]) for row in reversed(rows[:4])]
    assert ([each.is_primary for each in ana], ana[3].caption) == ([True, False, False, False], "first")
    audit = images.audit(delete=True, verify=1.0)
    assert (audit.unknown, audit.orphans, audit.missing, audit.damaged, audit.images) == (5, (), (), (), 5)
    assert images.delete_user("ana").left == tuple(sorted(row[0] for row in rows[:4]))
    repository.close()


def environ_of(bucket: R2Storage) -> dict[str, str]:
    """Return the settings of a storage."""
    return {
        "R2_ACCOUNT_ID": bucket.account_id,
        "R2_ACCESS_KEY_ID": bucket.access_key_id,
        "R2_SECRET_ACCESS_KEY": bucket.secret_access_key,
        "R2_BUCKET_NAME": bucket.bucket_name,
        "R2_ENDPOINT_URL": bucket.endpoint,
    }
