"""The stages of a session, from file to file."""

from __future__ import annotations

from pose3d.pipeline.alignment import WorldChoice, align_rig
from pose3d.pipeline.calibration import CalibrationFiles, save_calibration, save_lenses
from pose3d.pipeline.evaluation import evaluate_folds, evaluate_run, find_run
from pose3d.pipeline.extraction import SessionFrames, extract_frames
from pose3d.pipeline.identification import (
    AssemblySummary,
    FollowedIndividual,
    IdentitySummary,
    SwapRisk,
    assemble_session,
    identify_session,
    summarize_identity,
)
from pose3d.pipeline.kinematics import KinematicsSummary, kinematics_session
from pose3d.pipeline.kinematics_export import KinematicsFiles, export_kinematics
from pose3d.pipeline.labels import export_labels, import_labels
from pose3d.pipeline.prediction import PredictedCamera, PredictionSummary, predict_session
from pose3d.pipeline.project_run import ProjectFiles, run_project
from pose3d.pipeline.projects import new_project
from pose3d.pipeline.reconstruction import Disagreement, ReconstructionSummary, reconstruct_session
from pose3d.pipeline.refinement import CameraMove, Refinement, RefinementSettings, refine_rig
from pose3d.pipeline.stages import Stage, StageOutcome, StageState
from pose3d.pipeline.suggestions import SuggestedFrame, suggest_frames
from pose3d.pipeline.training import train_folds, train_project
from pose3d.pipeline.training_inputs import TrainingOptions, training_options
from pose3d.pipeline.triangulation import TriangulationSummary, triangulate_session

__all__ = [
    "AssemblySummary",
    "CalibrationFiles",
    "CameraMove",
    "Disagreement",
    "FollowedIndividual",
    "IdentitySummary",
    "KinematicsFiles",
    "KinematicsSummary",
    "PredictedCamera",
    "PredictionSummary",
    "ProjectFiles",
    "ReconstructionSummary",
    "Refinement",
    "RefinementSettings",
    "SessionFrames",
    "Stage",
    "StageOutcome",
    "StageState",
    "SuggestedFrame",
    "SwapRisk",
    "TrainingOptions",
    "TriangulationSummary",
    "WorldChoice",
    "align_rig",
    "assemble_session",
    "evaluate_folds",
    "evaluate_run",
    "export_kinematics",
    "export_labels",
    "extract_frames",
    "find_run",
    "identify_session",
    "import_labels",
    "kinematics_session",
    "new_project",
    "predict_session",
    "reconstruct_session",
    "refine_rig",
    "run_project",
    "save_calibration",
    "save_lenses",
    "suggest_frames",
    "summarize_identity",
    "train_folds",
    "train_project",
    "training_options",
    "triangulate_session",
]
