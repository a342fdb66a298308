"""`load_rig` and `save_rig`: formats are found by content, and what is wrong is said with file, camera and remedy."""

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration import (
    BrownConrady,
    Camera,
    FileFormatError,
    InvalidValueError,
    OutputError,
    Rig,
    RigidTransform,
    SuiteError,
    SuiteWarning,
    load_rig,
    save_rig,
)
from calibration.errors import MismatchError
from calibration.extensions import Registry, collect
from calibration.formats import FORMATS, RigFormat

FORMATS_OF_FILES = ["rig-toml", "anipose", "pose2sim", "caliscope", "kalibr"]
WRITERS = [name for name, known in FORMATS.items() if known.write is not None]


PAGE = Path(__file__).parents[3] / "docs" / "rig-formats.md"


def test_the_formats_are_those_of_the_documentation() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, known in FORMATS.items():
        assert name == known.name
        assert f"| `{name}`" in page


def test_the_example_of_the_documentation_is_read(tmp_path: Path) -> None:
    example = PAGE.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    (tmp_path / "rig.toml").write_text(example)
    rig = load_rig(tmp_path / "rig.toml", format="rig-toml")
    assert (rig.names, rig.unit) == (("left",), "mm")


class TestDetection:
    @pytest.mark.filterwarnings("ignore::calibration.errors.SuiteWarning")
    def test_every_format_is_detected_by_its_content(self, sample: tuple[str, Path]) -> None:
        name, path = sample
        assert [known for known in FORMATS if FORMATS[known].sniff(path)] == [name]
        detected, told = load_rig(path), load_rig(path, format=name)
        assert detected == told
        assert len(detected) == 2

    def test_the_ending_does_not_decide(self, samples: dict[str, Path]) -> None:
        renamed = samples["anipose"].rename(samples["anipose"].with_name("calibration.txt"))
        assert load_rig(renamed).names == ("view 0", "view 1")

    def test_a_format_of_another_name_is_an_error_that_lists_the_names(self, samples: dict[str, Path]) -> None:
        with pytest.raises(
            InvalidValueError, match="label3d, kalibr, easymocap, jarvis, colmap, deeplabcut, got 'dlc'"
        ):
            load_rig(samples["anipose"], format="dlc")

    @pytest.mark.parametrize("name", list(FORMATS))
    def test_a_file_of_another_format_is_an_error(self, name: str, samples: dict[str, Path]) -> None:
        for other, path in samples.items():
            # Own files, Anipose's and Pose2Sim's differ in convention only.
            if other != name and not {other, name} <= {"rig-toml", "anipose", "pose2sim"}:
                with pytest.raises(FileFormatError) as caught:
                    load_rig(path, format=name)
                assert str(path) in str(caught.value)

    @pytest.mark.parametrize(
        ("name", "content", "looks"),
        [
            ("rig.toml", b"", "an empty file"),
            ("rig.toml", b" \n\n", "an empty file"),
            ("rig.toml", b"[cam_0\nname = 1", "text that is not TOML"),
            ("rig.toml", b"[project]\nname = 'x'", "a TOML file with 'project' and no section of a camera"),
            ("rig.toml", bytes(range(128, 256)), "binary data"),
            ("rig.toml", b"[" * 100_000, "text that is not TOML"),
            ("a.yml", b"Task: openfield\n", "text that begins with 'Task: openfield'"),
            ("a.csv", b"x,y\n1,2\n", "text that begins with 'x,y'"),
            ("a.mat", b"MATLAB 5.0 MAT-file, cut off", "a MATLAB file that is cut off"),
            ("a.h5", b"\x89HDF\r\n\x1a\n cut off", "an HDF5 file without camera parameters"),
        ],
    )
    def test_nothing_fits(self, name: str, content: bytes, looks: str, tmp_path: Path) -> None:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(FileFormatError) as caught:
            load_rig(path)
        assert str(path) in caught.value.subject
        assert all(known in caught.value.expected for known in FORMATS)
        assert looks in caught.value.got

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(FileFormatError, match="No such file"):
            load_rig(tmp_path / "rig.toml")

    def test_a_folder_that_is_no_calibration_is_described(self, tmp_path: Path) -> None:
        with pytest.raises(FileFormatError, match="an empty folder"):
            load_rig(tmp_path)
        for name in ("cam_10.mp4", "cam_2.mp4", "rig.toml"):
            (tmp_path / name).touch()
        with pytest.raises(
            FileFormatError, match=r"a folder with cam_2.mp4, cam_10.mp4, rig.toml; give one of the files"
        ):
            load_rig(tmp_path)

    @pytest.mark.parametrize("name", FORMATS_OF_FILES)
    def test_a_folder_for_a_format_of_files(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(FileFormatError, match="directory"):
            load_rig(tmp_path, format=name)

    def test_a_large_file_is_not_read(self, tmp_path: Path) -> None:
        path = tmp_path / "video.mp4"
        with path.open("wb") as file:
            file.truncate(2**30)
        with pytest.raises(FileFormatError, match="a file of 1024 MB"):
            load_rig(path)


class TestHints:
    """Whoever gives something else is told what to give instead."""

    @pytest.mark.parametrize(
        ("name", "content", "remedy"),
        [
            ("cam1.mp4", b"\0\0\0\x18ftyp", "pose3d calibrate"),
            ("board.png", b"\x89PNG", "pose3d calibrate"),
            ("session.nc", b"\x89HDF\r\n\x1a\n", "pose3d convert"),
            ("cam-1_intrinsic_params.pickle", b"\x80\x04}.", "stereo_params.pickle"),
            ("detections.pickle", b"\x80\x04}.", "calibration.toml"),
            ("Calib.qca.txt", b"<calibration>", "Pose2Sim"),
            ("cameras.bin", b"\x01", "model_converter"),
            ("intri.yml", b"%YAML:1.0\nnames: []", "extri.yml"),
            ("cameras.txt", b"1 PINHOLE 1 1 1 1 1 1", "images.txt"),
            ("Config.toml", b"[markerAugmentation]\n[triangulation]", "settings of Pose2Sim"),
            ("config.toml", b"project = 'x'\n[triangulation]\n[manual_verification]", "settings of Anipose"),
            ("charuco.toml", b"square_size_overide_cm = 5.4", "camera_array.toml"),
            ("target.yaml", b"target_type: aprilgrid", "camchain.yaml"),
        ],
    )
    def test_files(self, name: str, content: bytes, remedy: str, tmp_path: Path) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileFormatError) as caught:
            load_rig(tmp_path / name)
        assert remedy in caught.value.remedy

    @pytest.mark.parametrize("place", ["", "calibration", "sparse/0"])
    def test_the_calibration_in_a_folder_is_named(self, place: str, rig: Rig, tmp_path: Path) -> None:
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        save_rig(rig, tmp_path / place / "rig.toml")
        with pytest.raises(FileFormatError) as caught:
            load_rig(tmp_path)
        assert caught.value.remedy == f"Give {tmp_path / place / 'rig.toml'}, which is one."

    def test_a_model_in_a_project(self, rig: Rig, tmp_path: Path) -> None:
        save_rig(rig, tmp_path / "sparse/0", format="colmap")
        with pytest.raises(FileFormatError) as caught:
            load_rig(tmp_path)
        assert caught.value.remedy == f"Give {tmp_path / 'sparse/0'}, which is one."
        for file in (tmp_path / "sparse/0").iterdir():
            file.rename(file.with_suffix(".bin"))
        with pytest.raises(FileFormatError, match="colmap model_converter"):
            load_rig(tmp_path)

    def test_a_folder_of_videos(self, tmp_path: Path) -> None:
        (tmp_path / "cam_1.mp4").touch()
        with pytest.raises(FileFormatError, match="pose3d calibrate"):
            load_rig(tmp_path)


