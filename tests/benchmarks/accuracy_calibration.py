"""Every figure of the calibrations in docs/accuracy.md: `python tests/benchmarks/accuracy_calibration.py [--seeds N]`.

The error in the volume is that of `calibration.synthetic.volume`: noise-free pixels of random points 1 m from the
cameras, triangulated by the estimated rig. Real recordings are looked for where POSE3D_REAL_DATA says, else in
../shared/data; what is absent is left out.
"""

import argparse
import os
import warnings
from pathlib import Path

import numpy as np

from calibration import load_rig
from calibration.boards import Charuco, Chessboard
from calibration.boards.files import load_board
from calibration.diagnosis import diagnose
from calibration.errors import CalibrationError
from calibration.observations import ObservationSettings, detect_corners, find_sources
from calibration.rig_calibration import calibrate
from calibration.synthetic import make_board_scene, make_rig
from calibration.synthetic.volume import volume_errors
from calibration.verdict import judge

DATA = Path(os.environ.get("POSE3D_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))
BOARD = Charuco(8, 6, 50.0)
USUAL = {"cameras": 6, "frames": 100, "noise": 0.3, "outlier_rate": 0.05}
CHANGES = {
    "noise": (0.1, 1.0),
    "outlier_rate": (0.0, 0.2),
    "frames": (20, 50, 200),
    "cameras": (2, 4, 8, 16),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| cameras | frames | noise px | outliers | error in the volume, median of seeds | worst seed | verdicts |")
    print("|---|---|---|---|---|---|---|")
    for settings in (USUAL, *(USUAL | {name: value} for name, values in CHANGES.items() for value in values)):
        print(row(settings, arguments.seeds), flush=True)
    if DATA.is_dir():
        stereo()
        webcams()
        people()
        mouse()


def row(settings: dict[str, float], seeds: int) -> str:
    errors, verdicts = [], []
    for seed in range(seeds):
        count = int(settings["cameras"])
        rig = make_rig(max(count, 6), seed=seed)
        rig = rig.select(rig.names[:count])
        scene = make_board_scene(
            rig,
            BOARD,
            frames=int(settings["frames"]),
            radius=250.0,
            noise=settings["noise"],
            outlier_rate=settings["outlier_rate"],
            seed=seed,
        )
        try:
            found = calibrate(scene.corners)
        except CalibrationError:
            verdicts.append("refused")
            continue
        errors.append(float(volume_errors(rig, found.rig).mean()))
        verdicts.append(judge(diagnose(found), found).level.words)
    told = ", ".join(f"{verdicts.count(word)} {word}" for word in sorted(set(verdicts)))
    middle, worst = (f"{value:.3f} mm" for value in (np.median(errors), max(errors))) if errors else ("-", "-")
    share = f"{100 * settings['outlier_rate']:.0f} %"
    return f"| {count} | {settings['frames']} | {settings['noise']} | {share} | {middle} | {worst} | {told} |"


def stereo() -> None:
    found = calibrate(detect_corners(find_sources(DATA / "stereo_chessboard"), Chessboard(10, 7, 30.0)))
    matrix = found.rig["left"].lens.camera_matrix
    shift = (found.rig["right"].cam_from_world @ found.rig["left"].cam_from_world.inverse()).translation
    tell("stereo_chessboard", found)
    print(f"  fc {matrix[0, 0]:.1f} {matrix[1, 1]:.1f} (533.0 533.2), T {shift.round(2)} (-99.85 0.82 0.44)")
    print(f"  |T| {np.linalg.norm(shift):.2f} ({np.linalg.norm([-99.85, 0.82, 0.44]):.2f})")


def webcams() -> None:
    folder = DATA / "charuco_4cam" / "charuco_calibration"
    videos = folder / "calibration" / "extrinsic"
    board = load_board(folder / "charuco.toml")
    found = calibrate(detect_corners(find_sources(videos), board, timestamps=videos / "timestamps.csv"))
    tell("charuco_4cam", found)
    if found.clocks is not None:
        print(f"  clocks ms {(1000 * found.clocks.offsets).round(1)} +- {(1000 * found.clocks.deviations).round(1)}")
    others = load_rig(folder / "camera_array.toml")
    first, second = found.rig.cameras[0].cam_from_world, others.cameras[0].cam_from_world
    for ours, theirs in zip(found.rig, others, strict=True):
        print(
            f"  {ours.name}: f {ours.lens.camera_matrix[0, 0]:.1f} ({theirs.lens.camera_matrix[0, 0]:.1f}), "
            f"center {first(ours.center).round(1)} ({(1000 * second(theirs.center)).round(1)})"
        )


def people() -> None:
    sources = find_sources(DATA / "human_4cam" / "intrinsics")
    corners = detect_corners(sources, Chessboard(5, 8, 60.0), settings=ObservationSettings(synchronized=False))
    reference = load_rig(DATA / "human_4cam" / "Calib_qualisys.toml")
    print("human_4cam, lenses")
    for name, theirs in zip(map(str, corners["camera"].values), reference, strict=True):
        own = corners.sel(camera=[name])
        own = own.isel(frame=own["position"].notnull().any(("camera", "corner", "space")).values)
        ours = calibrate(own).rig.cameras[0].lens.camera_matrix[0, 0]
        print(f"  {name}: f {ours:.1f} ({theirs.lens.camera_matrix[0, 0]:.1f})")


def mouse() -> None:
    session = DATA / "mouse_4cam" / "minimal_session"
    others = load_rig(session / "calibration_3cam.toml", unit="mm")
    sources = find_sources([f"{name}={session / name / 'calibration_images' / '*.jpg'}" for name in others.names])
    found = calibrate(detect_corners(sources, load_board(session / "board.toml")))
    tell("mouse_4cam", found)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        ours, theirs = (
            float(np.linalg.norm(rig.cameras[a].center - rig.cameras[b].center)) for rig in (found.rig, others)
        )
        print(f"  {others.names[a]} to {others.names[b]}: {ours:.1f} mm ({theirs:.1f})")


def tell(name: str, found: object) -> None:
    diagnosis = diagnose(found)
    verdict = judge(diagnosis, found)
    print(f"{name}: {verdict.level.words}. {verdict.headline}")
    print(f"  RMS {diagnosis.used.rms:.3f} px, median {diagnosis.used.median:.3f}, p95 {diagnosis.used.p95:.3f}")
    if diagnosis.held_out is not None:
        print(f"  left-out RMS {diagnosis.held_out.rms:.3f} px")
    if diagnosis.lengths is not None:
        lengths = diagnosis.lengths
        print(f"  squares of {diagnosis.square:g} measure {lengths.mean_length:.3f}, RMS error {lengths.rms:.3f}")


if __name__ == "__main__":
    main()
