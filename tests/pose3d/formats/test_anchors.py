"""Anchors: what a person has confirmed, in a csv file."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.errors import FileFormatError, InvalidValueError
from pose3d.formats import read_anchors, write_anchors
from pose3d.identity.anchors import Anchor

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(str.strip).filter(bool)
PIXELS = st.floats(-1e6, 1e6)
BY_NAME = st.builds(Anchor, frame=st.integers(0, 10**9), individual=NAMES, called=NAMES)
BY_POINT = st.builds(Anchor, frame=st.integers(0, 10**9), individual=NAMES, camera=NAMES, x=PIXELS, y=PIXELS)


@given(anchors=st.lists(st.one_of(BY_NAME, BY_POINT), unique_by=lambda anchor: anchor.frame))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, anchors: list[Anchor]) -> None:
    path = tmp_path_factory.mktemp("anchors") / "anchors.csv"
    write_anchors(path, anchors)
    assert read_anchors(path) == tuple(sorted(anchors, key=lambda anchor: anchor.frame))


def test_either_kind_of_column_alone_in_any_order_and_as_a_spreadsheet_saves_it(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("\ufeffIndividual,frame,called\r\nänna,7,b\r\n,,\r\nben,2,a\r\nben,2,a\r\n".encode())
    assert read_anchors(path) == (Anchor(2, "ben", called="a"), Anchor(7, "änna", called="b"))
    path.write_text("frame,individual,camera,x,y\n3,anna,top,10.5,-2\n3,anna,side,1,2")
    assert read_anchors(path) == (
        Anchor(3, "anna", camera="top", x=10.5, y=-2.0),
        Anchor(3, "anna", camera="side", x=1.0, y=2.0),
    )
    path.write_text("frame,individual,called\n")
    assert read_anchors(path) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got no frame and no individual"),
        ("frame,called\n1,a\n", "got no individual"),
        ("frame,individual,called,color\n", "the columns frame, individual, called, color"),
        ("frame,individual,frame\n", "the columns frame, individual, frame"),
        ("frame;individual;called\n1;a;b\n", "expected commas between the cells, got semicolons"),
        ("frame,individual,called\n1,a,b\n2,a\n", "line 3: expected 3 cells, as in the header, got 2"),
        ("frame,individual,called\n-1,a,b\n", "line 2, frame: expected a frame number, got '-1'"),
        ("frame,individual,called\n1.5,a,b\n", "line 2, frame: expected a frame number, got '1.5'"),
        ("frame,individual,called\n1,,b\n", "line 2: expected a name, got ''"),
        ("frame,individual,called\n1,a,\n", "line 2: expected either the name it has now, or all of camera, x and y"),
        ("frame,individual,camera,x,y\n1,a,top,3,\n", "line 2: expected either the name it has now, or all of camera"),
        ("frame,individual,camera,x,y\n1,a,top,3,b\n", "line 2, y: expected a number of pixels, got 'b'"),
        ("frame,individual,camera,x,y\n1,a,top,3,inf\n", "line 2: expected pixels"),
        ("frame,individual,called,camera,x,y\n1,a,b,top,3,4\n", "line 2: expected either the name it has now"),
        ("frame,individual,called\n1,a,b\n1,c,b\n", "frame 1: expected one individual for one animal, got 'a' and 'c'"),
        ("frame,individual,called\n1,a,b\n1,a,c\n", "frame 1: expected one animal that is 'a', got 'b' and 'c'"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(FileFormatError, match=r"a\.csv") as error:
        read_anchors(tmp_path / "a.csv")
    assert message in str(error.value)


def test_files_of_another_kind_and_missing_ones(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\x89HDF\r\n\x1a\n\xff\xfe")
    with pytest.raises(FileFormatError, match=r"a\.csv: expected lines with the columns"):
        read_anchors(tmp_path / "a.csv")
    with pytest.raises(FileFormatError, match=r"none\.csv: .*No such file"):
        read_anchors(tmp_path / "none.csv")


def test_an_anchor_says_what_is_wrong_with_it() -> None:
    with pytest.raises(InvalidValueError, match=r"anchor of 'a' in frame 3, camera: expected the name of a camera"):
        Anchor(3, "a", camera=" ", x=1.0, y=2.0)
    with pytest.raises(InvalidValueError, match="frame: expected a frame number from 0 on, got -1"):
        Anchor(-1, "a", called="b")
