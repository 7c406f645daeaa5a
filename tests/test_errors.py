import pickle

import pytest

from userimages import errors

ALL = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.UserImagesError)]


def test_one_root_catches_all() -> None:
    assert len(ALL) == 17


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.BrokenImageError, ValueError),
        (errors.InvalidFieldError, ValueError),
        (errors.ImageNotFoundError, LookupError),
        (errors.BlobNotFoundError, LookupError),
    ],
)
def test_a_builtin_second_parent_catches_too(error: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(error, builtin)


def test_codes_are_distinct_words() -> None:
    codes = [each.code for each in ALL]
    assert len(set(codes)) == len(codes)
    assert all(code.replace("_", "").isalpha() and code == code.lower() for code in codes)


@pytest.mark.parametrize("error", ALL)
def test_errors_survive_pickling(error: type[errors.UserImagesError]) -> None:
    raised = error("What.", hint="Do this.")
    raised.limit = 5  # type: ignore[attr-defined]

    copy = pickle.loads(pickle.dumps(raised))

    assert (type(copy), str(copy), vars(copy)) == (error, "What. Do this.", vars(raised))


def test_the_tree_in_the_docstring_names_every_error() -> None:
    assert errors.__doc__
    assert all(each.__name__ in errors.__doc__ for each in ALL)
