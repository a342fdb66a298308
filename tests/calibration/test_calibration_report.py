"""The report of a calibration: one file, no network, everything escaped, the same bytes again, few and many cameras."""

from __future__ import annotations

import base64
import io
import re
import warnings
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from calibration._board_clocks import BoardClocks
from calibration.alignment import move_rig
from calibration.corners import corners
from calibration.diagnosis import Diagnosis, diagnose
from calibration.errors import OutputError, SuiteWarning
from calibration.report import write_report
from calibration.rig import Rig
from calibration.rig_calibration import Calibration, calibrate
from calibration.synthetic import BoardScene
from calibration.transforms import RigidTransform
from calibration.verdict import judge

EVIL = "<script>alert('x')</script>&\"</title>$x$"


class Page(HTMLParser):
    """What a browser would make of the page, as far as these tests care."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source = text
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[list[str]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "tr":
            self.cells.append([])
        if tag in ("th", "td"):
            self.cells[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.text.append(data)
        if "th" in self._open or "td" in self._open:
            self.cells[-1][-1] += data

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def write(path: Path, calibration: Calibration, **arguments: Any) -> Page:
    diagnosis: Diagnosis = diagnose(calibration)
    verdict = judge(diagnosis, calibration)
    write_report(path, calibration=calibration, diagnosis=diagnosis, verdict=verdict, **arguments)
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(good_calibration: Calibration, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return write(tmp_path_factory.mktemp("report") / "report.html", good_calibration, title="Monday")


@pytest.fixture(scope="module")
def renamed(board_scene: BoardScene) -> Calibration:
    """The calibration of cameras whose names are attacks, or very long."""
    names = (EVIL, "a" * 200, "$\\frac{1}{2}$")
    dataset = corners(
        board_scene.corners["position"].values,
        board=board_scene.board,
        cameras=names,
        image_size=board_scene.corners["image_size"].values,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SuiteWarning)
        return calibrate(dataset)


def test_the_page_has_its_sections_and_every_link_leads_somewhere(page: Page) -> None:
    sections = [attributes["id"] for attributes in page.named("section")]
    assert sections == ["verdict", "cameras", "rig", "images", "lenses", "made"]
    assert [attributes["href"] for attributes in page.named("a")] == [f"#{name}" for name in sections]
    assert "Monday" in page.words
    assert "3 cameras · " in page.words
    assert "charuco of 7 x 5, 50 mm" in page.words


def test_the_page_loads_nothing_and_runs_nothing(page: Page) -> None:
    (policy,) = (attributes["content"] for attributes in page.named("meta") if "http-equiv" in attributes)
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "script-src 'none'" in policy
    assert not page.named("script")
    assert not page.named("link")
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#"))
    assert not re.search(r"url\((?!#|['\"]?data:)", page.source)
    assert "@import" not in page.source


def test_the_numbers_are_those_of_the_diagnosis(page: Page, good_calibration: Calibration) -> None:
    diagnosis = diagnose(good_calibration)
    verdict = judge(diagnosis, good_calibration)
    assert verdict.headline in page.words
    for finding in verdict.findings:
        assert finding.question in page.words
        assert finding.answer in page.words
    (head, *rows) = (row for row in page.cells if len(row) == 10)
    assert head[:3] == ["camera", "frames", "RMS px"]
    for row, camera in zip(rows, diagnosis.cameras, strict=False):
        assert camera.held_out is not None
        assert row[:3] == [camera.name, str(camera.boards), f"{camera.used.rms:.2f}"]
        assert row[5] == f"{camera.held_out.rms:.2f}"
        assert row[9] == f"{100 * camera.covered:.1f}"
    assert rows[3][0] == "all"


def test_lenses_have_as_many_digits_as_they_are_sure_of(page: Page, good_calibration: Calibration) -> None:
    (head, *rows) = (row for row in page.cells if "model" in row or "brown5" in row)
    camera = diagnose(good_calibration).cameras[0]
    shown = dict(zip(head, rows[0], strict=True))
    value, deviation = (float(text) for text in shown["fx"].split(" ± "))
    assert value == pytest.approx(camera.focal_length, abs=0.1)
    assert deviation == pytest.approx(camera.deviations["fx"], rel=0.1)
    assert len(shown["fx"].split(" ± ")[1].replace("0.", "").replace(".", "")) <= 2
    assert {"k1", "k2", "p1", "p2", "k3"} < set(head)


def test_poses_are_as_uncertain_as_the_covariance_says(page: Page, good_calibration: Calibration) -> None:
    (head, *rows) = (row for row in page.cells if len(row) == 7)
    assert head == ["camera", "turn x °", "turn y °", "turn z °", "shift x mm", "shift y mm", "shift z mm"]
    assert [row[0] for row in rows] == ["cam_2", "cam_3"]
    deviations = diagnose(good_calibration).cameras[1].deviations
    assert float(rows[0][2]) == pytest.approx(np.rad2deg(deviations["ry"]), abs=6e-4)
    assert float(rows[0][6]) == pytest.approx(deviations["tz"], rel=0.01)


def test_clocks_have_a_table_and_too_few_frames_are_said(good_calibration: Calibration, tmp_path: Path) -> None:
    clocks = BoardClocks(np.array([0.0, -0.1219, 0.0246]), np.array([0.0, 0.0029, 0.0013]), (1.52, 0.37))
    told = write(tmp_path / "report.html", replace(good_calibration, clocks=clocks, held_out=None))
    assert ["cam_2", "-121.9 ± 2.9"] in told.cells
    assert ["cam_1", "reference"] in told.cells
    assert "from 1.52 to 0.37 px" in told.words
    assert "There are too few frames to leave any out." in told.words
    assert "nan" not in told.words.lower().split()


def test_wide_tables_scroll_and_figures_are_as_wide_as_they_need(page: Page) -> None:
    boxes = [attributes for attributes in page.named("div") if attributes.get("class") == "scroll"]
    tables = [attributes for attributes in page.named("table") if "numbers" in (attributes.get("class") or "")]
    assert len(boxes) == len(tables) >= 4
    styles = [attributes["style"] or "" for attributes in page.named("svg")]
    assert all(re.fullmatch(r"max-width:\d+px", style) for style in styles)
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in page.named("svg"))


def test_the_same_arguments_give_the_same_bytes(page: Page, good_calibration: Calibration, tmp_path: Path) -> None:
    assert write(tmp_path / "again.html", good_calibration, title="Monday").source == page.source


def test_names_are_text_wherever_they_come_from(renamed: Calibration, tmp_path: Path) -> None:
    told = write(tmp_path / "report.html", renamed, title=EVIL, provenance={EVIL: [EVIL, {EVIL: EVIL}]})
    assert not told.named("script")
    assert len(told.named("title")) == 1
    assert EVIL in told.words
    assert "a" * 200 in told.words
    assert "$\\frac{1}{2}$" in told.words


def test_pictures_travel_inside_and_aligned_cameras_are_shown_where_they_stand(
    page: Page, good_calibration: Calibration, tmp_path: Path
) -> None:
    view = diagnose(good_calibration).worst[0]
    assert view.picture is not None
    width, height = good_calibration.rig[view.camera].size
    picture = np.full((height, width), 90, dtype=np.uint8)
    rig = move_rig(good_calibration.rig, RigidTransform.from_rotation_vector([0.3, 0.1, 0.0], [10.0, 2000.0, 0.0]))
    told = write(tmp_path / "report.html", good_calibration, rig=rig, pictures={(view.camera, view.picture): picture})
    assert "views" in [attributes["id"] for attributes in told.named("section")]
    (image,) = told.named("img")
    assert f"{view.camera}, picture {view.picture}: median" in (image["alt"] or "")
    kind, data = (image["src"] or "").split(",")
    assert kind == "data:image/jpeg;base64"
    shown = Image.open(io.BytesIO(base64.b64decode(data)))
    assert shown.size[0] > 600
    middle = np.asarray(shown.convert("L"))[shown.size[1] // 2]
    assert np.abs(np.median(middle.astype(float)) - 90) < 4
    assert told.cells == page.cells  # numbers stay; only the picture of the rig is another one
    first, again = (each.source.index("Cameras and boards") for each in (page, told))
    assert page.source[first : first + 20000] != told.source[again : again + 20000]


def test_one_camera_makes_a_page_without_overlap_and_lengths(board_scene: BoardScene, tmp_path: Path) -> None:
    calibration = calibrate(board_scene.corners.isel(camera=[0]))
    told = write(tmp_path / "report.html", calibration)
    assert "1 camera · " in told.words
    assert "Overlap" not in told.words
    assert "Lengths in the volume" not in told.words
    assert "all" not in [row[0] for row in told.cells]


def repeated(calibration: Calibration, count: int) -> Calibration:
    """The calibration with each camera several times, under other names: as if the rig were larger."""
    places = np.arange(count) % len(calibration.rig)
    names = [f"cam_{number + 1}" for number in range(count)]
    rig = Rig(tuple(replace(calibration.rig.cameras[p], name=n) for p, n in zip(places, names, strict=True)), unit="mm")
    old = calibration.adjustment
    held_out = calibration.held_out
    assert held_out is not None
    return replace(
        calibration,
        rig=rig,
        corners=calibration.corners.isel(camera=places).assign_coords(camera=names),
        lenses={
            name: calibration.lenses[calibration.rig.names[place]] for place, name in zip(places, names, strict=True)
        },
        models={
            name: calibration.models[calibration.rig.names[place]] for place, name in zip(places, names, strict=True)
        },
        held_out=replace(held_out, residuals=held_out.residuals[places]),
        adjustment=replace(
            old,
            rig=rig,
            residuals=old.residuals[places],
            weights=old.weights[places],
            noise=old.noise[places],
            labels=(),
            covariance=np.zeros((0, 0)),
        ),
    )


def test_sixteen_cameras_fit(good_calibration: Calibration, tmp_path: Path) -> None:
    told = write(tmp_path / "report.html", repeated(good_calibration, 16))
    assert "16 cameras · " in told.words
    assert {f"cam_{number}" for number in range(1, 17)} <= {row[0] for row in told.cells}
    assert len(told.source) < 2_000_000


def test_where_the_page_cannot_be_written_is_named(good_calibration: Calibration, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="file"):
        write(tmp_path / "file" / "report.html", good_calibration)
