import pickle

import pytest

from userimages import errors

ALL = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.UserImagesError)]


def test_what_may_have_happened_is_the_safe_answer() -> None:
    """Of the whole tree, only what says so for certain has not happened; a foreign exception may have."""
    unsure = {errors.StorageUnavailableError, errors.RepositoryError}
    for error in (*ALL, *(type(f"Their{each.__name__}", (each,), {}) for each in ALL), OSError, ValueError, KeyError):
        ours = [each for each in error.__mro__ if each in ALL]  # the nearest class of ours decides
        expected = not ours or ours[0] in unsure
        assert errors.may_have_happened(error("What.")) is expected, error


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.BrokenImageError, ValueError),
        (errors.InvalidFieldError, ValueError),
        (errors.ImageNotFoundError, LookupError),
        (errors.ObjectNotFoundError, LookupError),
    ],
)
def test_a_builtin_second_parent_catches_too(error: type[Exception], builtin: type[Exception]) -> None:
    """A builtin second parent catches too."""
    assert issubclass(error, builtin)


def test_codes_are_distinct_words() -> None:
    """Codes are distinct words."""
    codes = [each.code for each in ALL]
    assert len(set(codes)) == len(codes)
    assert all(code.replace("_", "").isalpha() and code == code.lower() for code in codes)


@pytest.mark.parametrize("error", ALL)
def test_errors_survive_pickling(error: type[errors.UserImagesError]) -> None:
    """Errors survive pickling."""
    raised = error("What.", hint="Do this.")
    raised.limit = 5  # type: ignore[attr-defined]

    copy = pickle.loads(pickle.dumps(raised))

    assert (type(copy), str(copy), vars(copy)) == (error, "What. Do this.", vars(raised))


def test_the_tree_in_the_docstring_names_every_error() -> None:
    """The tree in the docstring names every error."""
    assert errors.__doc__
    assert all(each.__name__ in errors.__doc__ for each in ALL)
