"""Who is who: across the parts of an animal, across views and across time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration.lazy import lazy_names

if TYPE_CHECKING:
    from pose3d.identity._identities import poses2d_of_instances
    from pose3d.identity.anchors import Anchor
    from pose3d.identity.assembly import AssemblyPlan, AssemblySettings, assemble, assemble_pieces, learn_assembly
    from pose3d.identity.association import associate
    from pose3d.identity.corrections import correct_identity
    from pose3d.identity.linking import identify
    from pose3d.identity.models import IdentityModel, learn_identity
    from pose3d.identity.online import OnlineIdentity
    from pose3d.identity.settings import IdentitySettings

_HOMES = {
    "Anchor": "anchors",
    "AssemblyPlan": "assembly",
    "AssemblySettings": "assembly",
    "IdentityModel": "models",
    "IdentitySettings": "settings",
    "OnlineIdentity": "online",
    "assemble": "assembly",
    "assemble_pieces": "assembly",
    "associate": "association",
    "correct_identity": "corrections",
    "identify": "linking",
    "learn_assembly": "assembly",
    "learn_identity": "models",
    "poses2d_of_instances": "_identities",
}

__all__ = [
    "Anchor",
    "AssemblyPlan",
    "AssemblySettings",
    "IdentityModel",
    "IdentitySettings",
    "OnlineIdentity",
    "assemble",
    "assemble_pieces",
    "associate",
    "correct_identity",
    "identify",
    "learn_assembly",
    "learn_identity",
    "poses2d_of_instances",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)
