"""Errors say four things, are what callers catch, and cross process borders."""

import copy
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from calibration.errors import (
    FileFormatError,
    InvalidValueError,
    MismatchError,
    OutOfMemoryError,
    OutputError,
    SuiteError,
    SuiteWarning,
)
from calibration.files import write_text

CLASSES = [SuiteError, FileFormatError, InvalidValueError, MismatchError, OutOfMemoryError, OutputError]


def make(cls: type[SuiteError]) -> SuiteError:
    return cls("rig.toml, camera 'top'", expected="9 numbers", got="8", remedy="Write the missing one.")


@pytest.mark.parametrize("cls", CLASSES)
def test_the_message_says_subject_expected_got_and_remedy(cls: type[SuiteError]) -> None:
    assert str(make(cls)) == "rig.toml, camera 'top': expected 9 numbers, got 8. Write the missing one."


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_errors_survive_pickling(cls: type[SuiteError], protocol: int) -> None:
    error = make(cls)
    back = pickle.loads(pickle.dumps(error, protocol))
    assert type(back) is cls
    assert str(back) == str(error)
    assert (back.subject, back.expected, back.got, back.remedy) == (
        "rig.toml, camera 'top'",
        "9 numbers",
        "8",
        error.remedy,
    )


@pytest.mark.parametrize("cls", CLASSES)
def test_errors_can_be_copied(cls: type[SuiteError]) -> None:
    assert str(copy.deepcopy(make(cls))) == str(copy.copy(make(cls))) == str(make(cls))


def test_an_error_of_another_process_arrives_whole(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        error = pool.submit(write_text, tmp_path, "text").exception()
    assert isinstance(error, OutputError)
    assert (error.subject, error.got) == (str(tmp_path), "a folder")


def test_errors_are_also_what_python_code_catches() -> None:
    for cls in (FileFormatError, InvalidValueError, MismatchError):
        assert issubclass(cls, ValueError)
    assert issubclass(OutputError, OSError)
    assert all(issubclass(cls, SuiteError) for cls in CLASSES)
    assert not issubclass(SuiteError, ValueError | OSError)


def test_any_subject_is_turned_into_text(tmp_path: Path) -> None:
    error = InvalidValueError(tmp_path / "a.toml", expected="b", got="c", remedy="d")
    assert error.subject == str(tmp_path / "a.toml")


def test_the_warning_is_one_for_users() -> None:
    assert issubclass(SuiteWarning, UserWarning)