class TestUnit:
    def test_the_file_counts_then_the_argument_then_the_convention(self, tmp_path: Path, rig: Rig) -> None:
        save_rig(replace(rig, unit="cm"), tmp_path / "own.toml")
        assert load_rig(tmp_path / "own.toml").unit == "cm"
        assert load_rig(tmp_path / "own.toml", unit="cm").unit == "cm"
        save_rig(replace(rig, unit="cm"), tmp_path / "anipose.toml", format="anipose")
        assert load_rig(tmp_path / "anipose.toml").unit == "cm"
        text = (tmp_path / "anipose.toml").read_text().replace('unit = "cm"', "")
        (tmp_path / "anipose.toml").write_text(text)
        assert load_rig(tmp_path / "anipose.toml").unit == "mm"
        assert load_rig(tmp_path / "anipose.toml", unit="m").unit == "m"

    @pytest.mark.parametrize("name", ["rig-toml", "anipose", "pose2sim", "opencv"])
    def test_a_unit_that_contradicts_the_file(self, name: str, tmp_path: Path, rig: Rig) -> None:
        path = tmp_path / ("rig" if name == "opencv" else "rig.toml")
        save_rig(rig, path, format=name)
        said = load_rig(path).unit
        if name == "pose2sim":
            path.write_text(path.read_text().replace("[metadata]", '[metadata]\nunit = "m"'))
        with pytest.raises(MismatchError, match=f"expected 'km', the unit that was given, got '{said}' in the file"):
            load_rig(path, unit="km")

    def test_what_is_no_unit(self, tmp_path: Path, rig: Rig) -> None:
        save_rig(rig, tmp_path / "rig.toml")
        with pytest.raises(InvalidValueError, match=r"unit: expected a length unit: um, .*, got 'furlong'"):
            load_rig(tmp_path / "rig.toml", unit="furlong")
        with pytest.raises(InvalidValueError, match="unit of the rig: expected a length unit"):
            save_rig(replace(rig, unit="furlong"), tmp_path / "other.toml")
        text = (tmp_path / "rig.toml").read_text().replace('"mm"', '"furlong"')
        (tmp_path / "rig.toml").write_text(text)
        with pytest.raises(InvalidValueError, match=r"rig\.toml, unit: expected a length unit.*'furlong'"):
            load_rig(tmp_path / "rig.toml")

    @pytest.mark.filterwarnings("ignore:.*no image size:calibration.errors.SuiteWarning")
    @pytest.mark.parametrize(("name", "unit"), [("pose2sim", "m"), ("caliscope", "m"), ("label3d", "mm")])
    def test_conventions(self, name: str, unit: str, samples: dict[str, Path]) -> None:
        assert load_rig(samples[name]).unit == unit

    def test_a_unit_changes_no_number(self, samples: dict[str, Path]) -> None:
        told, untold = load_rig(samples["caliscope"], unit="mm"), load_rig(samples["caliscope"])
        assert told.unit != untold.unit
        assert np.array_equal(told.cameras[0].center, untold.cameras[0].center)

    def test_a_unit_that_nothing_says_is_assumed_with_a_warning(self, samples: dict[str, Path]) -> None:
        for file in samples["opencv"].iterdir():
            file.write_text(file.read_text().replace('unit: "mm"', ""))
        with pytest.warns(SuiteWarning, match="mm is assumed"):
            assert load_rig(samples["opencv"]).unit == "mm"
        assert load_rig(samples["opencv"], unit="m").unit == "m"

    def test_an_empty_unit(self, samples: dict[str, Path]) -> None:
        with pytest.raises(InvalidValueError, match="unit: expected a length unit"):
            load_rig(samples["anipose"], unit=" ")


