"""The stages of one session of a project: what each is made from, and the work."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from calibration.errors import FileFormatError, InvalidValueError
from calibration.formats import load_rig
from calibration.synchronization import Synchronization, load_synchronization
from pose3d.datasets import poses2d_of_detections
from pose3d.detection import PredictionSettings, candidates_for, model_path
from pose3d.formats import load_detections, open_session, read_anchors
from pose3d.formats.provenance import provenance_of
from pose3d.identity import AssemblySettings, IdentitySettings
from pose3d.kinematics import KinematicsSettings
from pose3d.networks.run_files import NETWORK_FILE, WEIGHTS_FILE, runs_in
from pose3d.pipeline._project_files import ProjectFiles
from pose3d.pipeline.identification import IdentitySummary, assemble_session, identify_session
from pose3d.pipeline.kinematics import kinematics_session
from pose3d.pipeline.prediction import predict_session
from pose3d.pipeline.projects import identity_settings
from pose3d.pipeline.reconstruction import reconstruct_session
from pose3d.pipeline.stages import Stage
from pose3d.project import Project
from pose3d.reconstruction import TrajectorySettings, apply_synchronization
from pose3d.visualization import overlay_video, write_report

__all__ = ["Progress", "session_stages"]

# Animals and who they are stand in files between 2D and 3D, mostly of single-precision numbers and empty places: a
# quarter of the size, at no cost of time (120,000 frames of 2 animals in 4 cameras: 388 to 88 MB, 15 s).
_COMPRESSION = 1

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


def session_stages(files: ProjectFiles, name: str, progress: Progress) -> list[Stage]:
    """The stages of a session, in order; of several animals, these are put together and told apart before 3D.

    Args:
        files: of the project.
        name: of the session.
        progress: told how far the stage at work is.

    Raises:
        FileFormatError: a setting in project.toml is wrong.
        InvalidValueError: the network that is asked for is unknown.
    """
    return _Session(files, name, progress).stages()


@dataclass(frozen=True)
class _Session:
    """The work on one session: each method is that of a stage."""

    files: ProjectFiles
    name: str
    progress: Progress

    @property
    def videos(self) -> dict[str, Path]:
        project = self.files.project
        return {camera: project.video(self.name, camera) for camera in project.sessions[self.name]}

    @property
    def overlays(self) -> dict[str, Path]:
        return {camera: self.files.overlay(self.name, camera) for camera in self.videos}

    @property
    def clocks(self) -> tuple[Path, ...]:
        """The file with the clocks of the cameras, where there is one."""
        file = self.files.project.sync_file(self.name)
        return (file,) if file.exists() else ()

    @property
    def identity(self) -> IdentitySettings:
        return identity_settings(self.files.project)

    def stages(self) -> list[Stage]:
        files, name, project = self.files, self.name, self.files.project
        videos, overlays = tuple(self.videos.values()), tuple(self.overlays.values())
        result, several = files.result(name), self.identity.individuals != 1
        reconstruction = project.settings_of("reconstruction", TrajectorySettings)
        kinematics = project.settings_of("kinematics", KinematicsSettings)
        # where animals were told apart, clocks were applied then
        poses = (files.identity(name),) if several else (files.detections(name), *self.clocks)
        return [
            self.prediction_stage(),
            *(self.identity_stages() if several else ()),
            Stage(
                "3D",
                (*poses, files.rig),
                (result,),
                {"reconstruction": asdict(reconstruction), "skeleton": asdict(project.skeleton.bare())},
                lambda: self.reconstruct(reconstruction),
            ),
            Stage("overlay videos", (result, *videos), overlays, None, self.draw),
            Stage(
                "kinematics",
                (),
                (result,),
                {"kinematics": asdict(kinematics), "skeleton": asdict(project.skeleton)},
                lambda: self.move(kinematics),
                adds=True,
            ),
            Stage("report", (result, *overlays), (files.report(name),), {"title": project.name}, self.tell),
        ]

    def prediction_stage(self) -> Stage:
        project = self.files.project
        settings = project.settings_of("prediction", PredictionSettings)
        model, model_files = _model(project, settings)
        individuals = self.identity.individuals
        made_by = asdict(replace(settings, candidates=max(settings.candidates, candidates_for(individuals))))
        if settings.crop and individuals != 1:
            made_by["individuals"] = individuals  # a window holds all of them
        return Stage(
            "2D",
            (*self.videos.values(), *model_files),
            (self.files.detections(self.name),),
            made_by,
            lambda: self.predict(model, settings),
        )

    def identity_stages(self) -> list[Stage]:
        files, name = self.files, self.name
        skeleton, settings = asdict(files.project.skeleton.bare()), self.identity
        assembly = AssemblySettings(minimum_confidence=settings.minimum_confidence)
        anchors = tuple(path for path in (files.anchors(name),) if path.exists())
        return [
            Stage(
                "assembly",
                (files.detections(name),),
                (files.instances(name),),
                {"individuals": settings.individuals, "assembly": asdict(assembly), "skeleton": skeleton},
                lambda: self.assemble(assembly),
            ),
            Stage(
                "identity",
                (files.instances(name), *self.clocks, *anchors, files.rig),
                (files.identity(name),),
                {"identity": asdict(settings), "skeleton": skeleton},
                lambda: self.identify(anchors),
            ),
        ]

    def counting(self, what: str, total: int) -> Callable[[int], None]:
        """What is called with the number of frames that were just done."""
        done = 0

        def count(frames: int) -> None:
            nonlocal done
            done += frames
            self.progress(what, done, total)

        return count

    def predict(self, model: str, settings: PredictionSettings) -> None:
        if not model:
            raise _no_network(self.files.project)
        with warnings.catch_warnings():
            if self.clocks:  # nobody needs to be told how to find them
                warnings.filterwarnings("ignore", message="the videos differ in their number of frames")
            predict_session(
                model,
                self.videos,
                self.files.detections(self.name),
                settings=settings,
                individuals=self.identity.individuals,
                progress=lambda done, total: self.progress("finding keypoints", done, total),
            )

    def assemble(self, settings: AssemblySettings) -> str:
        detections = self.files.detections(self.name)
        with open_session(detections) as opened:
            found = opened.require("detections")
            summary = assemble_session(
                found,
                self.files.project.skeleton,
                self.identity.individuals,
                self.files.instances(self.name),
                settings=settings,
                provenance=provenance_of([detections], settings),
                progress=self.counting("putting animals together", int(found.sizes["time"])),
                compression=_COMPRESSION,
            )
        told = ", ".join(f"{camera} {mean:.2f}" for camera, mean in summary.animals.items())
        return f"animals per frame: {told}"

    def identify(self, anchors: tuple[Path, ...]) -> str:
        source, rig, settings = self.files.instances(self.name), self.files.rig, self.identity
        with open_session(source) as opened:
            instances = opened.require("instances")
            total, counts = int(instances.sizes["time"]), dict[str, Callable[[int], None]]()

            def count(what: str, frames: int) -> None:
                counts.setdefault(what, self.counting(f"telling animals apart: {what}", total))(frames)

            summary = identify_session(
                instances,
                load_rig(rig),
                self.files.identity(self.name),
                skeleton=self.files.project.skeleton,
                settings=settings,
                anchors=[anchor for file in anchors for anchor in read_anchors(file)],
                synchronization=self.synchronization(),
                provenance=provenance_of([rig, source, *self.clocks, *anchors], settings),
                progress=count,
                compression=_COMPRESSION,
            )
        return _in_words(summary)

    def synchronization(self) -> Synchronization | None:
        return load_synchronization(self.clocks[0]) if self.clocks else None

    def reconstruct(self, settings: TrajectorySettings) -> None:
        rig, several = self.files.rig, self.identity.individuals != 1
        source = self.files.identity(self.name) if several else self.files.detections(self.name)
        candidates = identity = None
        with ExitStack() as stack:
            if several:
                opened = stack.enter_context(open_session(source))
                poses2d, identity = opened.require("poses2d"), opened.require("identity").load()
            else:
                found = load_detections(source)
                poses2d, clocks = poses2d_of_detections(found), self.synchronization()
                if clocks is not None:
                    poses2d = apply_synchronization(poses2d, clocks)
                # what other peaks there were is known of the frames of each camera, not of common instants; a live
                # system has no time for them
                candidates = None if clocks is not None or settings.lag is not None else found
            reconstruct_session(
                poses2d,
                load_rig(rig),
                self.files.result(self.name),
                skeleton=self.files.project.skeleton,
                settings=settings,
                candidates=candidates,
                identity=identity,
                provenance=provenance_of([rig, source, *(() if several else self.clocks)], settings),
                progress=self.counting("reconstructing", int(poses2d.sizes["time"])),
            )

    def draw(self) -> None:
        skeleton, videos = self.files.project.skeleton, self.videos
        with open_session(self.files.result(self.name)) as opened:
            poses2d, poses3d, rig = opened.require("poses2d"), opened.require("poses3d"), opened.rig
            assert rig is not None  # the stage before wrote it
            for number, (camera, path) in enumerate(self.overlays.items(), start=1):
                overlay_video(videos[camera], poses2d, poses3d, rig, camera, path, skeleton=skeleton)
                self.progress("drawing", number, len(videos))

    def move(self, settings: KinematicsSettings) -> str:
        result = self.files.result(self.name)
        with open_session(result) as opened:
            poses3d = opened.require("poses3d")
            summary = kinematics_session(
                poses3d,
                result,
                skeleton=self.files.project.skeleton,
                settings=settings,
                source=result,
                provenance=provenance_of([], settings),
                progress=self.counting("computing kinematics", int(poses3d.sizes["time"])),
            )
        missing = ", ".join(name.replace("_", " ") for name in summary.left_out)
        return f"the skeleton does not define: {missing}" if missing else ""

    def tell(self) -> str:
        project = self.files.project
        with open_session(self.files.result(self.name)) as opened:
            verdict = write_report(
                self.files.report(self.name),
                poses3d=opened.require("poses3d"),
                poses2d=opened.poses2d,
                kinematics=opened.kinematics,
                identity=opened.identity,
                rig=opened.rig,
                skeleton=project.skeleton,
                videos=self.overlays,
                provenance=opened.provenance,
                title=f"{project.name}: {self.name}",
            )
        return f"{verdict.level.words}: {verdict.headline}"


def _in_words(summary: IdentitySummary) -> str:
    count, risks = len(summary.individuals), len(summary.risks)
    told = f"{count} animal{'s' if count != 1 else ''}: {', '.join(one.name for one in summary.individuals)}"
    if not risks:
        return told
    first = summary.risks[0]
    return (
        f"{told}; {risks} place{'s' if risks != 1 else ''} where two may have been exchanged, most probably "
        f"{first.individual} and {first.other} in frames {first.first} to {first.last} ({first.probability:.0%})"
    )


def _no_network(project: Project) -> FileFormatError:
    return FileFormatError(
        project.models_folder,
        expected="a trained network",
        got="none",
        remedy=f"Label frames and train one: `pose3d train {project.root.name}`.",
    )


def _model(project: Project, settings: PredictionSettings) -> tuple[str, tuple[Path, ...]]:
    """The model that the settings name, or the newest network, and the files it is made of; empty where there is none.

    The paths of other models than trained networks, as in "blazepose:models/blazepose", are relative to the project.
    """
    runs = {path.name: path for path in runs_in(project.models_folder)}
    name = settings.model or next(reversed(runs), "")
    if not name:
        return "", ()
    if name in runs:
        return str(runs[name]), (runs[name] / NETWORK_FILE, runs[name] / WEIGHTS_FILE)
    kind, path = model_path(name)
    if kind == "network":
        raise InvalidValueError(
            f"{project.file}, prediction, model",
            expected=f"one of {', '.join(runs)}" if runs else "a trained network",
            got=f"'{settings.model}'",
            remedy="Correct the name, or leave it empty for the newest.",
        )
    place = project.root / path
    found = sorted(file for file in place.rglob("*") if file.is_file()) if place.is_dir() else [place]
    return f"{kind}:{place}", tuple(found)
