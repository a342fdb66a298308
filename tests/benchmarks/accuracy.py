"""Every figure of docs/accuracy.md: `python tests/benchmarks/accuracy.py [--json]`.

Real recordings are looked for where POSE3D_REAL_DATA says, else in ../shared/data; what is absent is left out.
"""

import argparse
import json
import os
import sys
import warnings
from pathlib import Path

import numpy as np

from calibration import load_rig
from calibration.synthetic import make_points, make_rig, observe
from calibration.triangulation import triangulate as triangulate_pixels
from pose3d.formats import load_poses2d, open_session
from pose3d.metrics import coverage, summary
from pose3d.reconstruction import triangulate
from pose3d.synthetic import sample_folder

DATA = Path(os.environ.get("POSE3D_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))
CHI2_95 = 7.814727903251179  # chi-squared with 3 degrees of freedom


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true", help="print one JSON line only")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    figures = {"synthetic": synthetic(), "demo": demo(), "real": real()}
    if not arguments.json:
        for name, rows in figures.items():
            print(f"\n{name}")
            for row, values in rows.items():
                cells = "  ".join(f"{key} {value:.4g}" for key, value in values.items())
                print(f"  {row:34s} {cells}")
        print()
    json.dump(figures, sys.stdout)
    print()


def synthetic(points: int = 200_000) -> dict[str, dict[str, float]]:
    """1 px noise, 10 % outliers, 20 % missing: the robust method against an oracle that knows the inliers."""
    rows = {}
    for cameras in (3, 4, 6, 12):
        rig = make_rig(cameras)
        truth = make_points(points, seed=1)
        seen = observe(rig, truth, noise=1.0, outlier_rate=0.1, dropout_rate=0.2, seed=2)
        robust = triangulate_pixels(rig, seen.pixels)
        oracle = triangulate_pixels(
            rig, np.where(seen.inlier[..., None], seen.pixels, np.nan), method="linear", noise=1.0
        )
        error = np.linalg.norm(robust.points - truth, axis=-1)
        best = np.linalg.norm(oracle.points - truth, axis=-1)
        both = np.isfinite(error) & np.isfinite(best)
        offset = robust.points - truth
        with np.errstate(invalid="ignore"):
            squared = np.einsum("pi,pij,pj->p", offset, np.linalg.inv(robust.covariance), offset)
        rows[f"{cameras} cameras"] = {
            "median_mm": float(np.nanmedian(error)),
            "p95_mm": float(np.nanpercentile(error, 95)),
            "missing": float(np.isnan(error).mean()),
            "median_over_oracle": float(np.median(error[both]) / np.median(best[both])),
            "p95_over_oracle": float(np.percentile(error[both], 95) / np.percentile(best[both], 95)),
            "oracle_missing": float(np.isnan(best).mean()),
            "coverage_95": float((squared[np.isfinite(squared)] < CHI2_95).mean()),
        }
    return rows


def demo() -> dict[str, dict[str, float]]:
    """The embedded sample against its truth."""
    folder = sample_folder("demo")
    rig = load_rig(folder / "rig.toml")
    estimate = triangulate(load_poses2d([folder / "poses2d.nc"], rig=rig).load(), rig)
    with open_session(folder / "truth.nc") as session:
        truth = session.require("poses3d").load()
    over = ("time", "keypoint", "individual")
    errors = summary(estimate, truth, over=over)
    return {
        "demo sample": {
            "median_mm": float(errors["median"]),
            "p95_mm": float(errors["p95"]),
            "missing": float(errors["missing"]),
            "coverage_95": float(coverage(estimate, truth, over=over)),
        }
    }


def real() -> dict[str, dict[str, float]]:
    """The recordings of others, where they are."""
    tasks = {"human_4cam": human, "mouse_4cam": mouse, "labeled_mouse_6cam": labeled_mouse, "charuco_4cam": charuco}
    return {name: task(DATA / name) for name, task in tasks.items() if (DATA / name).is_dir()}


def positions(poses3d, individual=0):
    return poses3d["position"].isel(individual=individual).transpose("time", "keypoint", "space").values


def human(folder: Path) -> dict[str, float]:
    from pose3d.formats.trc import read_trc

    rig = load_rig(folder / "Calib_qualisys.toml")
    estimate = triangulate(load_poses2d([folder / "openpose_json"], rig=rig, frame_rate=60.0), rig)
    published = read_trc(folder / "Balancing_for_IK.trc")
    names = [str(name) for name in published["keypoint"].values]
    reference = positions(published)[..., [2, 0, 1]]
    distance = 1000 * np.linalg.norm(positions(estimate.sel(keypoint=names)) - reference, axis=-1)
    return _distances(distance)


def mouse(folder: Path) -> dict[str, float]:
    import h5py

    folder = folder / "minimal_session"
    rig = load_rig(folder / "calibration_3cam.toml")
    estimate = triangulate(load_poses2d([folder], rig=rig, format="sleap-analysis"), rig)
    with h5py.File(folder / "points3d.h5") as file:
        published = file["tracks"][:, 0]
    used = estimate["residual"].where(estimate["inlier"].astype(bool)).values
    reprojected = {
        "median_px": float(np.nanmedian(used)),
        "p95_px": float(np.nanpercentile(used, 95)),
    }
    return {**_distances(np.linalg.norm(positions(estimate) - published, axis=-1)), **reprojected}


def labeled_mouse(folder: Path) -> dict[str, float]:
    from scipy.io import loadmat

    file = folder / "label3d_dannce.mat"
    rig = load_rig(file)
    estimate = triangulate(load_poses2d([file], rig=rig), rig)
    labeled = loadmat(file, simplify_cells=True)["labelData"][0]["data_3d"].reshape(81, 22, 3)
    return _distances(np.linalg.norm(positions(estimate) - labeled, axis=-1))


def charuco(folder: Path) -> dict[str, float]:
    """Spacing of neighboring corners of a board whose squares are 54 mm."""
    import pandas as pd

    folder = folder / "4_cam_recording"
    corners = folder / "calibration" / "extrinsic" / "xy.csv"
    rig = load_rig(folder / "camera_array.toml")
    estimate = triangulate(load_poses2d([corners], rig=rig), rig)
    table = pd.read_csv(corners).drop_duplicates("keypoint_id").set_index("keypoint_id")
    board = table[["obj_loc_x", "obj_loc_y"]]
    position = positions(estimate)
    numbers = [int(str(name).rsplit("_", 1)[1]) for name in estimate["keypoint"].values]
    spacing = np.array(
        [
            1000 * np.linalg.norm(position[:, i] - position[:, j], axis=-1)
            for i, a in enumerate(numbers)
            for j, b in enumerate(numbers)
            if i < j and abs(np.linalg.norm(board.loc[a] - board.loc[b]) - 0.054) < 1e-3
        ]
    )
    return {
        "mean_mm": float(np.nanmean(spacing)),
        "std_mm": float(np.nanstd(spacing)),
        "missing": float(np.isnan(spacing).mean()),
    }


def _distances(distance) -> dict[str, float]:
    return {
        "median_mm": float(np.nanmedian(distance)),
        "p95_mm": float(np.nanpercentile(distance, 95)),
        "missing": float(np.isnan(distance).mean()),
    }


if __name__ == "__main__":
    main()
