"""What the page of results says: its examples run, and its table of columns is that of the files."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from calibration.boards import Charuco
from calibration.corners import corners
from calibration.formats import save_corners
from calibration.synthetic import make_rig
from calibration.triangulation import Status
from pose3d.formats import save_session, write_csv

PAGE = (Path(__file__).parents[3] / "docs" / "results.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs_by_itself_or_after_the_first(tmp_path, monkeypatch, make_solid, make_flat, number):
    if "movement" in EXAMPLES[number]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            movement = pytest.importorskip("movement.validators.datasets")
        if "keypoint" not in movement.ValidPosesInputs.DIM_NAMES:
            pytest.skip("this version of movement wants dimensions in the plural")
    save_session(
        tmp_path / "session.nc",
        rig=make_rig(3),
        poses2d=make_flat(),
        poses3d=make_solid(),
        provenance={"inputs": []},
    )
    seen = corners(
        np.ones((2, 3, 12, 2)), board=Charuco(5, 4, 30.0), cameras=["left", "right"], image_size=[[9, 9]] * 2
    )
    save_corners(seen, tmp_path / "calibration" / "corners.nc")
    monkeypatch.chdir(tmp_path)
    code = "from pose3d import open_session\n" + EXAMPLES[number]
    names: dict[str, object] = {}
    exec(compile(code, "docs/results.md", "exec"), names)
    for value in names.values():
        if hasattr(value, "close"):
            value.close()


def test_every_column_of_the_tidy_table_is_explained(tmp_path, make_solid):
    write_csv(make_solid(), tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(encoding="utf-8") as file:
        columns = file.readline().strip().split(",")
    for name in (*columns, *(status.name.lower() for status in Status)):
        assert f"`{name}`" in PAGE, name
