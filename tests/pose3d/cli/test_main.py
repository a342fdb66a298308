"""The entry point: exit codes, messages, and nothing heavy for --help."""

import json
import subprocess
import sys

import pytest

from calibration.errors import InvalidValueError, SuiteWarning
from pose3d.cli import main


def run(*words):
    """Run `pose3d` in this process; return its exit code."""
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    return stop.value.code


@pytest.fixture
def failing(monkeypatch):
    """Make `pose3d doctor` raise what the test wants."""

    def set_error(error):
        def examine():
            raise error

        monkeypatch.setattr("pose3d.doctor.examine", examine)

    return set_error


def test_help_names_every_command_and_shows_an_example(capsys):
    assert run("--help") == 0
    shown = capsys.readouterr().out
    for command in ("demo", "doctor", "simulate", "triangulate"):
        assert f"  {command} " in shown
        assert run(command, "--help") == 0
        assert "Example:" in capsys.readouterr().out


def test_wrong_usage_is_exit_code_2(capsys):
    assert run("triangulat") == 2
    assert run("triangulate") == 2
    assert run("triangulate", "--rig", "rig.toml", "-o", "out.nc") == 2
    assert "--poses2d" in capsys.readouterr().err


def test_an_error_shows_its_four_parts_and_is_exit_code_1(failing, capsys):
    failing(InvalidValueError("cam_1, size", expected="two numbers", got="three [bold]", remedy="Remove one."))
    assert run("doctor") == 1
    shown = capsys.readouterr().err
    for part in ("cam_1, size", "two numbers", "three [bold]", "Remove one."):
        assert part in shown
    assert "Traceback" not in shown


def test_a_fault_of_the_program_is_a_message_and_with_debug_a_traceback(failing, capsys):
    failing(ZeroDivisionError("division by zero"))
    assert run("doctor") == 1
    assert "--debug" in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        main(["doctor", "--debug"])


def test_an_interrupt_is_a_message(failing, capsys):
    failing(KeyboardInterrupt())
    assert run("doctor") == 1
    assert "Interrupted" in capsys.readouterr().err


def test_warnings_are_shown_once_and_those_of_libraries_are_not(monkeypatch, capsys):
    import warnings

    def examine():
        for _ in range(3):
            warnings.warn("camera cam_9 is left out", SuiteWarning, stacklevel=1)
            warnings.warn("numpy will change", DeprecationWarning, stacklevel=1)
        return []

    monkeypatch.setattr("pose3d.doctor.examine", examine)
    assert run("doctor") == 0
    shown = capsys.readouterr().err
    assert shown.count("cam_9") == 1
    assert "numpy will change" not in shown


def test_help_loads_nothing_heavy():
    """`pose3d --help` must come at once; DESIGN allows half a second, numpy and xarray alone would take it."""
    code = (
        "import sys\nfrom pose3d.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'xarray', 'pandas', 'scipy', 'numba', 'cv2', 'av', 'matplotlib', 'h5py', 'netCDF4'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_doctor_reports_versions_and_what_is_missing(capsys):
    assert run("doctor", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is True
    findings = {(finding["group"], finding["name"]): finding for finding in report["findings"]}
    assert findings[("core", "numpy")]["state"] == "ok"
    assert findings[("check", "OpenCV")]["state"] == "ok"
    assert findings[("check", "geometry kernels")]["state"] == "ok"
    for finding in report["findings"]:
        assert finding["state"] in ("ok", "missing")
        assert finding["state"] == "ok" or finding["remedy"]


def test_doctor_notices_two_builds_of_opencv(monkeypatch, capsys):
    from types import SimpleNamespace

    wheels = [SimpleNamespace(name="opencv-contrib-python-headless"), SimpleNamespace(name="opencv_python")]
    monkeypatch.setattr("pose3d.doctor.distributions", lambda: wheels)
    assert run("doctor", "--json") == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    opencv = next(finding for finding in findings if finding["name"] == "OpenCV")
    assert opencv["state"] == "broken"
    assert "uninstall" in opencv["remedy"]
