"""Every figure of docs/accuracy.md on calibration: `python tests/benchmarks/accuracy_calibration.py [--json]`.

Simulated: a board carried through rings of cameras, 1 m from it. The error in the volume is the mean distance between
points of a ball of 250 mm and where the estimated rig sees them, after the best rigid motion, without scale; of several
seeds the median, and the largest beside it. Real recordings are looked for where POSE3D_REAL_DATA says, else in
../shared/data; what is absent is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from calibration import load_rig
from calibration.boards import Board, Charuco, Chessboard
from calibration.bundle import BundleSettings
from calibration.diagnosis import Diagnosis, diagnose
from calibration.errors import SuiteError
from calibration.observations import ObservationSettings, detect_corners, find_sources
from calibration.rig import Rig
from calibration.rig_calibration import Calibration, CalibrationSettings, calibrate
from calibration.synthetic import make_board_scene, make_rig
from calibration.synthetic.volume import volume_errors
from calibration.transforms import rotation_vector_from_matrix
from calibration.verdict import judge

DATA = Path(os.environ.get("POSE3D_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))
BOARD = Charuco(8, 6, 50.0)
SYMMETRIC = Chessboard(8, 6, 45.0)
MOUSE = Charuco(8, 11, 24.0, marker=18.75, dictionary="DICT_4X4_1000")
# name: what differs from 4 neighbors of a ring of 6, 50 frames, 0.3 px, 5 % outliers
ROWS: dict[str, dict[str, object]] = {
    "as below": {},
    "noise 0.1 px": {"noise": 0.1},
    "noise 1 px": {"noise": 1.0},
    "no outliers": {"outlier_rate": 0.0},
    "20 % outliers": {"outlier_rate": 0.2},
    "10 frames": {"frames": 10},
    "20 frames": {"frames": 20},
    "150 frames": {"frames": 150},
    "2 cameras": {"cameras": 2},
    "8 cameras": {"cameras": 8},
    "16 cameras": {"cameras": 16},
    "chessboard, 20 % turned, 10 % missing": {
        "board": SYMMETRIC,
        "radius": 150.0,
        "turn_rate": 0.2,
        "missing_rate": 0.1,
    },
    "board bent by 1 mm, taken for flat": {"bend": 1.0},
    "board bent by 1 mm, bend estimated": {"bend": 1.0, "estimate": True},
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true", help="print one JSON line only")
    parser.add_argument("--seeds", type=int, default=5, help="simulated recordings in each row")
    parser.add_argument("--only", choices=("synthetic", "real"), help="one part only")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    figures = {}
    if arguments.only != "real":
        figures["synthetic"] = {name: row(changes, arguments.seeds) for name, changes in ROWS.items()}
    if arguments.only != "synthetic":
        tasks: dict[str, Callable[[Path], dict[str, object]]] = {
            "stereo_chessboard": stereo,
            "charuco_4cam": charuco,
            "human_4cam": human,
            "mouse_4cam": mouse,
        }
        figures["real"] = {name: task(DATA / name) for name, task in tasks.items() if (DATA / name).is_dir()}
    if not arguments.json:
        for part, rows in figures.items():
            print(f"\n{part}")
            for name, values in rows.items():
                print(f"  {name}")
                for key, value in values.items():
                    print(f"    {key:32s} {value:.4g}" if isinstance(value, float) else f"    {key:32s} {value}")
        print()
    json.dump(figures, sys.stdout)
    print()


def row(changes: dict[str, object], seeds: int) -> dict[str, object]:
    """Errors of several recordings, and what the diagnoses say of them."""
    chosen = {"cameras": 4, "frames": 50, "board": BOARD, "radius": 250.0, "noise": 0.3, "outlier_rate": 0.05} | changes
    cameras, bend = int(chosen.pop("cameras")), bool(chosen.pop("estimate", False))
    errors, levels, held, refused = [], [], [], 0
    for seed in range(seeds):
        rig = make_rig(max(cameras, 6), seed=seed)
        rig = rig.select(rig.names[:cameras])
        made = make_board_scene(rig, chosen["board"], seed=seed, **{k: v for k, v in chosen.items() if k != "board"})
        try:
            found = calibrate(made.corners, settings=CalibrationSettings(bundle=BundleSettings(bend=bend)))
        except SuiteError:
            refused += 1
            continue
        diagnosis = diagnose(found)
        errors.append(float(volume_errors(rig, found.rig).mean()))
        levels.append(judge(diagnosis, found).level.name.lower())
        if diagnosis.held_out is not None:
            held.append(diagnosis.held_out.rms / diagnosis.used.rms)
    return {
        "median_mm": float(np.median(errors)) if errors else np.nan,
        "largest_mm": float(np.max(errors)) if errors else np.nan,
        "held_out_over_used": float(np.median(held)) if held else np.nan,
        "verdicts": ", ".join(f"{levels.count(level)} {level}" for level in sorted(set(levels))),
        "refused": refused,
    }


def told(found: Calibration, diagnosis: Diagnosis) -> dict[str, object]:
    """What every real recording has."""
    lengths = diagnosis.lengths
    return {
        "rms_px": diagnosis.used.rms,
        "held_out_rms_px": np.nan if diagnosis.held_out is None else diagnosis.held_out.rms,
        "outliers": diagnosis.used.outliers,
        "held_out_length_mm": np.nan if lengths is None else lengths.mean_length,
        "held_out_length_rms_mm": np.nan if lengths is None else lengths.rms,
        "clocks_ms": None if found.clocks is None else (1000 * found.clocks.offsets).round(1).tolist(),
        "excess": found.excess,
        "verdict": judge(diagnosis, found).level.name.lower(),
        "models": {name: model.name for name, model in found.models.items()},
    }


def stereo(folder: Path) -> dict[str, object]:
    """J.-Y. Bouguet's example, beside the result of his own toolbox."""
    found = calibrate(detect_corners(find_sources(folder), Chessboard(10, 7, 30.0), workers=1, cache=False))
    pose = found.rig.cameras[1].cam_from_world
    return {
        **{f"fc_{camera.name}": np.diag(camera.lens.camera_matrix)[:2].round(2).tolist() for camera in found.rig},
        **{
            f"fc_{side}_toolbox": loadmat(folder / f"Calib_Results_{side}.mat")["fc"].ravel().round(2).tolist()
            for side in ("left", "right")
        },
        "translation": pose.translation.round(3).tolist(),
        "translation_toolbox": [-99.85, 0.82, 0.44],
        "distance": float(np.linalg.norm(pose.translation)),
        "bend_mm": found.bend,
        **told(found, diagnose(found)),
    }


