import subprocess
import sys
from pathlib import Path

import pytest

from userimages import ConfigurationError, InvalidFieldError
from userimages.config import service_from_env
from userimages.repositories.memory import MemoryRepository
from userimages.signing import UrlSigner
from userimages.storages.disk import DiskStorage
from userimages.storages.memory import MemoryStorage
from userimages.storages.r2 import R2Storage
from userimages.testing import instant_processor, make_image

R2 = {
    "R2_ACCOUNT_ID": "0123456789abcdef0123456789abcdef",
    "R2_ACCESS_KEY_ID": "id",
    "R2_SECRET_ACCESS_KEY": "secret",
    "R2_BUCKET_NAME": "bucket",
}


def test_no_setting_at_all_gives_sqlite_and_local_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No setting at all gives SQLite and local disk."""
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO", "userimages")

    images = service_from_env({})

    assert isinstance(images.storage, DiskStorage)
    assert images.list("ana").images == ()
    assert (tmp_path / "userimages-data" / "userimages.sqlite3").exists()
    assert str(tmp_path / "userimages-data") in caplog.text


def test_a_new_database_is_told_of_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that the console finds in a wrong folder makes an empty database, and a warning says so."""
    module = "from userimages.config import service_from_env\nimages = service_from_env()\n"
    (tmp_path / "fresh_app.py").write_text(module)
    monkeypatch.delenv("USERIMAGES_DATA_DIR", raising=False)
    command = [sys.executable, "-m", "userimages", "--app", "fresh_app:images", "sweep"]
    shown = [subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stderr for _ in range(2)]
    file = tmp_path / "userimages-data" / "userimages.sqlite3"
    assert shown == [f"there was no database, so an empty one was made: {file}\n", ""]


def test_a_second_service_sees_what_the_first_stored(tmp_path: Path, photo: bytes) -> None:
    """A second service sees what the first one stored."""
    environ = {"USERIMAGES_DATA_DIR": str(tmp_path / "data")}

    image = service_from_env(environ).upload("ana", photo, image_type="profile")

    assert service_from_env(environ).get(image.id) == image


def test_r2_settings_choose_r2(tmp_path: Path) -> None:
    """R2 settings choose R2."""
    images = service_from_env(R2 | {"USERIMAGES_DATA_DIR": str(tmp_path)})

    assert isinstance(images.storage, R2Storage)
    assert "secret" not in repr(images.storage)


def test_signing_keys_make_a_signer(tmp_path: Path) -> None:
    """For the serve route on any storage, and for the WAF of a bucket's domain where there is one."""
    keys = ["a-key-of-at-least-32-characters-1234", "another-key-of-at-least-32-characters"]
    environ = {"USERIMAGES_SIGNING_KEYS": ",".join(keys), "USERIMAGES_DATA_DIR": str(tmp_path)}
    domain = {"R2_PUBLIC_DOMAIN": "img.example.com"}

    assert service_from_env({"USERIMAGES_DATA_DIR": str(tmp_path)}).signer is None
    assert service_from_env(environ).signer == service_from_env(environ | R2).signer == UrlSigner(keys)
    assert service_from_env(environ | R2).storage.url("users/a/images/b") is None
    assert service_from_env(environ | R2 | domain).storage.signer == UrlSigner(keys)
    presigned = service_from_env(environ | R2 | {"R2_SIGNED_URLS": "86400"}).storage.url("users/a/images/b")
    assert "X-Amz-Expires=172800" in presigned
    assert "verify" not in presigned


@pytest.mark.parametrize("keys", ["short", "a-key-of-at-least-32-characters-1234,short"])
def test_a_short_signing_key_is_named(tmp_path: Path, keys: str) -> None:
    """By its setting and its place, and it is not shown."""
    with pytest.raises(ConfigurationError, match=r"USERIMAGES_SIGNING_KEYS: Signing key [12] has 5") as refusal:
        service_from_env({"USERIMAGES_SIGNING_KEYS": keys, "USERIMAGES_DATA_DIR": str(tmp_path)})
    assert "short" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", list(R2))
@pytest.mark.contract("C21")
def test_a_missing_r2_setting_is_named(tmp_path: Path, missing: str) -> None:
    """A missing R2 setting is named, and the disk is never used in its place."""
    environ = {name: value for name, value in R2.items() if name != missing}

    with pytest.raises(ConfigurationError, match=missing):
        service_from_env(environ | {"USERIMAGES_DATA_DIR": str(tmp_path)})


