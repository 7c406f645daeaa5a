import logging

import pytest

from userimages import BrokenImageError, ImageNotFoundError, ImageService, StorageError
from userimages.logs import reason

SECRET = "ana-maria.secret"


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "userimages")


@pytest.mark.contract("C30")
def test_uploads_and_lists_are_logged_with_durations(images: ImageService, user: str, caplog) -> None:
    """Uploads and lists are logged with their durations."""
    image = images.upload(user, b"x", image_type="cover")
    images.list(user)

    ours = [each for each in caplog.records if each.name == "userimages"]
    assert [each.message for each in ours] == ["upload started", "upload done", "list started", "list done"]
    assert ours[1].image_id == str(image.id)
    assert ours[1].size_bytes == 1
    assert ours[3].images == 1
    assert min(ours[1].duration_ms, ours[3].duration_ms) > 0


@pytest.mark.contract("C30")
def test_a_failed_upload_is_logged_with_its_code(caplog) -> None:
    """A failed upload is logged with its code."""
    with pytest.raises(BrokenImageError):
        ImageService.in_memory().upload("ana", b"\xff\xd8\xff\xe0", image_type="cover")

    failed = caplog.records[-1]
    assert (failed.levelname, failed.error, failed.event) == ("INFO", "broken_image", "upload")


@pytest.mark.contract("C30")
def test_no_log_record_holds_personal_data(images: ImageService, user: str, caplog) -> None:
    """No log record holds personal data."""
    user = f"{SECRET}-{user}"
    image = images.upload(user, b"x", image_type="cover", caption=SECRET, is_primary=True)
    images.list(user)
    images.set_primary(image.id)
    images.update(image.id, caption=SECRET + "!")
    images.delete(image.id)
    images.delete_user(user)

    ours = [each for each in caplog.records if each.name == "userimages"]
    assert len(ours) >= 10
    assert not [each for each in ours if SECRET in repr(vars(each))]


def test_a_foreign_error_is_named_and_not_quoted() -> None:
    """A foreign error is named and not quoted."""
    assert reason(KeyError("secret")) == "KeyError"
    assert reason(StorageError("The disk is full.")) == "The disk is full."


def test_every_record_has_what_a_formatter_names(images: ImageService, user: str) -> None:
    """A formatter may name the keys of ``extra=``: all records of the package have them, if only as None."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Lines()
    handler.setFormatter(logging.Formatter("%(name)s|%(event)s|%(image_id)s|%(duration_ms)s|%(error)s"))
    logging.getLogger("userimages").addHandler(handler)
    try:
        image = images.upload(user, b"x", image_type="cover")
        images.list(user)
        with pytest.raises(ImageNotFoundError):
            images.delete(image.id, user="nobody")
        for name in ours():
            logging.getLogger(name).warning("Something without keys.")
    finally:
        logging.getLogger("userimages").removeHandler(handler)

    assert f"userimages|upload|{image.id}|" in "\n".join(lines)
    assert "userimages|delete|" in lines[-len(ours()) - 1]
    assert lines[-1].endswith("|None|None|None|None")


def ours() -> list[str]:
    import userimages.http

    assert userimages.http
    known = logging.root.manager.loggerDict.items()
    return [name for name, each in known if name.startswith("userimages") and isinstance(each, logging.Logger)]


def test_the_package_adds_no_handler() -> None:
    """Without any set-up Python writes warnings and errors to stderr, which a handler of ours would prevent."""
    assert [name for name in ours() if logging.getLogger(name).handlers] == []
