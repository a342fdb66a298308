"""Steps in poses of `reconstruct`, which smooths: contacts and lift-offs stay within a frame of the truth."""

import numpy as np
import pytest

from pose3d.kinematics import gait_events, strides
from pose3d.reconstruction import reconstruct
from pose3d.synthetic import SimulationSettings, simulate


@pytest.mark.slow
def test_events_of_smoothed_poses_are_off_by_less_than_a_frame() -> None:
    scene = simulate(SimulationSettings(duration=5.0, cameras=4, seed=4))
    poses = reconstruct(scene.poses2d, scene.rig, skeleton=scene.skeleton)
    events = gait_events(poses, scene.skeleton)
    for kind in ("contact", "lift_off"):
        off = []
        for leg in scene.skeleton.anatomy.legs:
            truth = scene.gait[kind].values[scene.gait["step_limb"].values == leg.foot]
            own = (events["event_leg"].values == leg.name) & (events["event_kind"].values == kind)
            found = events["event_time"].values[own]
            assert len(found) >= 13
            off += [found[np.argmin(abs(found - time))] - time for time in truth[np.isfinite(truth)]]
        assert abs(np.median(off)) < 0.010, kind
    found = strides(poses, events, scene.skeleton)
    assert np.nanmean(found["duty_factor"]) == pytest.approx(scene.settings.duty_factor, abs=0.06)
    assert np.nanmean(found["stride_length"]) == pytest.approx(scene.settings.stride_length, rel=0.02)
