"""How sure is a position? Compare what the covariance claims with the truth, on the embedded sample.

Run it with `python examples/how_sure_is_a_position.py`.
"""

import numpy as np

import calibration
import pose3d
from pose3d.metrics import coverage, position_error
from pose3d.synthetic import sample_folder

folder = sample_folder("demo")
rig = calibration.load_rig(folder / "rig.toml")
poses2d = pose3d.load_poses2d([folder / "poses2d.nc"], rig=rig)
poses3d = pose3d.triangulate(poses2d, rig)
with pose3d.open_session(folder / "truth.nc") as session:
    truth = session.require("poses3d").load()

# Standard deviation of each coordinate: the square root of the diagonal of the covariance.
diagonal = [poses3d["covariance"].sel(space=axis, space_=axis) for axis in "xyz"]
claimed = np.sqrt(sum(variance for variance in diagonal)).median(("time", "individual"))
actual = position_error(poses3d, truth).median(("time", "individual"))
inside = coverage(poses3d, truth, 0.95)

print(f"{'keypoint':18s} claimed mm  actual mm  inside the 95 % ellipsoid")
for keypoint in poses3d["keypoint"].values:
    print(
        f"{keypoint:18s} {claimed.sel(keypoint=keypoint).item():10.2f} {actual.sel(keypoint=keypoint).item():10.2f}"
        f" {100 * inside.sel(keypoint=keypoint).item():10.1f} %"
    )
