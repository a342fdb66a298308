"""The entry point `pose3d`: finds commands without importing them, and turns errors into messages and exit codes."""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module

import click

from calibration.errors import SuiteError
from pose3d.cli._console import print_error, showing_warnings

__all__ = ["main"]

# name: (module, one line of help). The help stands here so that `pose3d --help` imports none of them.
_COMMANDS = {
    "add-session": ("pose3d.cli.add_session", "Add the videos of a recording to a project."),
    "board": ("pose3d.cli.board", "Make a calibration board to print, and say how to film it."),
    "calibrate": ("pose3d.cli.calibrate", "Calibrate cameras from pictures of a board, and say how good it is."),
    "convert": ("pose3d.cli.convert", "Convert a calibration, or take one or the poses out of a result."),
    "demo": ("pose3d.cli.demo", "Run the main job on an embedded sample and compare with its truth."),
    "doctor": ("pose3d.cli.doctor", "Report versions, optional parts, and how to get what is missing."),
    "evaluate": ("pose3d.cli.evaluate", "Measure a trained network, or how well animals were told apart."),
    "extract-frames": ("pose3d.cli.extract_frames", "Choose frames to label, the same instants in all cameras."),
    "identify": ("pose3d.cli.identify", "Find out who is who among several animals, across cameras and time."),
    "kinematics": ("pose3d.cli.kinematics", "Compute velocities, joint angles, gait, with their uncertainty."),
    "labels": ("pose3d.cli.labels", "Import, export, undo and check labels."),
    "new": ("pose3d.cli.new", "Make a project: skeleton, cameras and settings in one folder."),
    "predict": ("pose3d.cli.predict", "Find keypoints in videos with a trained network."),
    "reconstruct": ("pose3d.cli.reconstruct", "Make trajectories: 3D poses that use the whole recording."),
    "refine": ("pose3d.cli.refine", "Choose the frames to label next, by what a network finds hard."),
    "report": ("pose3d.cli.report", "Write the HTML report of a result file."),
    "run": ("pose3d.cli.run", "Do all that is not done yet for every session of a project."),
    "simulate": ("pose3d.cli.simulate", "Make a rig and moving animals with known truth."),
    "status": ("pose3d.cli.run", "Say what is done, outdated or failed in every session of a project."),
    "sync": ("pose3d.cli.sync", "Find offset, drift and dropped frames of the cameras of a session."),
    "train": ("pose3d.cli.train", "Train a network on the labels of a project."),
    "triangulate": ("pose3d.cli.triangulate", "Make 3D poses of 2D poses and a calibration, frame by frame."),
    "video": ("pose3d.cli.video", "Draw a result file in 3D, or on a camera's video."),
}


_INTERRUPTED = "Interrupted. No unfinished file was left under a final name."


class _LazyGroup(click.Group):
    """A group that imports the module of a command when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(import_module(_COMMANDS[cmd_name][0]), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(_COMMANDS.items())])


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Example:\n\n"
    "pose3d calibrate recordings/calibration --board board.toml -o calibration\n\n"
    "pose3d triangulate --rig calibration/rig.toml --poses2d poses/ -o session.nc",
)
@click.version_option(package_name="pose3d-suite", prog_name="pose3d")
@click.option("--debug", is_flag=True, help="Show the traceback of an error (may stand anywhere on the line).")
def _group(debug: bool) -> None:
    """Several cameras, one 3D world: from videos to 3D poses, with the uncertainty of every number.

    Calibrate cameras with a board (board, calibrate), find out how their clocks differ (sync), make 3D poses of 2D
    poses (triangulate frame by frame, reconstruct as trajectories), see how good they are (report, video), and compute
    joint angles and gait from them (kinematics). Where nothing finds the keypoints yet, make a project (new,
    add-session), label frames (extract-frames, labels) and train a network on them (train, evaluate, refine); run then
    does the whole job. To try it without a recording: demo, simulate.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 the work failed, 2 wrong usage.

    Args:
        arguments: what was typed after `pose3d`; sys.argv by default.
    """
    typed = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in typed
    # Ended by the system or a scheduler is the same as by the user: tidy up, say so.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(_run([word for word in typed if word != "--debug"], debug=debug))


def _run(arguments: list[str], *, debug: bool) -> int:
    with warnings.catch_warnings(), showing_warnings(everything=debug):
        try:
            # the exit code where a command asked for one, else what the command returned: nothing
            return int(_group.main(arguments, prog_name="pose3d", standalone_mode=False) or 0)
        except click.ClickException as error:  # wrong usage
            error.show()
            return error.exit_code
        except (click.Abort, KeyboardInterrupt):
            print_error(_INTERRUPTED)
            return 1
        except BrokenPipeError:  # the reader of a pipe went away
            return 1
        except Exception as error:  # the last net: a user sees a message, never a bare traceback
            if debug:
                raise
            if _was_interrupted(error):
                print_error(_INTERRUPTED)
                return 1
            print_error(error if isinstance(error, SuiteError) else f"{type(error).__name__}: {error}")
            if not isinstance(error, SuiteError):
                print_error("This is a fault of the program. Repeat the command with --debug and report what it shows.")
            return 1


def _was_interrupted(error: BaseException) -> bool:
    """Whether an error came of an interrupt: libraries that are interrupted while they open a file raise others."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
