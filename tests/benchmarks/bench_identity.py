"""Speed of telling animals apart. Run by hand:

    python tests/benchmarks/bench_identity.py [--frames 20000] [--hours 24] [--json]

4 (and 10) animals of 12 keypoints in 6 cameras, one thread. "rays" turns pixels into rays, "frame by frame" groups the
instances of a frame, "followed" groups them with what was seen before. Then a day at 30 frames per second is told apart
from beginning to end, with the memory of the process; it is an hour of a made crowd that is played forth and back, so
that it need not be made as well (making it takes longer than telling it apart).
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core.indexing import IndexingSupport, LazilyIndexedArray, explicit_indexing_adapter

from calibration.rig import Rig
from pose3d.datasets import time_coordinates
from pose3d.identity import IdentitySettings, identify, learn_identity, poses2d_of_instances
from pose3d.identity import _identity_kernels as kernels
from pose3d.identity._learning import parameters
from pose3d.identity._sightings import make_sightings
from pose3d.identity._tracks import Follower
from pose3d.metrics import score_identity
from pose3d.reconstruction import triangulate
from pose3d.synthetic.crowds import CROWDS, crowd_pieces, make_crowd

RATE = 30.0


class _Mirrored(BackendArray):
    """An array that is played forth and back along its first axis."""

    def __init__(self, values: NDArray[Any], length: int) -> None:
        self._values = values
        self.shape = (length, *values.shape[1:])
        self.dtype = values.dtype

    def __getitem__(self, key: Any) -> Any:
        return explicit_indexing_adapter(key, self.shape, IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        rows = np.atleast_1d(np.arange(self.shape[0])[key[0]])
        turn = rows % (2 * len(self._values))
        return self._values[np.minimum(turn, 2 * len(self._values) - 1 - turn)][(slice(None), *key[1:])]


def kernels_alone(kind: str, individuals: int, frames: int) -> dict[str, float]:
    """Microseconds of processor time per frame of each part."""
    crowd = make_crowd(replace(CROWDS[kind], individuals=individuals, frames=frames, frame_rate=RATE))
    settings = IdentitySettings(individuals=individuals)
    model = learn_identity(crowd.instances, crowd.rig, skeleton=crowd.skeleton, settings=settings)
    stage, ordered = model.on(crowd.instances, crowd.rig)

    def timed(work: Any) -> float:
        work()  # compiled, and in the cache
        times = []
        for _ in range(3):
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
        return min(times) / frames * 1e6

    seen = make_sightings(ordered, stage, settings.minimum_confidence)
    p = parameters(model.values, settings, planar=False, rate=RATE, slots=0)
    group, odds = np.empty(seen.conf.shape[:3], np.int64), np.empty(seen.conf.shape[:3])
    return {
        "rays": timed(lambda: make_sightings(ordered, stage, settings.minimum_confidence)),
        "frame by frame": timed(
            lambda: kernels.group_frames(
                seen.ray, seen.conf, seen.angle, stage.base, model.values.extent, p, group, odds
            )
        ),
        "followed": timed(lambda: Follower(stage, model.values, settings, keypoints=12, rate=RATE).feed(seen)),
    }


def day(hours: float) -> dict[str, float]:
    """A day from beginning to end."""
    settings = replace(CROWDS["issue"], frames=round(3600 * RATE), frame_rate=RATE, seed=7)
    parts = []
    for piece in crowd_pieces(settings, 10_000):
        rig, skeleton = piece.rig, piece.skeleton
        names = ("position", "confidence")
        parts.append({name: piece.instances[name].values.astype(np.float32) for name in names})
        parts[-1]["truth"] = piece.poses3d["position"].values.astype(np.float32)
        example = piece
    values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    del parts
    length = round(hours * 3600 * RATE)
    instances = _long(example.instances, values, length)
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    reports: list[int] = []
    identity = identify(
        instances,
        rig,
        skeleton=skeleton,
        settings=IdentitySettings(individuals=4),
        progress=lambda _, frames: reports.append(frames),
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "hours": hours,
        "frames": length,
        "wall_s": wall,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_GB": after.ru_maxrss / 1e6,
        "input_GB": sum(array.nbytes for array in values.values()) / 1e9,
        "risks": identity.sizes["risk"],
        **_scores(instances, identity, rig, values["truth"], example.poses3d),
    }


def _long(example: xr.Dataset, values: dict[str, NDArray[Any]], length: int) -> xr.Dataset:
    variables = {
        name: (example[name].dims, LazilyIndexedArray(_Mirrored(values[name], length)), example[name].attrs)
        for name in ("position", "confidence")
    }
    coords = {name: example[name].values for name in ("camera", "instance", "keypoint", "space")}
    return xr.Dataset(variables, {**coords, **time_coordinates(length, None, RATE)}, example.attrs)


def _scores(
    instances: xr.Dataset, identity: xr.Dataset, rig: Rig, truth: NDArray[Any], example: xr.Dataset
) -> dict[str, float]:
    """IDF1 and switches, of every tenth frame."""
    mirrored = LazilyIndexedArray(_Mirrored(truth, instances.sizes["time"]))
    whole = xr.Dataset(
        {"position": (example["position"].dims, mirrored, example["position"].attrs)},
        {name: example[name].values for name in ("space", "keypoint", "individual")}
        | dict(time_coordinates(instances.sizes["time"], None, RATE)),
        example.attrs,
    )
    found, true = [], []
    for start in range(0, instances.sizes["time"], 20_000):
        rows = slice(start, start + 20_000, 10)
        poses = poses2d_of_instances(instances.isel(time=rows).load(), identity.isel(time=rows))
        found.append(triangulate(poses, rig)[["position", "confidence"]])
        part = whole.isel(time=rows).load()
        seen = part["position"].notnull().all("space").astype(float).assign_attrs(units="1")
        true.append(part.assign(confidence=seen))
    scores = score_identity(xr.concat(found, "time"), xr.concat(true, "time"))
    return {"idf1": scores.overall.idf1, "switches_per_10000": scores.overall.switches_per_10000 / 10}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result: dict[str, Any] = {}
    for kind, individuals in (("easy", 4), ("hard", 4), ("easy", 10), ("hard", 10)):
        result[f"{kind}, {individuals} animals"] = kernels_alone(kind, individuals, options.frames)
    result["day"] = day(options.hours)
    if options.json:
        print(json.dumps(result, indent=1))
        return
    print("microseconds per frame: rays, frame by frame, followed")
    for name, told in result.items():
        print(f"{name:>16}  " + "  ".join(f"{key} {value:,.4g}" for key, value in told.items()))


if __name__ == "__main__":
    main()