def test_two_cameras_with_the_same_pose_are_suspicious(tmp_path: Path, rig: Rig) -> None:
    copied = Rig((*rig.cameras, replace(rig["top"], name="side")))
    save_rig(copied, tmp_path / "rig.toml")
    with pytest.warns(SuiteWarning, match="'top' and 'side' have the same pose"):
        load_rig(tmp_path / "rig.toml")


class TestSaving:
    def test_toml_is_the_own_format(self, tmp_path: Path, rig: Rig) -> None:
        save_rig(rig, tmp_path / "rig.toml")
        assert FORMATS["rig-toml"].sniff(tmp_path / "rig.toml")

    @pytest.mark.parametrize("name", ["rig", "rig.json", "rig.pickle"])
    def test_an_ending_that_nothing_writes(self, name: str, tmp_path: Path, rig: Rig) -> None:
        with pytest.raises(InvalidValueError, match=r"ends with \.toml"):
            save_rig(rig, tmp_path / name)
        assert list(tmp_path.iterdir()) == []

    def test_a_format_that_is_only_read(self, tmp_path: Path, rig: Rig) -> None:
        with pytest.raises(InvalidValueError, match="'deeplabcut', which is only read"):
            save_rig(rig, tmp_path / "rig.pickle", format="deeplabcut")

    def test_all_others_are_written(self) -> None:
        assert set(FORMATS) - set(WRITERS) == {"deeplabcut"}

    def test_an_unknown_format(self, tmp_path: Path, rig: Rig) -> None:
        with pytest.raises(InvalidValueError, match=r"expected one of rig-toml, .*, colmap, got 'dlc'"):
            save_rig(rig, tmp_path / "rig.toml", format="dlc")

    @pytest.mark.filterwarnings("ignore:.*cameras by number:calibration.errors.SuiteWarning")
    @pytest.mark.parametrize("name", WRITERS)
    def test_a_file_in_place_of_the_folder(self, name: str, tmp_path: Path, make_camera: Callable[..., Camera]) -> None:
        rig = Rig(tuple(make_camera(f"Camera{seed}", seed, count=0) for seed in (1, 2)))
        (tmp_path / "file").touch()
        with pytest.raises(OutputError):
            save_rig(rig, tmp_path / "file" / "rig", format=name)

    def test_an_existing_file_stays_when_writing_fails(self, tmp_path: Path, rig: Rig) -> None:
        path = tmp_path / "rig.toml"
        save_rig(rig, path)
        before = path.read_text()
        with pytest.raises(InvalidValueError):
            save_rig(replace(rig, metadata={"when": object()}), path)
        assert path.read_text() == before
        assert [file.name for file in tmp_path.iterdir()] == ["rig.toml"]


