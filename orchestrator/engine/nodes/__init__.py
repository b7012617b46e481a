"""The nodes the engine knows, by kind: what each takes, in the shape of `/object_info`, and what it does."""

from __future__ import annotations

from orchestrator.engine.dialects import Dialect
from orchestrator.engine.folders import Folders
from orchestrator.engine.nodes import conditioning, images, latents, loaders, sampling, video
from orchestrator.engine.nodes.node import Node, Result, Run, Server
from orchestrator.engine.weights import CHECKPOINTS

__all__ = ["Node", "Result", "Run", "table"]

KINDS = (sampling, loaders, conditioning, latents, images, video)


def table(
    dialect: Dialect, folders: Folders, checkpoints: tuple[str, ...] = CHECKPOINTS
) -> dict[str, Node]:
    """All nodes by class name. Made anew for each question, because LoadImage lists the input folder."""
    server = Server(dialect, folders, checkpoints)
    return {node.name: node for kind in KINDS for node in kind.nodes(server)}