@pytest.mark.parametrize("name", ["R2_BUCKET", "R2_ACCES_KEY_ID", "R2_REGION"])
def test_an_unknown_r2_setting_is_named(tmp_path: Path, name: str) -> None:
    """An unknown R2 setting is named."""
    for environ in ({name: "x"}, R2 | {name: "x"}):
        with pytest.raises(ConfigurationError, match=name):
            service_from_env(environ | {"USERIMAGES_DATA_DIR": str(tmp_path)})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("USERIMAGES_DATABASE", "USERIMAGES_DATABASE_URL"),
        ("USERIMAGES_DB_URL", "USERIMAGES_DATABASE_URL"),
        ("USERIMAGES_DATABASE_URI", "USERIMAGES_DATABASE_URL"),
        ("USERIMAGES_database_url", "USERIMAGES_DATABASE_URL"),
        ("USER_IMAGES_DATA_DIR", "USERIMAGES_DATA_DIR"),
        ("USERIMAGE_DATABASE_URL", "USERIMAGES_DATABASE_URL"),
        ("USERIMAGES_DATADIR", "USERIMAGES_DATA_DIR"),
        ("USERIMAGES_DIR", "USERIMAGES_DATA_DIR"),
        ("USERIMAGES_R2_BUCKET_NAME", "R2_BUCKET_NAME"),
        ("USERIMAGES_SIGNING_KEY", "USERIMAGES_SIGNING_KEYS"),
        ("USERIMAGES_R2_SIGNED_URLS", "R2_SIGNED_URLS"),
    ],
)
def test_a_misspelled_setting_is_named(tmp_path: Path, name: str, meant: str) -> None:
    """A misspelled setting is named, with what was meant."""
    with pytest.raises(ConfigurationError, match=rf"{name} \(did you mean {meant}\?\)"):
        service_from_env({name: "x", "USERIMAGES_DATA_DIR": str(tmp_path)})


@pytest.mark.parametrize("url", ["nonsense", "mysql://u:secret@host/name", "sqlite+nonsense:///images.db"])
def test_a_wrong_database_url_names_the_setting(tmp_path: Path, url: str) -> None:
    """A database URL that is wrong is an error that names the setting."""
    with pytest.raises(ConfigurationError, match="USERIMAGES_DATABASE_URL") as refusal:
        service_from_env({"USERIMAGES_DATABASE_URL": url, "USERIMAGES_DATA_DIR": str(tmp_path)})
    assert "secret" not in str(refusal.value)


def test_other_names_of_the_same_prefix_pass(tmp_path: Path) -> None:
    """Other names of the same prefix pass."""
    environ = {"USERIMAGES_EXAMPLE_OPEN": "1", "USERIMAGES_CORPUS": "x", "USERIMAGES_TORTURE": "1", "R2D2": "x"}

    service_from_env(environ | {"USERIMAGES_DATA_DIR": str(tmp_path), "R2_BUCKET_NAME": " "})


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite+pysqlite:///"])
def test_a_database_in_memory_is_refused(tmp_path: Path, url: str) -> None:
    """A database in memory is refused, because it would forget."""
    with pytest.raises(ConfigurationError, match="in memory"):
        service_from_env({"USERIMAGES_DATABASE_URL": url, "USERIMAGES_DATA_DIR": str(tmp_path)})


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("volume", ["data", "data/objects"])
def test_a_volume_that_is_not_mounted_is_noticed(tmp_path: Path, volume: str, create: bool) -> None:
    """A volume that is not mounted is noticed by the images that it should hold."""
    environ = {"USERIMAGES_DATABASE_URL": f"sqlite:///{tmp_path}/db", "USERIMAGES_DATA_DIR": str(tmp_path / "data")}
    service_from_env(environ)
    service_from_env(environ).upload("ana", make_image(), image_type="profile")
    (tmp_path / volume).rename(tmp_path / "unmounted")
    (tmp_path / volume).mkdir()

    with pytest.raises(ConfigurationError, match=r"USERIMAGES_DATA_DIR.*not mounted"):
        service_from_env(environ, create=create)
    assert not list((tmp_path / volume).iterdir())


@pytest.mark.parametrize("url", [None, "sqlite:///{}/typo.db", "sqlite:///file:{}/typo%20.db?uri=true"])
def test_without_create_nothing_is_made(tmp_path: Path, url: str | None) -> None:
    """Without create nothing is made."""
    environ = {"USERIMAGES_DATA_DIR": str(tmp_path / "data")}
    if url:
        environ["USERIMAGES_DATABASE_URL"] = url.format(tmp_path)

    with pytest.raises(ConfigurationError, match="cannot be opened: No such file"):
        service_from_env(environ, create=False)
    assert not list(tmp_path.iterdir())