LENGTH = st.floats(-1e6, 1e6)
COEFFICIENT = st.floats(-0.4, 0.4, allow_subnormal=False)


@st.composite
def cameras(draw: st.DrawFn, name: str) -> Camera:
    count = draw(st.sampled_from([0, 4, 5]))
    focal = st.floats(1.0, 1e5)
    matrix = [
        [draw(focal), 0.0, draw(st.floats(0.0, 5e3))],
        [0.0, draw(focal), draw(st.floats(0.0, 5e3))],
        [0.0, 0.0, 1.0],
    ]
    coefficients = draw(st.lists(COEFFICIENT, min_size=count, max_size=count))
    vector = draw(st.lists(st.floats(-3.0, 3.0), min_size=3, max_size=3))
    translation = draw(st.lists(LENGTH, min_size=3, max_size=3))
    size = draw(st.tuples(st.integers(1, 10_000), st.integers(1, 10_000)))
    pose = RigidTransform.from_rotation_vector(vector, translation)
    return Camera(name, size, BrownConrady(matrix, coefficients), pose)


NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=12)


@st.composite
def rigs(draw: st.DrawFn) -> Rig:
    names = draw(st.lists(NAMES.filter(str.strip), min_size=2, max_size=4, unique=True))
    unit = draw(st.sampled_from(["mm", "m"]))
    return Rig(tuple(draw(cameras(name)) for name in names), unit=unit)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@pytest.mark.filterwarnings("ignore:.*the same pose:calibration.errors.SuiteWarning")
@pytest.mark.parametrize("name", ["rig-toml", "anipose", "pose2sim"])
@given(rig=rigs())
def test_what_is_written_is_read_back(name: str, rig: Rig, scratch: Path) -> None:
    path = scratch / "rig.toml"
    save_rig(rig, path, format=name)
    assert [known for known in FORMATS if FORMATS[known].sniff(path)] == [name]
    again = load_rig(path)
    scale = {"mm": 1e-3, "m": 1.0}[rig.unit] if name == "pose2sim" else 1.0
    assert again.unit == ("m" if name == "pose2sim" else rig.unit)
    for before, after in zip(rig, again, strict=True):
        assert (before.name, before.size) == (after.name, after.size)
        assert np.array_equal(before.lens.camera_matrix, after.lens.camera_matrix)
        # Coefficients that are zero may come or go; the lens stays the same.
        assert np.array_equal(before.lens.padded_coefficients, after.lens.padded_coefficients)
        np.testing.assert_allclose(after.cam_from_world.rotation, before.cam_from_world.rotation, rtol=0, atol=1e-14)
        np.testing.assert_allclose(
            after.cam_from_world.translation, before.cam_from_world.translation * scale, rtol=1e-15, atol=0
        )


