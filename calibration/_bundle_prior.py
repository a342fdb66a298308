"""What is known of the cameras beforehand, as a term of a bundle adjustment."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from calibration._bundle_boards import Scale
from calibration._bundle_kernels import LENS, POSE
from calibration._bundle_problem import Layout, State
from calibration.errors import InvalidValueError
from calibration.transforms import rotation_vector_from_matrix

__all__ = ["PriorPart", "PriorTerm", "make_prior"]

Floats = NDArray[np.float64]


@dataclass(eq=False)
class PriorPart:
    """Cost, gradient and normal matrix of the prior, over all parameters of the cameras."""

    cost: float
    vector: Floats
    matrix: Floats
    unseen: int = 0
    r2: Floats = field(default_factory=lambda: np.empty(0))
    gradient: Floats = field(default_factory=lambda: np.empty(0))
    diagonal: Floats = field(default_factory=lambda: np.empty(0))


@dataclass(eq=False)
class PriorTerm:
    """A Gaussian prior of the cameras, about the values that they had.

    Attributes:
        layout: the free camera parameters.
        table: (camera, ...) about these values.
        information: (parameter, parameter) inverse covariance, of all free parameters of the cameras; 0 for those that
            nothing is known of.
    """

    layout: Layout
    table: Floats
    information: Floats
    use: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, dtype=np.bool_))
    row: int = 0
    pooled: bool = False

    @property
    def observation_camera(self) -> NDArray[np.int64]:
        """There is no observation."""
        return np.empty(0, dtype=np.int64)

    def spent(self, part: PriorPart) -> Floats:  # noqa: ARG002 - the protocol of all terms
        """Nothing is eliminated."""
        return np.zeros(len(self.table))

    def take_back(self) -> None:
        """There is nothing to take back."""

    def leave_out(self, trusted: NDArray[np.bool_]) -> None:
        """There is nothing to leave out."""

    def linearize(self, state: State, scale: Scale) -> PriorPart:  # noqa: ARG002 - the noise of pixels has no part in it
        """Normal equations at a state."""
        size = len(self.layout.labels)
        difference, jacobian = np.zeros(size), np.zeros((size, size))
        for camera, (row, known) in enumerate(zip(state.table, self.table, strict=True)):
            first, columns = self.layout.first[camera], self.layout.columns[camera]
            if columns[0] >= 0:
                pose = slice(first, first + 6)
                difference[pose], jacobian[pose, pose] = _pose_difference(row, known)
            for place, column in enumerate(columns[6:]):
                if column >= 0:  # tied numbers move together
                    difference[first + column] = row[LENS + place] - known[LENS + place]
                    jacobian[first + column, first + column] = 1.0
        # einsum, not BLAS, whose sums depend on the number of threads
        weighed = np.einsum("ij,jk->ik", self.information, jacobian)
        pull = (self.information * difference).sum(axis=1)
        return PriorPart(
            cost=0.5 * float((difference * pull).sum()),
            vector=(jacobian * pull[:, None]).sum(axis=0),
            matrix=np.einsum("ji,jk->ik", jacobian, weighed),
        )

    def reduce(self, part: PriorPart, state: State, damping: float, size: int) -> tuple[Floats, Floats, Floats]:  # noqa: ARG002 - the protocol of all terms
        """Its normal matrix, gradient, and gradient with diagonal."""
        n = len(part.vector)
        system, right, raw = np.zeros((size, size)), np.zeros(size), np.zeros((2, size))
        system[:n, :n], right[:n] = part.matrix, part.vector
        raw[0, :n], raw[1, :n] = part.vector, np.diag(part.matrix)
        return system, right, raw

    def back_substitute(self, part: PriorPart, step: Floats) -> Floats:  # noqa: ARG002 - the protocol of all terms
        """Nothing is eliminated."""
        return np.empty(0)

    def move(self, state: State, step: Floats) -> State:  # noqa: ARG002 - the protocol of all terms
        """Nothing of its own moves."""
        return state


def _pose_difference(row: Floats, known: Floats) -> tuple[Floats, Floats]:
    """The small motion (6,) from the known pose to that of the row, and its derivative (6, 6) by a step of the pose."""
    rotation, translation = row[POSE : POSE + 9].reshape(3, 3), row[POSE + 9 : POSE + 12]
    turn = rotation @ known[POSE : POSE + 9].reshape(3, 3).T
    vector = rotation_vector_from_matrix(turn)
    shift = translation - turn @ known[POSE + 9 : POSE + 12]
    angle = float(np.sqrt((vector * vector).sum()))
    cross = _cross(vector)
    # inverse of the left Jacobian of rotations; 1 / 12 is the limit of its last factor
    factor = 1.0 / 12.0 if angle < 1e-4 else 1.0 / angle**2 - (1.0 + np.cos(angle)) / (2.0 * angle * np.sin(angle))
    jacobian = np.eye(6)
    jacobian[:3, :3] += -0.5 * cross + factor * cross @ cross
    jacobian[3:, :3] = -_cross(shift)
    return np.concatenate([vector, shift]), jacobian


def _cross(vector: Floats) -> Floats:
    x, y, z = vector
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def make_prior(
    layout: Layout, table: Floats, labels: tuple[tuple[str, str], ...], covariance: Floats | None
) -> PriorTerm:
    """The prior of the parameters that are free now and were estimated then.

    Args:
        layout: what is free now.
        table: the cameras as they were estimated, in the order of the rig.
        labels, covariance: of that estimate.

    Raises:
        InvalidValueError: the estimate has no covariance, or one that is not positive definite.
    """
    places = {label: place for place, label in enumerate(layout.labels)}
    known = [place for place, label in enumerate(labels) if label in places]
    if covariance is None or not known:
        raise InvalidValueError(
            "bundle adjustment, prior",
            expected="an adjustment with a covariance, of parameters that are free here too",
            got="no covariance" if covariance is None else "none of them is free here",
            remedy="Adjust with covariance=True, and free the same cameras; or leave out the prior.",
        )
    part = covariance[np.ix_(known, known)]
    if (
        not np.isfinite(part).all()
        or np.linalg.eigvalsh(part / np.sqrt(np.outer(np.diag(part), np.diag(part))))[0] <= 0
    ):
        raise InvalidValueError(
            "bundle adjustment, prior",
            expected="a positive definite covariance",
            got="one that is not",
            remedy="Use the covariance that an adjustment returned.",
        )
    own = np.array([places[labels[place]] for place in known])
    information = np.zeros((len(layout.labels), len(layout.labels)))
    information[np.ix_(own, own)] = np.linalg.inv(part)
    return PriorTerm(layout, table, information)
