"""My calibration is in no format that is read: make the rig in Python, check it, and save it.

Run it with `python examples/bring_your_own_rig.py`. It writes my_rig.toml, which Anipose reads too.
"""

import numpy as np

from calibration import BrownConrady, Camera, Rig, RigidTransform, save_rig, triangulate

camera_matrix = np.array([[1400.0, 0.0, 639.5], [0.0, 1400.0, 511.5], [0.0, 0.0, 1.0]])
lens = BrownConrady(camera_matrix, [-0.2, 0.05, 0.0, 0.0, 0.0])  # k1, k2, p1, p2, k3, as OpenCV has them

# x_cam = R x_world + t: rotation vectors in radians (OpenCV's rvec), translations in millimeters.
poses = {
    "left": RigidTransform.from_rotation_vector([0.0, 0.4, 0.0], [0.0, 0.0, 1000.0]),
    "right": RigidTransform.from_rotation_vector([0.0, -0.4, 0.0], [0.0, 0.0, 1000.0]),
    "top": RigidTransform.from_rotation_vector([0.6, 0.0, 0.0], [0.0, 0.0, 1100.0]),
}
rig = Rig(tuple(Camera(name, (1280, 1024), lens, pose) for name, pose in poses.items()), unit="mm")

# A point that every camera sees, there and back.
point = np.array([[20.0, -10.0, 30.0]])
outcome = triangulate(rig, rig.project(point), noise=0.5)
print(
    "projected to",
    *(f"{name} {np.round(pixel, 1)}" for name, pixel in zip(rig.names, rig.project(point)[0], strict=True)),
)
print("and back to", np.round(outcome.points[0], 6), "mm")
print("with 0.5 px of noise: standard deviation", np.sqrt(np.diagonal(outcome.covariance[0])).round(2), "mm")
save_rig(rig, "my_rig.toml")