def _outcome(path: Path, name: str | None) -> tuple[Rig | None, SuiteError | None]:
    try:
        return load_rig(path, format=name), None
    except SuiteError as error:
        return None, error


class TestBrokenFiles:
    """Whatever bytes a file has, the result is a rig or an error of this package."""

    @pytest.mark.filterwarnings("ignore::calibration.errors.SuiteWarning")
    def test_cut_off_anywhere(self, sample: tuple[str, Path], tmp_path: Path) -> None:
        name, path = sample
        original = next(path.iterdir()) if path.is_dir() else path
        content = original.read_bytes()
        short = tmp_path / f"short{original.suffix}"
        failures = 0
        for length in range(0, len(content), max(1, len(content) // 60)):
            short.write_bytes(content[:length])
            rig, error = _outcome(short, name)
            assert rig is not None or str(short) in str(error)
            failures += rig is None
        assert failures > 20

    @pytest.mark.filterwarnings("ignore::calibration.errors.SuiteWarning")
    @pytest.mark.parametrize("name", list(FORMATS))
    @given(data=st.data())
    def test_bytes_changed(self, name: str, data: st.DataObject, pristine: dict[str, Path], scratch: Path) -> None:
        path = pristine[name]
        original = next(path.iterdir()) if path.is_dir() else path
        content = bytearray(original.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        changed = scratch / f"changed{original.suffix}"
        changed.write_bytes(content)
        for format_name in (name, None):
            rig, error = _outcome(changed, format_name)
            assert rig is not None or (error is not None and error.expected and error.remedy)


@pytest.fixture(scope="module")
def pristine(
    tmp_path_factory: pytest.TempPathFactory, write_samples: Callable[[Path], dict[str, Path]]
) -> dict[str, Path]:
    return write_samples(tmp_path_factory.mktemp("pristine"))


class TestOtherPackages:
    ENTRY = EntryPoint("extra", "extra_package.formats:EXTRA", "pose3d.rig_formats")

    def _entry(self, monkeypatch: pytest.MonkeyPatch, value: object) -> EntryPoint:
        monkeypatch.setattr(EntryPoint, "load", lambda _: value)
        return self.ENTRY

    def test_they_are_looked_at_once_when_something_is_first_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        extra = replace(FORMATS["anipose"], name="extra")
        asked: list[str] = []

        def entries(group: str) -> list[EntryPoint]:
            asked.append(group)
            return [self._entry(monkeypatch, extra)]

        monkeypatch.setattr("calibration.extensions.entry_points", entries)
        registry = Registry(RigFormat, "pose3d.rig_formats", [FORMATS["anipose"]])
        assert asked == []
        assert (list(registry), len(registry), repr(registry)) == (["anipose", "extra"], 2, "Registry(anipose, extra)")
        assert registry["extra"] is extra
        assert asked == ["pose3d.rig_formats"]

    def test_a_format_is_added(self, monkeypatch: pytest.MonkeyPatch) -> None:
        extra = replace(FORMATS["anipose"], name="extra")
        collected = collect(RigFormat, FORMATS.values(), [self._entry(monkeypatch, extra)])
        assert list(collected) == [*FORMATS, "extra"]

    def test_a_name_that_is_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(InvalidValueError, match="'anipose', which is already there"):
            collect(RigFormat, FORMATS.values(), [self._entry(monkeypatch, FORMATS["anipose"])])

    def test_something_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(InvalidValueError, match=r"expected a RigFormat, got extra_package\.formats:EXTRA, a str"):
            collect(RigFormat, (), [self._entry(monkeypatch, "anipose")])

    def test_a_package_that_cannot_be_imported_is_left_out(self) -> None:
        with pytest.warns(SuiteWarning, match=r"RigFormat 'extra' .* left out: No module named 'extra_package'"):
            assert collect(RigFormat, (), [self.ENTRY]) == {}

    def test_an_added_format_is_used(self, tmp_path: Path, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        extra = RigFormat("extra", "", (".extra",), lambda path: path.suffix == ".extra", lambda _: rig)
        formats = collect(RigFormat, FORMATS.values(), [self._entry(monkeypatch, extra)])
        monkeypatch.setattr("calibration.formats.FORMATS", formats)
        (tmp_path / "a.extra").touch()
        assert load_rig(tmp_path / "a.extra") == rig
