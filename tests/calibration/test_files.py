"""A file appears under its name only when it is complete."""

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from calibration.errors import InvalidValueError, OutputError
from calibration.files import atomic_path, write_text

POSIX = pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX systems")


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail_halfway(final: Path, error: BaseException) -> None:
    with atomic_path(final) as partial:
        partial.write_text("half")
        raise error


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def assert_complete(error: OutputError, path: Path) -> None:
    assert error.subject == str(path)
    assert error.expected
    assert error.got
    assert error.remedy


def test_text_is_written_as_utf8_with_line_feeds(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "Übung\nß\n")
    assert (tmp_path / "a.txt").read_bytes() == "Übung\nß\n".encode()


def test_nothing_is_under_the_name_before_the_end(tmp_path: Path) -> None:
    final = tmp_path / "a.nc"
    with atomic_path(final) as partial:
        partial.write_text("half")
        assert not final.exists()
        assert partial.parent == final.parent  # one file system: the rename is one step
    assert final.read_text() == "half"
    assert names(tmp_path) == ["a.nc"]


def test_the_new_content_replaces_the_old(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old, and longer")
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError])
@pytest.mark.parametrize("existing", [None, "old"])
def test_a_failure_leaves_everything_as_it_was(
    tmp_path: Path, error: type[BaseException], existing: str | None
) -> None:
    final = tmp_path / "a.txt"
    if existing is not None:
        final.write_text(existing)
    before = names(tmp_path)
    with pytest.raises(error):
        fail_halfway(final, error())
    assert names(tmp_path) == before
    assert existing is None or final.read_text() == existing


def test_errors_of_the_suite_pass_through(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError), atomic_path(tmp_path / "a"):
        raise InvalidValueError("x", expected="a", got="b", remedy="c")
    with pytest.raises(OutputError) as caught, atomic_path(tmp_path / "a"), atomic_path(tmp_path):
        pass
    assert caught.value.got == "a folder"


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    final = tmp_path / "a.nc"
    final.write_text("old")
    with pytest.raises(OutputError, match="No space left") as caught:
        fail_halfway(final, OSError(errno.ENOSPC, "No space left on device"))
    assert_complete(caught.value, final)
    assert final.read_text() == "old"
    assert names(tmp_path) == ["a.nc"]


def test_a_full_disk_at_the_rename_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match="nothing was changed"), atomic_path(tmp_path / "a") as partial:
        partial.write_text("whole")
    assert names(tmp_path) == []


def test_an_error_without_text_has_a_reason(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="got OSError"), atomic_path(tmp_path / "a"):
        raise OSError


def test_the_first_error_is_told_even_if_the_partial_file_cannot_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held_open(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "in use")

    monkeypatch.setattr(Path, "unlink", held_open)
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "a"):
        raise ZeroDivisionError


def test_missing_folders_are_made(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "folder" / "a.txt", "text")
    assert (tmp_path / "new" / "folder" / "a.txt").read_text() == "text"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="got a folder") as caught, atomic_path(tmp_path):
        pass
    assert_complete(caught.value, tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_or_device_is_no_file(tmp_path: Path) -> None:
    """As root, a rename would put a file in the place of /dev/null."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="a device or pipe"), atomic_path(tmp_path / "pipe"):
        pass
    assert (tmp_path / "pipe").is_fifo()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    target = tmp_path / "file" / "a.txt"
    with pytest.raises(OutputError) as caught:
        write_text(target, "text")
    assert_complete(caught.value, target)
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder where nobody may write")
def test_an_unwritable_folder_is_said() -> None:
    with pytest.raises(OutputError) as caught:
        write_text("/proc/self/a.txt", "text")
    assert_complete(caught.value, Path("/proc/self/a.txt"))


def test_a_name_no_system_allows_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write_text(tmp_path / "a\0b", "text")


def test_relative_paths_stay_where_they_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_text("a.txt", "here")
    write_text(Path("folder") / "b.txt", "there")
    assert (tmp_path / "a.txt").read_text() == "here"
    assert (tmp_path / "folder" / "b.txt").read_text() == "there"


@pytest.mark.parametrize(
    "name", ["poses.analysis.h5", ".hidden.csv", "no_suffix", "a" * 240 + ".nc", "é" * 120 + ".mp4"]
)
def test_writers_find_the_suffix_they_look_for(tmp_path: Path, name: str) -> None:
    with atomic_path(tmp_path / name) as partial:
        assert partial.suffix == Path(name).suffix or name.startswith(".")
        assert partial.name.endswith(name[-40:])
        partial.write_text("text")
    assert names(tmp_path) == [name]


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    final = tmp_path / "a"
    with atomic_path(final) as first, atomic_path(final) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert final.read_text() == "first"  # the one that ended last
    assert names(tmp_path) == ["a"]


@POSIX
@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path: Path, mask: int, expected: int) -> None:
    with umask(mask):
        write_text(tmp_path / "a", "text")
    assert mode(tmp_path / "a") == expected


@POSIX
def test_a_replaced_file_keeps_its_permissions(tmp_path: Path) -> None:
    final = tmp_path / "private"
    final.write_text("old")
    final.chmod(0o600)
    with umask(0o022):
        write_text(final, "new")
    assert (final.read_text(), mode(final)) == ("new", 0o600)


@POSIX
def test_the_umask_of_other_threads_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "umask", lambda _: pytest.fail("the umask belongs to the whole process"))
    threads = [threading.Thread(target=write_text, args=(tmp_path / str(i), "text")) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(tmp_path)) == 4


@POSIX
def test_a_link_stays_and_the_file_it_points_to_is_replaced(tmp_path: Path) -> None:
    disk, project = tmp_path / "disk", tmp_path / "project"
    disk.mkdir()
    project.mkdir()
    (disk / "big.nc").write_text("old")
    (project / "a.nc").symlink_to(disk / "big.nc")
    write_text(project / "a.nc", "new")
    assert (project / "a.nc").is_symlink()
    assert (disk / "big.nc").read_text() == "new"
    assert (names(disk), names(project)) == (["big.nc"], ["a.nc"])


@POSIX
def test_links_to_nothing_and_to_folders(tmp_path: Path) -> None:
    (tmp_path / "broken").symlink_to(tmp_path / "later" / "a.txt")
    write_text(tmp_path / "broken", "text")
    assert (tmp_path / "later" / "a.txt").read_text() == "text"
    (tmp_path / "folder").symlink_to(tmp_path / "later", target_is_directory=True)
    with pytest.raises(OutputError, match="got a folder"):
        write_text(tmp_path / "folder", "text")
    write_text(tmp_path / "folder" / "b.txt", "through a linked folder")
    assert (tmp_path / "later" / "b.txt").read_text() == "through a linked folder"


@POSIX
def test_a_link_to_itself_is_an_error_or_replaced_but_no_crash(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    write_text(tmp_path / "loop", "text")
    assert (tmp_path / "loop").read_text() == "text"
