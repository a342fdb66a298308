"""Bodies: lengths, distances, centers and axes against known truth, laws, and Monte Carlo for standard deviations."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from calibration.errors import InvalidValueError, MismatchError
from calibration.schema import check
from pose3d import metrics
from pose3d.datasets import POSES3D, poses2d, poses3d
from pose3d.kinematics.bodies import body_length, bone_lengths, keypoint_chain, pairwise_distances
from pose3d.kinematics.body_axes import body_axis, body_centered
from pose3d.kinematics.masses import center_of_mass, center_of_mass_poses
from pose3d.skeleton import PRESETS, Anatomy, Mass, Segment, Skeleton

PERSON = PRESETS["body_25"]
MOUSE = Skeleton(
    "mouse",
    ("nose", "neck", "left", "right", "tail"),
    (("nose", "neck"), ("neck", "tail"), ("neck", "left"), ("neck", "right")),
    (("left", "right"),),
    anatomy=Anatomy(
        segments=(Segment("trunk", ("tail",), ("x", ("tail",), ("neck",)), ("z", ("left",), ("right",))),),
        masses=(
            Mass("head", ("neck",), ("nose",), 0.2, 0.5),
            Mass("trunk", ("tail",), ("neck", "neck"), 0.7, 0.4),
            Mass("shoulders", ("left",), ("right",), 0.1, 0.5),
        ),
        rear=("tail",),
        front=("neck",),
    ),
)


def poses(position: np.ndarray, skeleton: Skeleton = MOUSE, covariance: np.ndarray | None = None) -> xr.Dataset:
    """Poses3D of positions (time, space, keypoint, individual) and covariances (..., space, space_, keypoint, ...)."""
    names = [f"i{number}" for number in range(position.shape[-1])]
    made = poses3d(position, individuals=names, keypoints=skeleton.keypoints, unit="mm", frame_rate=100)
    if covariance is not None:
        dims = ("time", "space", "space_", "keypoint", "individual")
        made["covariance"] = (dims, covariance, {"units": "mm^2"})
    return made


def random_poses(seed: int = 0, frames: int = 6, *, uncertain: bool = True, skeleton: Skeleton = MOUSE) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    count = len(skeleton.keypoints)
    position = rng.normal(0, 100, (frames, 3, count, 2))
    root = rng.normal(0, 1, (frames, count, 2, 3, 3))
    return poses(position, skeleton, np.einsum("tkiab,tkicb->tacki", root, root) if uncertain else None)


def drawn(one: xr.Dataset, count: int, seed: int = 1) -> xr.Dataset:
    """Many frames with the errors that the covariance of one frame, the first, says."""
    rng = np.random.default_rng(seed)
    mean = one["position"].values[0]  # (3, keypoint, individual)
    root = np.linalg.cholesky(np.moveaxis(one["covariance"].values[0], (0, 1), (-2, -1)))
    noise = np.einsum("kiab,tkib->taki", root, rng.standard_normal((count, *root.shape[:-1])))
    return poses(mean + noise)


def moved(given: xr.Dataset, turn: Rotation, shift: np.ndarray) -> xr.Dataset:
    position = np.einsum("ab,tbki->taki", turn.as_matrix(), given["position"].values) + shift[:, None, None]
    covariance = np.einsum("ab,tbcki,dc->tadki", turn.as_matrix(), given["covariance"].values, turn.as_matrix())
    return given.assign(
        position=given["position"].copy(data=position), covariance=given["covariance"].copy(data=covariance)
    )


motions = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6))


class TestLengths:
    def test_bones_are_those_of_the_skeleton(self) -> None:
        found = bone_lengths(random_poses(), MOUSE)
        position = random_poses()["position"]
        assert found["bone_length"].dims == ("time", "edge", "individual")
        assert list(found["edge"].values) == ["nose-neck", "neck-tail", "neck-left", "neck-right"]
        assert found["bone_length"].attrs["units"] == found["bone_length_std"].attrs["units"] == "mm"
        for edge in MOUSE.edges:
            expected = np.linalg.norm(position.sel(keypoint=edge[0]) - position.sel(keypoint=edge[1]), axis=1)
            np.testing.assert_allclose(found["bone_length"].sel(edge="-".join(edge)), expected)

    def test_a_missing_end_spoils_its_own_bones_only(self) -> None:
        given = random_poses()
        given["position"][2, :, 0, 1] = np.nan
        missing = bone_lengths(given, MOUSE)["bone_length"].isnull()
        assert missing.sum() == 1
        assert missing.sel(edge="nose-neck", individual="i1")[2]

    def test_those_of_the_metrics_are_these(self) -> None:
        given = random_poses()
        xr.testing.assert_equal(metrics.bone_lengths(given, MOUSE), bone_lengths(given, MOUSE)["bone_length"])

    def test_without_covariance_there_is_no_standard_deviation(self) -> None:
        given = random_poses(uncertain=False)
        for found in (bone_lengths(given, MOUSE), center_of_mass(given, MOUSE), body_axis(given, MOUSE)):
            assert not [name for name in found if str(name).endswith("_std")]

    def test_no_bone_in_common_is_refused(self) -> None:
        with pytest.raises(MismatchError, match="edges between the keypoints of the poses"):
            bone_lengths(random_poses(), PERSON)

    def test_all_pairs_or_some(self) -> None:
        given = random_poses()
        assert pairwise_distances(given).sizes["pair"] == 10
        found = pairwise_distances(given, [("nose", "tail"), ("nose", ("left", "right"))])
        assert list(found["pair"].values) == ["nose-tail", "nose-left+right"]
        middle = given["position"].sel(keypoint=["left", "right"]).mean("keypoint")
        expected = np.linalg.norm(given["position"].sel(keypoint="nose") - middle, axis=1)
        np.testing.assert_allclose(found["distance"].sel(pair="nose-left+right"), expected)

    def test_unknown_keypoints_are_told_with_the_nearest(self) -> None:
        with pytest.raises(InvalidValueError, match="Did you mean 'tail'"):
            pairwise_distances(random_poses(), [("nose", "tial")])
        with pytest.raises(InvalidValueError, match="one pair of two points or more"):
            pairwise_distances(random_poses(), [])

    def test_the_body_along_points(self) -> None:
        given = random_poses()
        bones = bone_lengths(given, MOUSE)["bone_length"]
        along = body_length(given, MOUSE, keypoint_chain(MOUSE, "tail", "nose"))["body_length"]
        np.testing.assert_allclose(along, bones.sel(edge=["nose-neck", "neck-tail"]).sum("edge"))
        np.testing.assert_allclose(body_length(given, MOUSE)["body_length"], bones.sel(edge="neck-tail"))

    @pytest.mark.parametrize(
        "compute",
        [
            lambda given: bone_lengths(given, MOUSE),
            lambda given: pairwise_distances(given, [(("left", "right"), "left"), ("nose", ("neck", "tail"))]),
            lambda given: body_length(given, MOUSE, ["tail", "neck", "nose"]),
        ],
    )
    def test_standard_deviations_are_those_of_many_draws(self, compute: object) -> None:
        one = random_poses(3, 1)
        assert callable(compute)
        found, many = compute(one), compute(drawn(one, 20000))
        (name,) = (str(each) for each in found if not str(each).endswith("_std"))
        np.testing.assert_allclose(found[f"{name}_std"][0], many[name].std("time"), rtol=0.04)

    def test_poses_in_images_are_measured_in_pixels(self) -> None:
        rng = np.random.default_rng(0)
        flat = poses2d(
            rng.normal(size=(4, 2, 1, 5, 2)), cameras=["a", "b"], individuals=["i"], keypoints=MOUSE.keypoints
        )
        found = bone_lengths(flat, MOUSE)["bone_length"]
        assert found.dims == ("time", "camera", "individual", "edge")
        assert found.attrs["units"] == "px"
        axis = body_axis(flat, MOUSE)
        assert axis["body_axis"].dims == ("time", "camera", "individual", "space")
        assert "body_pitch" not in axis
        step = flat["position"].sel(keypoint="neck") - flat["position"].sel(keypoint="tail")
        np.testing.assert_allclose(axis["body_yaw"], np.arctan2(step[..., 1], step[..., 0]))


class TestChains:
    def test_the_way_along_a_tree(self) -> None:
        assert keypoint_chain(MOUSE, "nose", "tail") == ("nose", "neck", "tail")
        assert keypoint_chain(MOUSE, "nose", "nose") == ("nose",)

    def test_a_loop_is_refused_with_its_ways(self) -> None:
        with pytest.raises(InvalidValueError, match=r"a loop: .*LHip - LShoulder.* and .*RHip"):
            keypoint_chain(PRESETS["coco_17"], "LAnkle", "LShoulder")

    def test_a_loop_elsewhere_does_not_matter(self) -> None:
        assert keypoint_chain(PRESETS["coco_17"], "LAnkle", "LHip") == ("LAnkle", "LKnee", "LHip")

    def test_what_is_not_joined_or_unknown_is_refused(self) -> None:
        apart = Skeleton("apart", ("a", "b", "c"), (("a", "b"),))
        with pytest.raises(InvalidValueError, match="no way"):
            keypoint_chain(apart, "a", "c")
        with pytest.raises(InvalidValueError, match="Did you mean 'nose'"):
            keypoint_chain(MOUSE, "nse", "tail")


class TestCenterOfMass:
    def test_it_is_the_weighted_mean_of_the_parts(self) -> None:
        given = random_poses()
        at = {name: given["position"].sel(keypoint=name, drop=True) for name in MOUSE.keypoints}
        head, trunk = (at["neck"] + at["nose"]) / 2, at["tail"] + 0.4 * (at["neck"] - at["tail"])
        expected = 0.2 * head + 0.7 * trunk + 0.1 * (at["left"] + at["right"]) / 2
        found = center_of_mass(given, MOUSE)
        np.testing.assert_allclose(found["center_of_mass"], expected.transpose("time", "space", "individual"))
        np.testing.assert_allclose(found["center_of_mass_share"], 1.0)

    def test_a_person_who_stands_straight(self) -> None:
        """The center of mass of a standing person is at 55 to 58 % of the height (Winter 2009: 0.55 to 0.58)."""
        height = {
            "Nose": 1.62, "Neck": 1.47, "Shoulder": 1.44, "Elbow": 1.13, "Wrist": 0.87, "MidHip": 0.93, "Hip": 0.93,
            "Knee": 0.5, "Ankle": 0.09, "Eye": 1.66, "Ear": 1.63, "BigToe": 0.02, "SmallToe": 0.02, "Heel": 0.02,
        }  # fmt: skip
        z = [height[name if name in height else name[1:]] for name in PERSON.keypoints]
        position = np.zeros((1, 3, 25, 1))
        position[0, 2, :, 0] = z
        found = center_of_mass(poses(position, PERSON), PERSON)["center_of_mass"].values.ravel()
        assert 0.55 < found[2] / 1.75 < 0.58

    def test_what_is_missing_is_left_out_up_to_a_share(self) -> None:
        given = random_poses()
        given["position"][0, :, 2, 0] = np.nan  # left: shoulders are gone, 10 %
        given["position"][1, :, 0, 0] = np.nan  # nose: head is gone, 20 %
        found = center_of_mass(given, MOUSE)
        assert found["center_of_mass_status"].values[:, 0].tolist() == [0, 1, 0, 0, 0, 0]
        assert found["center_of_mass_status"].attrs["flag_meanings"] == "found too_little_seen"
        np.testing.assert_allclose(found["center_of_mass_share"].values[:3, 0], [0.9, 0.8, 1.0])
        assert found["center_of_mass"].isnull().any("space").values[:, 0].tolist() == [False, True, *[False] * 4]
        some = center_of_mass(given, MOUSE, least_mass=0.5)
        whole = given["position"].sel(keypoint=["neck", "tail", "left", "right"]).values[1, :, :, 0]
        trunk = whole[:, 1] + 0.4 * (whole[:, 0] - whole[:, 1])
        expected = (0.7 * trunk + 0.1 * whole[:, 2:].mean(axis=1)) / 0.8
        np.testing.assert_allclose(some["center_of_mass"].values[1, :, 0], expected)

    def test_standard_deviations_are_those_of_many_draws(self) -> None:
        one = random_poses(5, 1)
        found, many = center_of_mass(one, MOUSE), center_of_mass(drawn(one, 20000), MOUSE)
        np.testing.assert_allclose(
            found["center_of_mass_std"].values[0], many["center_of_mass"].std("time").values, rtol=0.03
        )

    def test_it_can_be_taken_as_poses(self) -> None:
        given = random_poses()
        made = center_of_mass_poses(given, MOUSE)
        check(made, POSES3D)
        np.testing.assert_array_equal(
            made["position"].isel(keypoint=0).values, center_of_mass(given, MOUSE)["center_of_mass"].values
        )
        assert made.attrs["fps"] == 100

    def test_a_skeleton_without_masses_is_refused(self) -> None:
        with pytest.raises(InvalidValueError, match="what they weigh"):
            center_of_mass(random_poses(), MOUSE.bare())
        with pytest.raises(InvalidValueError, match="90% of its mass"):
            center_of_mass(random_poses().isel(keypoint=slice(1, None)), MOUSE)
        with pytest.raises(InvalidValueError, match="least mass"):
            center_of_mass(random_poses(), MOUSE, least_mass=1.5)


class TestAxis:
    def test_known_directions(self) -> None:
        position = np.zeros((5, 3, 5, 1))
        neck = MOUSE.keypoints.index("neck")
        position[:, :, neck, 0] = [(1, 0, 0), (0, 2, 0), (-1, 0, 1), (0, 0, 0), (0, 0, 3)]
        found = body_axis(poses(position), MOUSE)
        quarter = np.pi / 4
        np.testing.assert_allclose(found["body_yaw"].values.ravel(), [0, 2 * quarter, 4 * quarter, np.nan, np.nan])
        np.testing.assert_allclose(found["body_pitch"].values.ravel(), [0, 0, quarter, np.nan, 2 * quarter])
        assert found["body_axis_status"].values.ravel().tolist() == [0, 0, 0, 2, 3]
        np.testing.assert_allclose(found["body_axis"].values[[0, 1, 4], :, 0], [(1, 0, 0), (0, 1, 0), (0, 0, 1)])

    def test_a_missing_point_is_told(self) -> None:
        given = random_poses()
        given["position"][1, :, 1, 0] = np.nan
        assert body_axis(given, MOUSE)["body_axis_status"].values[:, 0].tolist() == [0, 1, 0, 0, 0, 0]

    def test_standard_deviations_are_those_of_many_draws(self) -> None:
        one = random_poses(7, 1)
        found, many = body_axis(one, MOUSE), body_axis(drawn(one, 20000), MOUSE)
        for name in ("body_axis", "body_yaw", "body_pitch"):
            np.testing.assert_allclose(found[f"{name}_std"].values[0], many[name].std("time").values, rtol=0.05)

    def test_a_skeleton_without_axis_is_refused(self) -> None:
        with pytest.raises(InvalidValueError, match=r'axis = \["tail_base", "neck"\]'):
            body_axis(random_poses(), MOUSE.bare())


class TestCentered:
    @pytest.mark.parametrize("orientation", ["heading", "axis", "trunk"])
    @given(motions)
    @settings(max_examples=8)
    def test_it_does_not_change_when_the_body_walks_elsewhere(self, orientation: str, seeds: tuple[int, int]) -> None:
        """Turned about the vertical; with a system of its own the body may turn in any way."""
        given, rng = random_poses(seeds[0]), np.random.default_rng(seeds[1])
        turn = Rotation.random(rng=rng) if orientation == "trunk" else Rotation.from_euler("z", rng.uniform(0, 6))
        there = moved(given, turn, rng.normal(0, 1000, 3))
        here, gone = (body_centered(each, MOUSE, orientation=orientation) for each in (given, there))
        np.testing.assert_allclose(gone["position"], here["position"], atol=1e-8)
        np.testing.assert_allclose(gone["covariance"], here["covariance"], atol=1e-8)

    @pytest.mark.parametrize("orientation", ["heading", "axis", "trunk"])
    def test_distances_and_sides_stay(self, orientation: str) -> None:
        given = random_poses()
        centered = body_centered(given, MOUSE, orientation=orientation)
        check(centered, POSES3D)
        np.testing.assert_allclose(pairwise_distances(centered)["distance"], pairwise_distances(given)["distance"])
        np.testing.assert_allclose(
            pairwise_distances(centered)["distance_std"], pairwise_distances(given)["distance_std"]
        )
        edges = [centered["position"].sel(keypoint=name).values for name in ("nose", "left", "right", "tail")]
        before = [given["position"].sel(keypoint=name).values for name in ("nose", "left", "right", "tail")]
        volumes = [np.linalg.det(np.stack([e - s[3] for e in s[:3]], axis=-1).swapaxes(1, 2)) for s in (edges, before)]
        np.testing.assert_allclose(*volumes, rtol=1e-9)

    def test_the_front_is_along_x_and_the_origin_where_it_was_asked_for(self) -> None:
        given = random_poses()
        centered = body_centered(given, MOUSE, orientation="axis")["position"]
        front, rear = (centered.sel(keypoint=name) for name in ("neck", "tail"))
        np.testing.assert_allclose(front.values, -rear.values, atol=1e-9)
        assert (front.sel(space="x") > 0).all()
        np.testing.assert_allclose(front.sel(space=["y", "z"]), 0, atol=1e-9)
        nose = body_centered(given, MOUSE, origin=("nose",))["position"].sel(keypoint="nose")
        np.testing.assert_allclose(nose, 0, atol=1e-9)
        mass = body_centered(given, MOUSE, origin="center_of_mass")
        np.testing.assert_allclose(center_of_mass(mass, MOUSE)["center_of_mass"], 0, atol=1e-9)

    def test_up_stays_up_with_the_heading(self) -> None:
        given = random_poses()
        centered = body_centered(given, MOUSE)["position"]
        steps = [
            (each.sel(keypoint="nose") - each.sel(keypoint="tail")).sel(space="z").values
            for each in (given["position"], centered)
        ]
        np.testing.assert_allclose(*steps)

    def test_frames_without_axis_are_missing(self) -> None:
        given = random_poses()
        given["position"][1, :, 4, 0] = np.nan
        missing = body_centered(given, MOUSE)["position"].isnull().all(["space", "keypoint"])
        assert missing.values[:, 0].tolist() == [False, True, False, False, False, False]

    @pytest.mark.parametrize(("option", "value"), [("origin", "middle"), ("orientation", "hedding")])
    def test_unknown_options_are_refused(self, option: str, value: str) -> None:
        with pytest.raises(InvalidValueError, match=r"expected .+, got .+\. .+"):
            body_centered(random_poses(), MOUSE, **{option: value})


@pytest.mark.parametrize(
    "compute",
    [
        lambda given: bone_lengths(given, MOUSE),
        lambda given: pairwise_distances(given),
        lambda given: body_length(given, MOUSE),
        lambda given: center_of_mass(given, MOUSE),
        lambda given: center_of_mass_poses(given, MOUSE),
        lambda given: body_axis(given, MOUSE),
        lambda given: body_centered(given, MOUSE, origin="center_of_mass"),
        lambda given: body_centered(given, MOUSE, orientation="trunk"),
    ],
)
def test_lazy_poses_give_the_same_lazily(compute: object) -> None:
    assert callable(compute)
    given = random_poses(frames=20)
    lazy = compute(given.chunk(time=7))
    assert all(array.chunks for name, array in lazy.data_vars.items() if name != "confidence")
    xr.testing.assert_allclose(lazy.compute(), compute(given))


@given(motions, st.floats(0.1, 10))
@settings(max_examples=8)
def test_lengths_do_not_change_with_the_world_and_follow_the_unit(seeds: tuple[int, int], scale: float) -> None:
    given, rng = random_poses(seeds[0], 2), np.random.default_rng(seeds[1])
    there = moved(given, Rotation.random(rng=rng), rng.normal(0, 1000, 3))
    scaled = there.assign(position=there["position"] * scale, covariance=there["covariance"] * scale**2)
    for compute in (lambda each: bone_lengths(each, MOUSE), pairwise_distances):
        here, gone = compute(given), compute(scaled)
        for name in here:
            np.testing.assert_allclose(gone[name], scale * here[name], rtol=1e-7)
