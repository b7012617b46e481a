"""A ComfyUI workflow built from typed nodes: an output fits only where its type belongs."""

from __future__ import annotations

from orchestrator.workflows.graph.conditioning import ConditioningNodes
from orchestrator.workflows.graph.latents import LatentNodes
from orchestrator.workflows.graph.loaders import Checkpoint, ImageCheckpoint, LoaderNodes
from orchestrator.workflows.graph.pictures import PictureNodes
from orchestrator.workflows.graph.sampling import SamplingNodes
from orchestrator.workflows.graph.sockets import (
    Clip,
    Conditioning,
    Image,
    Latent,
    Mask,
    Model,
    Socket,
    Vae,
)

__all__ = [
    "Checkpoint",
    "Clip",
    "Conditioning",
    "Graph",
    "Image",
    "ImageCheckpoint",
    "Latent",
    "Mask",
    "Model",
    "Socket",
    "Vae",
]


class Graph(LoaderNodes, ConditioningNodes, LatentNodes, SamplingNodes, PictureNodes):
    """Nodes in the order they are added; ids are "1", "2", …, so that equal calls make equal workflows.

    A method per node class, named for it; inputs have the node's own names.
    """
