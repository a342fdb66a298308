"""Has a camera moved since the calibration? Compare the rig with what its cameras see today.

Run it with `python examples/has_a_camera_moved.py`. A camera of a simulated rig is bumped in the middle of a recording.
Any points will do that several cameras see at the same instant: here corners of a board, else keypoints of an animal.
"""

from dataclasses import replace

import numpy as np

from calibration import AprilGrid, Rig, RigidTransform
from calibration.drift import check_drift
from calibration.synthetic import make_board_scene, make_rig

rig = make_rig(4, seed=2)
board = AprilGrid(4, 4, 40.0)

# Half a degree about the vertical of the image, and two millimeters to the right.
bump = RigidTransform.from_rotation_vector(np.deg2rad([0.0, 0.5, 0.0]), [2.0, 0.0, 0.0])
name = rig.names[2]
bumped = Rig(
    tuple(replace(each, cam_from_world=bump @ each.cam_from_world) if each.name == name else each for each in rig),
    unit=rig.unit,
)
before = make_board_scene(rig, board, frames=60, seed=3).corners
after = make_board_scene(bumped, board, frames=60, seed=4).corners

pixels = np.concatenate([each["position"].transpose("frame", "corner", "camera", "space") for each in (before, after)])
drift = check_drift(rig, pixels)
for camera in drift.cameras:
    if camera.moved:
        (angle, angle_error), (way, way_error) = np.rad2deg(camera.rotation), camera.distance
        # It shared points with others, and fitted them, for the last time in that frame.
        print(
            f"{camera.name} has moved after frame {camera.start - 1}: by {angle:.3f} ± {angle_error:.3f} degrees and "
            f"{way:.2f} ± {way_error:.2f} {rig.unit}, {camera.shift:.1f} px in its image"
        )
    else:
        print(f"{camera.name} has not moved; epipolar residual {camera.before:.2f} px")
if drift.moved:
    print("calibrate again; drift.rig has the new pose of", ", ".join(drift.moved))
