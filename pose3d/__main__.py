"""`python -m pose3d` is the command `pose3d`."""

from pose3d.cli import main

__all__: list[str] = []

main()
