"""How do I calibrate cameras from Python? From the corners of a board to a rig, its verdict, and what it is worth.

Run it with `python examples/calibrate_from_python.py`. The corners are simulated, so that it takes a few seconds and
the truth is known; those of your own videos come from `detect_corners`, as the last lines of this file show. It writes
rig.toml and corners.nc.
"""

from calibration import Charuco, save_rig
from calibration.diagnosis import diagnose
from calibration.formats import save_corners
from calibration.rig_calibration import calibrate
from calibration.synthetic import make_board_scene, make_rig
from calibration.synthetic.volume import volume_errors
from calibration.verdict import judge

# Four cameras, and a board at 120 places: corners that are off by 0.3 px, some of them wrong, some boards missed.
truth = make_rig(4, seed=1)
board = Charuco(8, 11, 24.0)
scene = make_board_scene(truth, board, frames=120, noise=0.3, outlier_rate=0.02, missing_rate=0.1, seed=1)

outcome = calibrate(scene.corners)
diagnosis = diagnose(outcome)
verdict = judge(diagnosis, outcome)
print(verdict.headline)
for finding in verdict.findings:
    if finding.next_step:
        print("next:", finding.next_step)

print("camera  used px  left-out px  lens     f px (std)")
for camera in diagnosis.cameras:
    model = camera.model.name
    deviation = camera.deviations["f" if "f" in camera.deviations else "fx"]
    print(
        f"{camera.name:6s} {camera.used.rms:8.2f} {camera.held_out.rms:12.2f}  {model:8s} "
        f"{camera.focal_length:.1f} ({deviation:.1f})"
    )
print(f"squares of {diagnosis.square:g} mm measure {diagnosis.lengths.mean_length:.3f} mm on left-out frames")

# Known truth is a luxury. What counts is where points come out that the true cameras see.
error = volume_errors(truth, outcome.rig)
print(f"in a ball of 500 mm points are off by {error.mean():.3f} mm on average, {error.max():.3f} at most")

save_rig(outcome.rig, "rig.toml")
save_corners(scene.corners, "corners.nc")  # `pose3d calibrate --corners corners.nc` goes on from here


# With pictures instead of simulated corners:
#
#     from calibration.boards import load_board
#     from calibration.observations import detect_corners, find_sources
#
#     board = load_board("board.toml")
#     corners = detect_corners(find_sources("calibration/"), board, timestamps="calibration/timestamps.csv")
#     outcome = calibrate(corners)