def test_objects_out_of_a_backup_are_known_by_user(tmp_path: Path) -> None:
    """Objects that came out of a backup are known by their users."""
    environ = {"USERIMAGES_DATA_DIR": str(tmp_path)}
    image = service_from_env(environ).upload("ana", make_image(), image_type="profile")
    (tmp_path / "objects" / ".tmp").rmdir()

    restored = service_from_env(environ, create=False)
    with restored.open(image.id) as stream:
        assert len(stream.read()) == image.size_bytes


@pytest.mark.parametrize("name", ["what?now", "per%20cent#x"])
def test_the_data_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    """The data folder may have any name."""
    service_from_env({"USERIMAGES_DATA_DIR": str(tmp_path / name)})

    assert [each.name for each in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "userimages.sqlite3").exists()


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    """A data folder that cannot be made is a clear error."""
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match="USERIMAGES_DATA_DIR"):
        service_from_env({"USERIMAGES_DATA_DIR": str(tmp_path / "file" / "data")})


def test_a_storage_and_a_repository_may_be_given(tmp_path: Path) -> None:
    """What is given is used, and of the settings only the rest."""
    storage, repository = MemoryStorage(), MemoryRepository()
    settings = {"USERIMAGES_DATA_DIR": str(tmp_path / "data"), "USERIMAGES_PRIMARY_PER_TYPE": "true"}
    images = service_from_env(settings, storage=storage, repository=repository)
    assert (images.storage, images.repository) == (storage, repository)
    assert not (tmp_path / "data").exists()
    assert images.primary("ana", image_type="profile") is None
    images = service_from_env(settings, repository=repository)
    assert images.repository is repository
    assert (tmp_path / "data/objects").is_dir()


def test_a_storage_that_must_be_r2_is_no_disk() -> None:
    """A lost environment is an error, in place of images on the disk of a container."""
    with pytest.raises(ConfigurationError, match=r"USERIMAGES_STORAGE is r2.*R2_ACCOUNT_ID"):
        service_from_env({"USERIMAGES_STORAGE": "r2"})
    with pytest.raises(ConfigurationError, match="USERIMAGES_STORAGE is disk, but"):
        service_from_env({"USERIMAGES_STORAGE": "disk", "R2_BUCKET_NAME": "b"})
    with pytest.raises(ConfigurationError, match="USERIMAGES_STORAGE is 's3'"):
        service_from_env({"USERIMAGES_STORAGE": "s3"})


def test_the_arguments_reach_the_service(tmp_path: Path) -> None:
    """The arguments reach the service."""
    purged: list[str] = []
    images = service_from_env(
        {"USERIMAGES_DATA_DIR": str(tmp_path), "USERIMAGES_STORAGE": "Disk", "USERIMAGES_SIGNING_KEYS": "k" * 32},
        processor=instant_processor,
        serve_url="/media/{id}/",
        staged_url="/raw/{id}/",
        on_deleted=purged.extend,
        primary_per_type=True,
    )
    image = images.upload("ana", b"x", image_type="cover", is_primary=True)
    assert image.url.startswith(f"/media/{image.id}/?verify=")
    assert images.begin_upload("ana", size_bytes=1, mime_type="image/png").url.startswith("/raw/")
    assert images.primaries(["ana"], image_type="cover")["ana"].id == image.id


@pytest.mark.parametrize(("written", "per_type"), [("true", True), ("False", False), ("", False)])
def test_one_primary_per_type_is_a_setting(tmp_path: Path, written: str, per_type: bool) -> None:
    """One primary per type is a setting."""
    settings = {"USERIMAGES_DATA_DIR": str(tmp_path), "USERIMAGES_PRIMARY_PER_TYPE": written}
    images = service_from_env(settings)
    with pytest.raises(InvalidFieldError):
        images.primary("ana", image_type=None if per_type else "cover")
    with pytest.raises(ConfigurationError, match="Write true or false"):
        service_from_env(settings | {"USERIMAGES_PRIMARY_PER_TYPE": "yes"})


def test_the_log_says_what_was_chosen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log says what was chosen."""
    with caplog.at_level("INFO", logger="userimages"):
        service_from_env({"USERIMAGES_DATA_DIR": str(tmp_path)})
    assert str(tmp_path / "objects") in caplog.messages[-1]
    assert "userimages.sqlite3" in caplog.messages[0]
