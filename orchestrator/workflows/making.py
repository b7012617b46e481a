"""From a request to the workflow that one server can run, or to everything that stands in its way."""

from __future__ import annotations

from typing import Any

from orchestrator.backends import SAVED, Backend, ImageParams, Params, VideoParams, get, parse
from orchestrator.errors import MissingCheckpoint, RequestRejected
from orchestrator.workflows.check import complaints_of
from orchestrator.workflows.complaints import Complaint, refusal
from orchestrator.workflows.graph import Graph
from orchestrator.workflows.offered import IMAGE_CHECKPOINTS, Inputs, Offered
from orchestrator.workflows.picture import Plan, paint
from orchestrator.workflows.video import Film, roll, save, still
from orchestrator.workflows.weights import Chooser

Workflow = dict[str, dict[str, Any]]  # API format: node id -> class_type and inputs

NO_STILL = Complaint(
    MissingCheckpoint,
    "without an image, a video begins with one that is painted from the prompt",
    "Or give an `image` to begin with.",
)
MASKS_FROM_PIXELS = "ImageToMask"


def make(
    backend: Backend,
    params: Params,
    prompt: str,
    *,
    offered: Offered,
    inputs: Inputs,
    filename_prefix: str,
) -> Workflow:
    """The workflow of a built-in backend: equal arguments make equal ones.

    `inputs` names the pictures that `params` asks for as they are called on the server, after their upload.
    Raises the fitting RequestRejected, whose message names everything that the server lacks or would refuse.
    """
    for name in ("image", "mask"):
        if (getattr(params, name, None) is None) != (getattr(inputs, name) is None):
            raise ValueError(f"the {name} of a request is to be uploaded, and no other")
    chooser, graph = Chooser(offered), Graph()
    if isinstance(params, VideoParams):
        frames = roll(graph, _film(params, prompt, inputs, chooser))
        save(graph, frames, params, filename_prefix=filename_prefix)
    elif isinstance(params, ImageParams):
        images = paint(graph, _plan(backend.model, params, prompt, inputs, chooser))
        graph.save_image(images=images, filename_prefix=filename_prefix)
    else:
        raise TypeError(f"{backend.name} is no backend that a workflow is built for")
    workflow = graph.to_api()
    complaints = [*chooser.complaints, *complaints_of(workflow, offered, told=chooser.told)]
    if complaints:
        raise refusal(complaints)
    return workflow


def availability(backend: Backend, offered: Offered) -> str | None:
    """Why a server cannot run a backend with its own defaults, or None.

    Of a saved workflow nothing is known here; `preflight` tells when it is filled.
    """
    if backend.model == SAVED:
        return None
    params, inputs = parse(backend, {}), Inputs()
    # which needs less to move a picture than to paint one first
    if isinstance(params, VideoParams):
        params, inputs = params.model_copy(update={"image": "a.png"}), Inputs(image="a.png")
    try:
        make(backend, params, "a prompt", offered=offered, inputs=inputs, filename_prefix="a")
    except RequestRejected as error:
        return error.message
    return None


def _plan(family: str, params: ImageParams, prompt: str, inputs: Inputs, chooser: Chooser) -> Plan:
    return Plan(
        family=family,
        params=params,
        prompt=prompt,
        weights=chooser.weights(family, params),
        inputs=inputs,
        masks_from_pixels=chooser.offered.has(MASKS_FROM_PIXELS),
    )


def _film(params: VideoParams, prompt: str, inputs: Inputs, chooser: Chooser) -> Film:
    checkpoint = chooser.checkpoint("svd", params.checkpoint, shelf=IMAGE_CHECKPOINTS)
    if inputs.image is not None:
        return Film(params=params, checkpoint=checkpoint, first=inputs.image)
    family = chooser.family_of_stills(params.still_checkpoint)
    like = parse(get(family), {})
    assert isinstance(like, ImageParams)
    before = len(chooser.complaints)
    first = _plan(family, still(params, like), prompt, Inputs(), chooser)
    if len(chooser.complaints) > before and params.still_checkpoint is None:
        chooser.complaints.append(NO_STILL)
    return Film(params=params, checkpoint=checkpoint, first=first)
