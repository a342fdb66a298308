"""`rig.toml` keeps every rig to the last bit, and aniposelib reads it."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from calibration import BrownConrady, Camera, FileFormatError, Fisheye, InvalidValueError, Rig, load_rig, save_rig
from calibration.transforms import RigidTransform

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=64)
SCALAR = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",))), st.integers(-(2**60), 2**60), FINITE, st.booleans()
)
PLAIN = st.recursive(
    st.one_of(SCALAR, st.lists(st.integers(-9, 9), max_size=3), st.lists(FINITE, max_size=3)),
    lambda inner: st.dictionaries(st.text("abc é.\"'", min_size=1), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def rigs(draw: st.DrawFn) -> Rig:
    cameras = []
    for name in draw(
        st.lists(st.text("ab0_ é\"'\\\n#=[]", min_size=1).filter(str.strip), min_size=1, max_size=12, unique=True)
    ):
        count = draw(st.sampled_from([0, 4, 5, 8, 12, 14]))
        coefficients = draw(st.lists(st.floats(-0.3, 0.3), min_size=count, max_size=count))
        skew = draw(st.floats(-10, 10))
        matrix = [[draw(st.floats(1, 1e5)), skew, draw(FINITE)], [0, draw(st.floats(1, 1e5)), draw(FINITE)], [0, 0, 1]]
        fisheye = count == 4 and draw(st.booleans())
        lens = Fisheye(matrix, coefficients) if fisheye else BrownConrady(matrix, coefficients)
        rotation = Rotation.random(rng=draw(st.integers(0, 2**30))).as_matrix()
        translation = draw(st.lists(st.floats(-1e150, 1e150), min_size=3, max_size=3))
        size = draw(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)))
        cameras.append(Camera(name, size, lens, RigidTransform(rotation, translation)))
    metadata = draw(st.dictionaries(st.text("xyz -é", min_size=1), PLAIN, max_size=3))
    return Rig(tuple(cameras), unit=draw(st.sampled_from(["mm", "m", "in"])), metadata=metadata)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


# Names may hold line ends, which a dot does not match by itself.
@pytest.mark.filterwarnings("ignore:(?s).*the same pose:calibration.errors.SuiteWarning")
@given(rig=rigs())
def test_a_rig_survives_to_the_last_bit(rig: Rig, scratch: Path) -> None:
    save_rig(rig, scratch / "rig.toml")
    again = load_rig(scratch / "rig.toml")
    assert (again.names, again.unit, dict(again.metadata)) == (rig.names, rig.unit, dict(rig.metadata))
    for before, after in zip(rig, again, strict=True):
        assert (before.size, before.lens) == (after.size, after.lens)
        assert before.lens.coefficients.shape == after.lens.coefficients.shape
        assert np.array_equal(before.cam_from_world.rotation, after.cam_from_world.rotation)
        assert np.array_equal(before.cam_from_world.translation, after.cam_from_world.translation)


def test_the_same_rig_gives_the_same_bytes(rig: Rig, tmp_path: Path) -> None:
    save_rig(rig, tmp_path / "a.toml")
    save_rig(load_rig(tmp_path / "a.toml"), tmp_path / "b.toml")
    assert (tmp_path / "a.toml").read_bytes() == (tmp_path / "b.toml").read_bytes()


def test_the_file_has_what_anipose_has(rig: Rig, tmp_path: Path) -> None:
    save_rig(rig, tmp_path / "rig.toml")
    text = (tmp_path / "rig.toml").read_text()
    assert text.startswith('[cam_0]\nname = "top"\nsize = [1280, 720]\nmatrix = [[')
    assert '[metadata]\nformat = "pose3d-rig"\nformat_version = 1\nunit = "mm"' in text


def test_sections_of_more_than_ten_cameras_sort_as_the_cameras(
    make_camera: Callable[..., Camera], tmp_path: Path
) -> None:
    names = [f"c{index}" for index in range(11)]
    save_rig(Rig(tuple(make_camera(name, seed) for seed, name in enumerate(names))), tmp_path / "rig.toml")
    sections = [line for line in (tmp_path / "rig.toml").read_text().splitlines() if line.startswith("[cam_")]
    assert sections == sorted(sections) == [f"[cam_{index:02d}]" for index in range(11)]


def test_aniposelib_projects_the_same(make_camera: Callable[..., Camera], tmp_path: Path) -> None:
    cameras = pytest.importorskip("aniposelib.cameras", reason="aniposelib is not installed", exc_type=ImportError)
    lenses = [{"count": count} for count in (0, 4, 5, 8, 12, 14)] + [{"fisheye": True}]
    rig = Rig(
        tuple(make_camera(f"view {seed}", seed, **lens) for seed, lens in enumerate(lenses)), metadata={"a": [1, 2.5]}
    )
    save_rig(rig, tmp_path / "rig.toml")
    group = cameras.CameraGroup.load(str(tmp_path / "rig.toml"))
    assert tuple(group.get_names()) == rig.names
    points = np.random.default_rng(0).uniform(-500, 500, (40, 3))
    ours = rig.project(points)
    theirs = np.moveaxis(group.project(points), 0, 1)
    seen = np.isfinite(ours)
    assert seen.any(axis=(0, 2)).all()
    np.testing.assert_allclose(ours[seen], theirs[seen], rtol=1e-12, atol=1e-9)


class TestMetadata:
    def test_what_numpy_calls_a_number_is_one(self, rig: Rig, tmp_path: Path) -> None:
        metadata = {
            "error": np.float64(0.25),
            "counts": np.arange(3),
            "mixed": (1, 2.5),
            "day": dt.date(2026, 1, 2),
        }
        save_rig(replace(rig, metadata=metadata), tmp_path / "rig.toml")
        expected = {"error": 0.25, "counts": [0, 1, 2], "mixed": [1.0, 2.5], "day": dt.date(2026, 1, 2)}
        assert load_rig(tmp_path / "rig.toml").metadata == expected

    @pytest.mark.parametrize("value", [None, object(), [1, "a"], {1: 2}, {"deep": [None]}, 1j])
    def test_what_is_not_plain_is_an_error(self, value: object, rig: Rig, tmp_path: Path) -> None:
        with pytest.raises(InvalidValueError, match=r"metadata 'note.*expected text, a number"):
            save_rig(replace(rig, metadata={"note": value}), tmp_path / "rig.toml")

    def test_the_words_of_the_format_are_taken(self, rig: Rig, tmp_path: Path) -> None:
        with pytest.raises(InvalidValueError, match="got unit"):
            save_rig(replace(rig, metadata={"unit": "m"}), tmp_path / "rig.toml")


Change = tuple[str, str, str]

# What is replaced in a good file, with what, and what the error must say beside file and camera.
CHANGES: dict[str, Change] = {
    "newer version": ("format_version = 1", "format_version = 2", "format_version: expected 1, got 2"),
    "no unit": ('unit = "mm"', "", "expected the length unit"),
    "unit is a number": ('unit = "mm"', "unit = 3", "expected the length unit"),
    "no size": ("size = [1280, 720]\n", "", "camera 'top': expected a value 'size'"),
    "no matrix": ("matrix = ", "matrice = ", "camera 'top': expected a value 'matrix'"),
    "no rotation": ("\nrotation = ", "\nrotations = ", "camera 'top': expected a value 'rotation'"),
    "no translation": ("translation = ", "translations = ", "camera 'top': expected a value 'translation'"),
    "no distortion": ("distortions = ", "distortion = ", "camera 'top': expected a value 'distortions'"),
    "no name": ('name = "top"\n', "", "section [cam_0]: expected a value 'name'"),
    "name is a list": ('name = "top"', 'name = ["top"]', "section [cam_0], name: expected text"),
    "empty name": ('name = "top"', 'name = ""', "camera: expected a name"),
    "duplicate name": ('name = "cam_10"', 'name = "top"', "repeated: top"),
    "duplicate section": ("[cam_1]", "[cam_0]", "text that is not TOML"),
    "size zero": ("size = [1280, 720]", "size = [1280, 0]", "camera 'top', size: expected width and height"),
    "size in fractions": (
        "size = [1280, 720]",
        "size = [1280.5, 720]",
        "camera 'top', size: expected width and height",
    ),
    "size of three": (
        "size = [1280, 720]",
        "size = [1280, 720, 3]",
        "camera 'top', size: expected numbers of shape (2,)",
    ),
    "size is text": ("size = [1280, 720]", 'size = "1280x720"', "camera 'top', size: expected numbers"),
    "size not finite": ("size = [1280, 720]", "size = [inf, 720]", "camera 'top', size: expected width and height"),
    "matrix not square": (
        "matrix = [[",
        "matrix = [[1.0], [",
        "camera 'top', camera matrix: expected numbers of shape",
    ),
    "matrix infinite": ("matrix = [[900.1", "matrix = [[inf", "camera 'top', camera matrix: expected [[fx"),
    "matrix negative": ("matrix = [[900.1", "matrix = [[-900.1", "camera 'top', camera matrix: expected [[fx"),
    "translation infinite": (
        "translation = [",
        "translation = [nan, 0.0, 0.0] #",
        "camera 'top', translation: expected finite",
    ),
    "translation of two": (
        "translation = [",
        "translation = [0.0, 0.0] #",
        "camera 'top', translation: expected numbers of",
    ),
    "rotation of two": (
        "\nrotation = [",
        "\nrotation = [0.0, 0.0] #",
        "camera 'top', rotation: expected numbers of shape",
    ),
    "rotation not finite": (
        "\nrotation = [",
        "\nrotation = [nan, nan, nan] #",
        "camera 'top', rotation: expected finite numbers",
    ),
    "another rotation": ("\nrotation = [", "\nrotation = [0.0, 0.0, 0.0] #", "the same rotation in 'rotation' and"),
    "mirrored": (
        "rotation_matrix = [",
        "rotation_matrix = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]] #",
        "camera 'top', rotation: expected",
    ),
    "seven coefficients": (
        "distortions = [",
        "distortions = [0.0, 0.0, ",
        "camera 'top', distortion coefficients: expected 0 or 4",
    ),
    "infinite coefficient": (
        "distortions = [-0.31",
        "distortions = [inf",
        "camera 'top', distortion coefficients: expected",
    ),
    "absurd coefficient": (
        "distortions = [-0.31",
        "distortions = [1e200",
        "distortion coefficients: expected numbers up to",
    ),
    "text coefficient": (
        "distortions = [-0.31",
        "distortions = ['-0.31'",
        "distortion coefficients: expected numbers, got",
    ),
    "fisheye is text": (
        'name = "top"',
        'name = "top"\nfisheye = "no"',
        "camera 'top', fisheye: expected true or false",
    ),
    "fisheye of five": (
        'name = "top"',
        'name = "top"\nfisheye = true',
        "camera 'top', distortion coefficients: expected 4",
    ),
}


@pytest.mark.parametrize(("old", "new", "message"), CHANGES.values(), ids=CHANGES)
def test_a_wrong_value_is_named_with_file_and_camera(
    old: str, new: str, message: str, rig: Rig, tmp_path: Path
) -> None:
    path = tmp_path / "rig.toml"
    save_rig(rig, path)
    text = path.read_text()
    assert old in text
    text = text.replace(old, new, 1)
    if new.startswith("rotation_matrix"):  # so that the two rotations agree, and only the mirroring is wrong
        text = text.replace("\nrotation = [", "\nrotation = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]] #", 1)
    path.write_text(text)
    with pytest.raises(FileFormatError) as caught:
        load_rig(path, format="rig-toml")
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert caught.value.remedy
