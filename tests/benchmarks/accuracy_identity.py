"""How well animals are told apart, on made crowds with truth. Run by hand:

    python tests/benchmarks/accuracy_identity.py [association|crowds|goal|meetings] [--frames 10000] [--seeds 3]
    python tests/benchmarks/accuracy_identity.py --draw F.json docs/identity-accuracy.svg

`association`: instances of all cameras grouped frame by frame, and with what was seen before (F1 of pairs of instances,
PCP), of crowds that are seen well ("easy") and badly ("hard": 5 px of noise, a quarter of the animals missed in each
view, 30 % of the keypoints missing, 15 % false instances), and of those on a quarter of the floor ("packed").

`crowds`: whole recordings of animals that cross and huddle, 20 % of the keypoints missing, 5 % outliers, 5 % false
instances and 5 % of the animals missed, over number of animals, cameras and occlusion. The number of animals is known,
no anchors are given. The 2D poses that were told apart are triangulated frame by frame and scored against the truth.

`goal`: the same of 4 animals in 6 cameras.

`meetings`: of meetings with a stated probability of an exchange, the share in which there was one.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from calibration.errors import SuiteWarning
from pose3d.identity import IdentitySettings, associate, identify, learn_identity, poses2d_of_instances
from pose3d.metrics import score_association, score_identity
from pose3d.reconstruction import triangulate
from pose3d.synthetic.crowds import CROWDS, Crowd, make_crowd

# name: share of keypoints missing, of animals missed in a view, mean seconds for which they are.
OCCLUSION = {"little": (0.2, 0.05, 0.0), "more": (0.35, 0.15, 0.2), "heavy": (0.5, 0.3, 0.5)}


def association(frames: int, seeds: int) -> Iterator[dict[str, Any]]:
    """F1 and PCP by kind of crowd and way."""
    kinds = {"easy": CROWDS["easy"], "hard": CROWDS["hard"], "packed": CROWDS["hard"]}
    for kind, settings in kinds.items():
        for individuals in (4, 10):
            found: dict[str, list[Any]] = {"frame by frame": [], "with time and shape": []}
            chosen = replace(settings, individuals=individuals, frames=frames)
            if kind == "packed":
                chosen = replace(chosen, arena=0.5 * chosen.radius)
            for seed in range(seeds):
                crowd = make_crowd(replace(chosen, seed=seed))
                truth = crowd.truth["individual"].values
                model = learn_identity(crowd.instances, crowd.rig, skeleton=crowd.skeleton)
                groups = associate(crowd.instances, crowd.rig, model=model)
                found["frame by frame"].append(score_association(groups["group"].values, truth))
                found["with time and shape"].append(score_association(_identity(crowd), truth))
            for way, scores in found.items():
                yield {
                    "crowd": kind,
                    "animals": individuals,
                    "way": way,
                    **{name: _mean(scores, name) for name in ("f1", "precision", "recall", "pcp")},
                }


def goal(frames: int, seeds: int) -> Iterator[dict[str, Any]]:
    """The same for 4 animals in 6 cameras with little occlusion."""
    return crowds(frames, seeds, occlusions=("little",), rigs=(6,), groups=(4,))


def crowds(
    frames: int,
    seeds: int,
    *,
    occlusions: tuple[str, ...] = tuple(OCCLUSION),
    rigs: tuple[int, ...] = (2, 3, 4, 6),
    groups: tuple[int, ...] = (2, 4, 6, 10),
) -> Iterator[dict[str, Any]]:
    """IDF1, switches and MPJPE by number of animals, cameras and occlusion."""
    for occlusion in occlusions:
        missing, missed, lasting = OCCLUSION[occlusion]
        for cameras in rigs:
            for individuals in groups:
                scores = []
                for seed in range(seeds):
                    settings = replace(
                        CROWDS["issue"],
                        individuals=individuals,
                        cameras=cameras,
                        frames=frames,
                        missing_rate=missing,
                        missed_rate=missed,
                        missed_time=lasting,
                        seed=100 + seed,
                    )
                    scores.append(_scored(make_crowd(settings)))
                yield {
                    "occlusion": occlusion,
                    "cameras": cameras,
                    "animals": individuals,
                    "idf1": float(np.mean([one.overall.idf1 for one in scores])),
                    "lowest": float(np.min([one.overall.idf1 for one in scores])),
                    "hota": float(np.mean([one.overall.hota for one in scores])),
                    "switches": float(np.mean([one.overall.switches_per_10000 for one in scores])),
                    "pcp": float(np.mean([one.pcp for one in scores])),
                    "mpjpe": float(np.mean([one.mpjpe for one in scores])),
                }


def meetings(frames: int, seeds: int) -> Iterator[dict[str, Any]]:
    """Stated probability of meetings and share of exchanges: many hard crowds of animals that are alike."""
    stated, wrong = [], []
    for seed in range(seeds):
        for individuals in (3, 5):
            crowd = make_crowd(
                replace(CROWDS["hard"], individuals=individuals, frames=frames, size_spread=0.0, huddles=0.2, seed=seed)
            )
            identity = _identity(crowd, shape=False)
            for probability, exchanged in _outcomes(identity, crowd):
                stated.append(probability)
                wrong.append(exchanged)
    p, right = np.array(stated), np.array(wrong, bool)
    for low, high in ((0.0, 0.01), (0.01, 0.05), (0.05, 0.15), (0.15, 0.3), (0.3, 0.5)):
        chosen = (p >= low) & (p <= high)
        yield {
            "stated": f"{low:.0%} to {high:.0%}",
            "meetings": int(chosen.sum()),
            "mean_stated": float(p[chosen].mean()) if chosen.any() else None,
            "exchanged": float(right[chosen].mean()) if chosen.any() else None,
        }


def _outcomes(identity: Any, crowd: Crowd) -> Iterator[tuple[float, bool]]:
    """Of every meeting the stated probability of an exchange, and whether there was one."""
    animal = _animals(identity, crowd)
    names = [str(name) for name in identity["individual"].values]
    risks = zip(
        identity["risk_first"].values.tolist(),
        identity["risk_last"].values.tolist(),
        identity["risk_individual"].values.tolist(),
        identity["risk_other"].values.tolist(),
        identity["risk_probability"].values.tolist(),
        strict=True,
    )
    for first, last, one, other, probability in risks:
        pair = [names.index(one), names.index(other)]
        before = [_usual(animal[max(0, first - 10) : first, column]) for column in pair]
        after = [_usual(animal[last + 1 : last + 11, column]) for column in pair]
        if -1 not in (*before, *after) and set(before) == set(after) and before[0] != before[1]:
            yield probability, before != after


def _animals(identity: Any, crowd: Crowd) -> Any:
    """(time, individual) the animal that most cameras have under a name, -1 for none."""
    instance = identity["instance"].values.astype(int)
    truth = np.take_along_axis(crowd.truth["individual"].values, np.maximum(instance, 0), axis=2)
    truth[instance < 0] = -1
    votes = np.stack([(truth == animal).sum(1) for animal in range(crowd.settings.individuals)])
    return np.where(votes.max(0) > 0, votes.argmax(0), -1)


def _usual(animals: Any) -> int:
    known = animals[animals >= 0]
    return int(np.bincount(known).argmax()) if len(known) else -1


def _identity(crowd: Crowd, *, shape: bool = True) -> Any:
    settings = IdentitySettings(individuals=crowd.settings.individuals, shape=shape)
    return identify(crowd.instances, crowd.rig, skeleton=crowd.skeleton, settings=settings)


def _scored(crowd: Crowd) -> Any:
    poses = poses2d_of_instances(crowd.instances, _identity(crowd))
    return score_identity(triangulate(poses, crowd.rig), crowd.poses3d, skeleton=crowd.skeleton)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """IDF1 and switches over the number of animals, a line for each number of cameras, a column for each occlusion."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    plt.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "identity", "font.size": 9}
    figure, axes = plt.subplots(2, len(OCCLUSION), figsize=(8.5, 4.6), sharex=True, sharey="row", layout="constrained")
    colors = {2: "#d1495b", 3: "#e8a33d", 4: "#3f88c5", 6: "#2a4d69"}
    for column, occlusion in enumerate(OCCLUSION):
        for cameras, color in colors.items():
            own = [row for row in rows if row["occlusion"] == occlusion and row["cameras"] == cameras]
            animals = [row["animals"] for row in own]
            for line, name in enumerate(("idf1", "switches")):
                axes[line, column].plot(
                    animals, [row[name] for row in own], "o-", color=color, label=f"{cameras} cameras", ms=4
                )
        missing, missed, lasting = OCCLUSION[occlusion]
        length = f", {lasting:g} s each" if lasting else ""
        axes[0, column].set_title(f"{missing:.0%} of keypoints,\n{missed:.0%} of animals missing{length}", fontsize=9)
        axes[1, column].set_xlabel("animals")
        axes[1, column].set_yscale("symlog", linthresh=1)
    for line, label in enumerate(("IDF1", "switches in 10,000 frames")):
        axes[line, 0].set_ylabel(label)
    axes[0, 0].set_ylim(0, 1.03)
    axes[1, 0].set_ylim(bottom=-0.2)
    for panel in axes.flat:
        panel.set_xticks([2, 4, 6, 10])
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    axes[0, 0].legend(frameon=False, loc="lower right")
    figure.savefig(path, metadata={"Date": None})


def _mean(scores: list[Any], name: str) -> float:
    return float(np.mean([getattr(one, name) for one in scores]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("association", "crowds", "goal", "meetings"), default="crowds")
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--draw", type=Path, nargs=2, metavar=("JSON", "SVG"))
    options = parser.parse_args()
    if options.draw is not None:
        draw(json.loads(options.draw[0].read_text()), options.draw[1])
        return
    warnings.simplefilter("ignore", SuiteWarning)
    rows = []
    ways = {"association": association, "crowds": crowds, "goal": goal, "meetings": meetings}
    for row in ways[options.what](options.frames, options.seeds):
        if not rows:
            print("  ".join(f"{name:>12}" for name in row))
        rows.append(row)
        print("  ".join(f"{value:12.4f}" if isinstance(value, float) else f"{value!s:>12}" for value in row.values()))
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