def charuco(folder: Path) -> dict[str, object]:
    """Four webcams whose clocks are apart, beside caliscope's rig: its board lengths, from our corners."""
    videos = folder / "charuco_calibration" / "calibration" / "extrinsic"
    board = Charuco(4, 5, 54.0, marker=40.5, dictionary="DICT_4X4_1000", inverted=True)
    corners = detect_corners(find_sources(videos), board, timestamps=videos / "timestamps.csv", workers=1, cache=False)
    found = calibrate(corners)
    reference = load_rig(folder / "charuco_calibration" / "camera_array.toml")
    return {
        **told(found, diagnose(found)),
        **{
            f"f_{camera.name}": [
                round(float(rig[camera.name].lens.camera_matrix[0, 0]), 1) for rig in (found.rig, reference)
            ]
            for camera in found.rig
        },
        "length_by_caliscopes_rig_mm": lengths_by(reference, corners["position"].values, board),
        "length_by_caliscopes_rig_with_clocks_mm": lengths_by(reference, found.corners["position"].values, board),
        "length_by_this_rig_mm": lengths_by(found.rig, found.corners["position"].values, board),
        "distances_from_cam_0": distances(found.rig, reference),
    }


def lengths_by(rig: Rig, position: np.ndarray, board: Board) -> list[float]:
    """Mean and RMS error of the board's edges between triangulated corners."""
    from calibration.triangulation import triangulate

    points = triangulate(rig, np.moveaxis(position, 0, 2)).points
    ends = points[:, board.edges]
    length = np.linalg.norm(ends[..., 1, :] - ends[..., 0, :], axis=-1)
    scale = 1000.0 if rig.unit == "m" else 1.0
    length = scale * length[np.isfinite(length)]
    return [float(length.mean()), float(np.sqrt(((length - board.square) ** 2).mean()))]


