"""The report: one file, no network, everything escaped, the same numbers as elsewhere, and honest about nothing."""

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from calibration.errors import FileFormatError, InvalidValueError, MismatchError, OutputError
from calibration.rig import Rig
from calibration.video import VideoWriter
from pose3d.metrics import reprojection_summary
from pose3d.skeleton import Skeleton
from pose3d.visualization import collect_evidence, write_report
from pose3d.visualization.player import player_data
from pose3d.visualization.quality_figures import reprojection_time_figure
from pose3d.visualization.verdict import Level

EVIL = '<script>alert("x")</script>&\'"</title>'


KNOWN_TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "nav", "main", "section", "footer", "script"),
    *("p", "h1", "h2", "h3", "a", "span", "div", "small", "dl", "dt", "dd", "ul", "li", "i", "details", "summary"),
    *("canvas", "button", "input", "output", "label", "select", "option", "figure", "figcaption", "video", "source"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td"),
    *("svg", "defs", "g", "path", "use", "text", "tspan", "clippath", "rect", "image"),
}


class Page(HTMLParser):
    """What a browser would make of the page, as far as these tests care."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self._open = ""
        self.source = text
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002  # the signature is given
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "script":
            self.scripts[-1] += data
        elif self._open != "style":
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())

    def ids(self) -> set[str]:
        return {attributes["id"] or "" for _, attributes in self.tags if "id" in attributes}


@pytest.fixture(scope="module")
def page(recording, tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = tmp_path_factory.mktemp("report") / "report.html"
    verdict = write_report(
        path,
        poses3d=recording.poses3d,
        poses2d=recording.poses2d,
        rig=recording.rig,
        skeleton=recording.skeleton,
        truth=recording.truth,
        provenance={"inputs": [{"path": "cam_1.csv", "sha256": "abc"}], "settings": {"method": "robust"}, "seed": None},
        title="Mouse 12",
    )
    assert verdict.level in (Level.GOOD, Level.UNKNOWN)
    return Page(path.read_text(encoding="utf-8"))


def test_the_page_has_its_sections_and_every_link_leads_somewhere(page: Page) -> None:
    sections = [attributes.get("id") for tag, attributes in page.tags if tag == "section"]
    assert sections == ["verdict", "view", "numbers", "truth", "pictures", "made"]
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert [link.removeprefix("#") for link in links if link] == sections
    assert len([1 for tag, attributes in page.tags if tag == "svg" and attributes.get("class") == "plot"]) == 9


def test_the_page_loads_nothing(page: Page) -> None:
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "data", "poster"):
            value = attributes.get(name) or ""
            assert value == "" or value.startswith(("#", "data:")), (tag, name, value[:80])
        assert not {"onclick", "onload", "onerror", "style-src"} & set(attributes)
    assert not re.search(r"url\(\s*['\"]?(?!#)", page.source)
    assert "@import" not in page.source


def test_the_security_policy_lets_the_player_run_and_nothing_else(page: Page) -> None:
    (policy,) = [
        attributes["content"] or ""
        for tag, attributes in page.tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'")
    data, player = page.scripts
    digest = base64.b64encode(hashlib.sha256(player.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert json.loads(data)["keypoints"][0] == "nose"


def test_the_player_finds_every_control_that_it_uses(page: Page) -> None:
    player = page.scripts[1]
    wanted = {f"player-{name}" for name in re.findall(r'control\("([a-z]+)"\)', player)}
    wanted |= set(re.findall(r'getElementById\("([a-z-]+[a-z])"\)', player))
    assert len(wanted) >= 10
    assert wanted <= page.ids()
    for opening, closing in ("()", "[]", "{}"):
        assert player.count(opening) == player.count(closing)


def test_the_numbers_are_those_of_the_metrics(page: Page, recording) -> None:
    table = reprojection_summary(recording.poses3d, recording.poses2d, recording.rig, by=("camera",))
    for camera in recording.rig.names:
        row = table.sel(camera=camera)
        cells = [f"{100 * float(row['used']):.1f}", *(f"{float(row[name]):.2f}" for name in ("median", "rms", "p95"))]
        assert f"{camera} {' '.join(cells)}" in page.words
    assert "the cameras do not agree on a point (" in page.words
    assert "abc" in page.words
    assert "robust" in page.words


def test_tables_scroll_in_their_own_box_and_figures_shrink(page: Page) -> None:
    tables = len(re.findall('<table class="numbers"', page.source))
    assert tables == len(re.findall('<div class="scroll" tabindex="0"><table class="numbers"', page.source)) >= 2
    (rule,) = re.findall(r"\.plot \{([^}]*)\}", page.source)
    assert "width: 100%" in rule
    assert "min-width" not in rule
    (words,) = re.findall(r"\.numbers \.words \{([^}]*)\}", page.source)
    assert "white-space: normal" in words


def test_errors_over_time_have_a_legend_inside_the_picture(recording) -> None:
    evidence = collect_evidence(recording.poses3d, recording.poses2d, recording.rig)
    figure = reprojection_time_figure(evidence)
    figure.savefig(io.BytesIO(), format="svg")
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()][1] == "cam_1, median"
    box = legend.get_window_extent()
    assert box.y1 <= figure.bbox.y1
    assert box.x1 <= figure.bbox.x1


def test_colors_of_the_figures_follow_the_page(page: Page) -> None:
    figures = re.findall(r'<svg class="plot".*?</svg>', page.source, re.DOTALL)
    assert all("var(--ink)" in figure or "var(--muted)" in figure for figure in figures)
    assert not any("#1d2733" in figure or "#0072b2" in figure for figure in figures)
    assert not any("DejaVu" in figure for figure in figures)
    assert page.source.count("prefers-color-scheme: dark") >= 2


def test_the_same_input_gives_the_same_page(recording, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_report(tmp_path / f"{name}.html", poses3d=recording.poses3d, skeleton=recording.skeleton)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


@pytest.fixture(scope="module")
def small_video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("video") / "small.mp4"
    with VideoWriter(path, 10) as writer:
        for shade in (0, 100, 200):
            writer.write(np.full((48, 64, 3), shade, np.uint8))
    return path.read_bytes()


def test_names_are_text_wherever_they_come_from(recording, tmp_path: Path, small_video: bytes) -> None:
    names = [f"{EVIL}{n}" for n in range(recording.poses3d.sizes["keypoint"])]
    cameras = [f"{EVIL}{camera.name}" for camera in recording.rig]
    rig = Rig(tuple(replace(camera, name=name) for camera, name in zip(recording.rig, cameras, strict=True)))
    poses3d = recording.poses3d.assign_coords(keypoint=names, individual=[EVIL], camera=cameras)
    poses3d.attrs |= {"source_software": EVIL, "source_file": f"/data/{EVIL}", "note": json.dumps({EVIL: [EVIL]})}
    poses3d["position"].attrs["units"] = EVIL
    video = tmp_path / 'a"><script>.mp4'
    video.write_bytes(small_video)
    path = tmp_path / "report.html"
    write_report(
        path,
        poses3d=poses3d,
        poses2d=recording.poses2d.assign_coords(keypoint=names, individual=[EVIL], camera=cameras),
        rig=rig,
        skeleton=Skeleton(EVIL, tuple(names), ((names[0], names[1]),), ((names[2], names[3]),)),
        truth=poses3d,
        videos={EVIL: video},
        provenance={EVIL: EVIL, "inputs": [{"path": EVIL}]},
        title=EVIL,
    )
    page = Page(path.read_text(encoding="utf-8"))
    assert len(page.scripts) == 2
    assert "alert" not in page.scripts[1]
    assert json.loads(page.scripts[0])["keypoints"] == names
    assert page.source.count("<script") == 2
    assert {tag for tag, _ in page.tags} <= KNOWN_TAGS
    assert [attributes for tag, attributes in page.tags if tag == "title"] == [{}]
    assert EVIL in page.words


def test_poses_alone_make_a_page_that_says_what_is_unknown(recording, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "report.html"
    write_report(path, poses3d=recording.poses3d[["position", "confidence"]])
    page = Page(path.read_text(encoding="utf-8"))
    assert "2D poses and rig were not both given" in page.words
    assert "not known" in page.words
    assert "truth" not in page.ids()


def test_a_reconstruction_says_what_the_motion_decided_and_which_bones_were_held(trajectory, tmp_path: Path) -> None:
    write_report(
        tmp_path / "r.html",
        poses3d=trajectory.poses3d,
        poses2d=trajectory.poses2d,
        rig=trajectory.rig,
        skeleton=trajectory.skeleton,
    )
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    bridged = 100 * float(trajectory.poses3d["bridged"].mean())
    assert f"{bridged:.1f} % of the positions are bridged" in page.words
    kinds, reported = trajectory.poses3d["repair"].values, trajectory.poses2d["position"].notnull().all("space").sum()
    shares = [100 * float((kinds == kind).sum() / reported) for kind in (1, 2)]
    assert f"left and right exchanged in {shares[0]:.1f} %, another candidate taken in {shares[1]:.1f} %" in page.words
    assert "A position in 3D may be bridged: it then rests on the motion" in page.words
    assert "nose-neck 26.00 ± 0.13 1.0" in page.words
    assert "that they vary little proves nothing" in page.words
    assert "Stiff bones that vary show" not in page.words
    assert "too uncertain (" in page.words
    assert "status 5" not in page.words


def test_where_nothing_is_missing_or_repaired_a_reconstruction_says_so(trajectory, tmp_path: Path) -> None:
    rows = np.flatnonzero(trajectory.poses3d["position"].notnull().all(("space", "keypoint", "individual")))
    poses3d = trajectory.poses3d.isel(time=rows).copy(deep=True)
    poses3d["bridged"].values[:], poses3d["repair"].values[:] = False, 0
    write_report(tmp_path / "r.html", poses3d=poses3d, poses2d=trajectory.poses2d, rig=trajectory.rig)
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    expected = "Every 3D position is there. No position is bridged. No 2D position was repaired."
    assert expected in page.words


def test_frame_by_frame_nothing_is_bridged_or_held(page: Page) -> None:
    for word in ("bridged", "repaired", "held"):
        assert word not in page.words


@pytest.mark.parametrize(
    ("rows", "known"), [(slice(0, 0), True), (slice(3, 4), True), (slice(3, 4), False), (slice(0, 20), False)]
)
def test_few_or_no_positions_make_an_honest_page(recording, tmp_path: Path, rows: slice, known: bool) -> None:
    poses3d = recording.poses3d.isel(time=rows).copy(deep=True)
    if not known:
        poses3d["position"].values[:] = np.nan
        poses3d["inlier"].values[:] = False
    verdict = write_report(
        tmp_path / "report.html",
        poses3d=poses3d,
        poses2d=recording.poses2d,
        rig=recording.rig,
        skeleton=recording.skeleton,
    )
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    empty = not known or not poses3d.sizes["time"]
    assert ("view" in page.ids()) != empty
    if empty:
        assert verdict.level == Level.BROKEN
        assert "Do not use these poses" in page.words


def test_several_individuals_have_their_own_numbers_and_trajectories(pair, tmp_path: Path) -> None:
    write_report(tmp_path / "r.html", poses3d=pair.poses3d, poses2d=pair.poses2d, rig=pair.rig, skeleton=pair.skeleton)
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "Per individual" in page.words
    for name in ("animal_1", "animal_2"):
        assert f"Trajectories of {name}" in page.words
    assert "2 individuals" in page.words


def test_small_videos_travel_inside_and_large_ones_are_linked(recording, tmp_path: Path, small_video: bytes) -> None:
    folder = tmp_path / "videos of today"
    folder.mkdir()
    small, large = folder / "small.mp4", folder / "l&r ge.mp4"
    small.write_bytes(small_video)
    size = 6_000_001  # of an empty box, which a reader of MP4 skips
    large.write_bytes(small_video + size.to_bytes(4, "big") + b"free" + bytes(size - 8))
    (tmp_path / "reports").mkdir()
    path = tmp_path / "reports" / "r.html"
    write_report(path, poses3d=recording.poses3d, videos={"one": small, "two": large})
    page = Page(path.read_text(encoding="utf-8"))
    sources = [attributes["src"] for tag, attributes in page.tags if tag == "source"]
    inside = base64.b64encode(small_video).decode()
    assert sources == [f"data:video/mp4;base64,{inside}", "../videos%20of%20today/l%26r%20ge.mp4"]


def test_a_missing_video_is_named_and_no_page_is_left(recording, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"gone\.mp4"):
        write_report(tmp_path / "r.html", poses3d=recording.poses3d, videos={"x": tmp_path / "gone.mp4"})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["poses.csv", "renamed.mp4"])
def test_what_is_no_video_is_named_and_not_embedded(recording, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("frame,x,y\n0,1.5,2.5\n", encoding="utf-8")
    with pytest.raises(FileFormatError, match=re.escape(name)):
        write_report(tmp_path / "r.html", poses3d=recording.poses3d, videos={"x": tmp_path / name})
    assert not (tmp_path / "r.html").exists()


def test_wrong_input_is_refused(recording, tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="Poses3D"):
        write_report(tmp_path / "r.html", poses3d=recording.poses2d)
    with pytest.raises(InvalidValueError, match="Poses2D"):
        write_report(tmp_path / "r.html", poses3d=recording.poses3d, poses2d=recording.poses3d)
    other = recording.truth.assign_coords(frame=("time", recording.truth["frame"].values + 10_000))
    with pytest.raises(MismatchError):
        write_report(tmp_path / "r.html", poses3d=recording.poses3d, truth=other)
    with pytest.raises(OutputError):
        write_report(tmp_path, poses3d=recording.poses3d)


# The data of the player


def positions(data: dict[str, object]) -> np.ndarray:
    stored = np.frombuffer(base64.b64decode(str(data["positions"])), "<u2").astype(float)
    stored[stored == data["missing"]] = np.nan
    shape = (len(data["frames"]), len(data["individuals"]), len(data["keypoints"]), 3)  # type: ignore[arg-type]
    return np.asarray(data["origin"]) + float(str(data["step"])) * stored.reshape(shape)


def test_the_player_gets_the_positions_to_a_fraction_of_a_millimeter(pair) -> None:
    data = json.loads(player_data(pair.poses3d, skeleton=pair.skeleton, rig=pair.rig))
    expected = pair.poses3d["position"].transpose("time", "individual", "keypoint", "space").values
    found = positions(data)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    assert data["step"] < 0.01
    np.testing.assert_allclose(found, expected, atol=data["step"] / 2 + 1e-9)
    assert data["frames"] == pair.poses3d["frame"].values.tolist()
    assert [camera["name"] for camera in data["cameras"]] == list(pair.rig.names)


@pytest.mark.parametrize("limit", [2000, 10_000, 40_000])
def test_long_recordings_are_thinned_out_evenly_to_the_limit(walk, limit: int) -> None:
    data = json.loads(player_data(walk.poses3d, limit=limit))
    assert len(data["positions"]) <= limit + 4
    assert set(np.diff(data["frames"])) <= {data["stride"]}
    assert len(data["frames"]) * (data["stride"] + 1) >= walk.poses3d.sizes["time"]