def distances(found: Rig, reference: Rig) -> dict[str, list[float]]:
    """Of every camera from the first one, here and there, in mm."""
    result = {}
    for name in found.names[1:]:
        values = []
        for rig in (found, reference):
            scale = 1000.0 if rig.unit == "m" else 1.0
            values.append(round(scale * float(np.linalg.norm(rig[name].center - rig[found.names[0]].center)), 1))
        result[name] = values
    return result


def human(folder: Path) -> dict[str, object]:
    """Lenses alone, of seven pictures or fewer, beside Qualisys."""
    settings = ObservationSettings(synchronized=False)
    sources = find_sources(folder / "intrinsics")
    reference = load_rig(folder / "Calib_qualisys.toml")
    result: dict[str, object] = {}
    for number, (name, source) in enumerate(sources.items()):
        corners = detect_corners({name: source}, Chessboard(5, 8, 60.0), settings=settings, workers=1, cache=False)
        found = calibrate(corners)
        theirs = reference.cameras[number].lens.camera_matrix[[0, 1], [0, 1]]
        ours = found.rig.cameras[0].lens.camera_matrix[[0, 1], [0, 1]]
        result[name] = {
            "f": ours.round(1).tolist(),
            "f_qualisys": theirs.round(1).tolist(),
            "off": float(np.abs(ours / theirs - 1).max()),
            "rms_px": float(found.lenses[name].rms),
            "views": len(found.lenses[name].views),
        }
    return result


def mouse(folder: Path) -> dict[str, object]:
    """21 pictures of four cameras, beside sleap-anipose's rig of three of them."""
    session = folder / "minimal_session"
    reference = load_rig(session / "calibration_3cam.toml")
    names = ("back", "mid", "top", "side")
    sources = find_sources([f"{name}={session / name / 'calibration_images' / '*.jpg'}" for name in names])
    corners = detect_corners(sources, MOUSE, settings=ObservationSettings(still=0), workers=1, cache=False)
    found = calibrate(corners)
    bent = calibrate(corners, settings=CalibrationSettings(bundle=BundleSettings(bend=True)))
    three = found.rig.select(reference.names)
    rows = [list(found.rig.names).index(name) for name in reference.names]
    return {
        **told(found, diagnose(found)),
        "bend_mm": found.bend,
        **{f"bend_estimated_{key}": value for key, value in told(bent, diagnose(bent)).items() if "mm" in key},
        **{
            f"f_{name}": [round(float(rig[name].lens.camera_matrix[0, 0]), 1) for rig in (found.rig, reference)]
            for name in reference.names
        },
        "distances": distances(three, reference),
        "turned_degrees": {name: turned(three, reference, name) for name in reference.names[1:]},
        "length_by_sleap_anipose_mm": lengths_by(reference, corners["position"].values[rows], MOUSE),
        "length_by_this_rig_mm": lengths_by(three, corners["position"].values[rows], MOUSE),
    }


def turned(found: Rig, reference: Rig, name: str) -> float:
    """Degrees by which the rotation of a camera to the first one differs."""
    here, there = (
        rig[name].cam_from_world.rotation @ rig.cameras[0].cam_from_world.rotation.T for rig in (found, reference)
    )
    return round(float(np.rad2deg(np.linalg.norm(rotation_vector_from_matrix(here @ there.T)))), 2)


if __name__ == "__main__":
    main()
