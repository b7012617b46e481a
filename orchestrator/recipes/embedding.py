"""A recipe in the file of its picture: put there beside the pixels, and found again, also a stranger's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from orchestrator.errors import ImageInvalid
from orchestrator.recipes import infotext, jpeg, mp4, png, webp, xmp
from orchestrator.recipes.exif import Exif
from orchestrator.recipes.graphs import from_page, read_workflow
from orchestrator.recipes.kinds import DAMAGE, JPEG, MP4, PNG, WEBP, Kind, kind_of
from orchestrator.recipes.recipe import (
    ForeignRecipe,
    Recipe,
    Stamp,
    document_of,
    loaded,
    parse_stamp,
)
from orchestrator.recipes.words import infotext_of, params_of

OURS = "orchestrator"  # the keyword of the recipe in PNG
WORKFLOW, PAGE = (
    "prompt",
    "workflow",
)  # ComfyUI's keywords: the workflow as it ran, and as its page shows it
PARAMETERS = "parameters"  # AUTOMATIC1111's
MAX_READ = 10_000_000  # characters of a text that is looked at
BAD = (ImageInvalid, *DAMAGE)


def require_end(data: bytes, kind: Kind) -> None:
    """Refuse a picture whose last bytes are missing: the decoders do without them. Raises ImageInvalid."""
    if kind is JPEG:
        jpeg.require_end(data)
    else:
        for _ in png.chunks(data) if kind is PNG else webp.chunks(data):
            pass


# ------------------------------------------------------------------------------ writing


def with_stamp(data: bytes, kind: Kind, stamp: Stamp) -> bytes:
    """The picture with its recipe inside, pixels untouched; as it is when it has no room for one.

    PNG: text chunks, of which ComfyUI opens `prompt` and others read `parameters`. JPEG and WebP: `parameters` as the
    UserComment of EXIF, the recipe in XMP, in WebP also the workflow as ComfyUI writes it there. MP4: the recipe in
    XMP. What others wrote is kept.
    """
    try:
        if kind is PNG:
            return _png_with(data, stamp)
        if kind is JPEG:
            return _jpeg_with(data, stamp)
        return _webp_with(data, stamp) if kind is WEBP else _mp4_with(data, stamp)
    except BAD:
        return data


def parameters_text(recipe: Recipe) -> str:
    """The `parameters` text of a recipe. What the workflow says is what was really used."""
    reading = read_workflow(recipe.workflow) if recipe.workflow is not None else None
    params = _camel(recipe.params) | (reading.params if reading else {})
    if recipe.seed is not None:
        params["seed"] = recipe.seed
    if recipe.resolved and recipe.resolved.negative_prompt is not None:
        params["negativePrompt"] = recipe.resolved.negative_prompt
    model = None if reading else recipe.backend
    return infotext_of(recipe.text, params, model=model, software=recipe.software)


def _camel(params: Mapping[str, Any]) -> dict[str, Any]:
    def spelt(key: str) -> str:
        first, *others = key.split("_")
        return first + "".join(word.title() for word in others)

    return {spelt(key): value for key, value in params.items()}


def _png_with(data: bytes, stamp: Stamp) -> bytes:
    texts = png.texts(data)
    new = {OURS: json.dumps(document_of(stamp, workflow=False))}
    if stamp.recipe.workflow is not None:
        new[WORKFLOW] = json.dumps(_finite(stamp.recipe.workflow))
    with suppress(*BAD):  # of a workflow in which nobody finds a way
        new[PARAMETERS] = parameters_text(stamp.recipe)
    # a workflow that ComfyUI put there itself is right in every detail; `parameters` beside a recipe of the lab's are
    # of the picture that this one was made from
    kept = {WORKFLOW} if OURS in texts else {WORKFLOW, PARAMETERS}
    return png.with_texts(data, new, kept=frozenset(kept))


def _jpeg_with(data: bytes, stamp: Stamp) -> bytes:
    ours = read_embedded(data) is not None
    with suppress(*BAD):
        exif = Exif(jpeg.payload(data, jpeg.EXIF_HEAD))
        if ours or not exif.has_comment:
            payload = exif.written(comment=parameters_text(stamp.recipe), keyed={})
            data = jpeg.with_payload(data, jpeg.EXIF_HEAD, payload)
    packet = jpeg.payload(data, jpeg.XMP_HEAD)
    for workflow in (True, False):  # first without the workflow, then the sidecar says it all
        with suppress(*BAD):
            payload = xmp.with_document(packet, _document(stamp, workflow=workflow))
            return jpeg.with_payload(data, jpeg.XMP_HEAD, payload)
    return data


def _webp_with(data: bytes, stamp: Stamp) -> bytes:
    ours = read_embedded(data) is not None
    new: dict[bytes, bytes] = {}
    with suppress(*BAD):
        exif = Exif(webp.payload(data, b"EXIF"))
        keyed: dict[str, str] = {}
        if (workflow := stamp.recipe.workflow) is not None and WORKFLOW not in exif.keyed():
            keyed[WORKFLOW] = json.dumps(_finite(workflow))
        comment = parameters_text(stamp.recipe) if ours or not exif.has_comment else None
        new[b"EXIF"] = exif.written(comment=comment, keyed=keyed)
    with suppress(*BAD):
        packet = webp.payload(data, b"XMP ")
        new[b"XMP "] = xmp.with_document(packet, _document(stamp, workflow=True))
    return webp.with_payloads(data, new) if new else data


def _mp4_with(data: bytes, stamp: Stamp) -> bytes:
    packet = xmp.with_document(mp4.packet(data), _document(stamp, workflow=True))
    return mp4.with_packet(data, packet)


def _document(stamp: Stamp, *, workflow: bool) -> str:
    return json.dumps(document_of(stamp, workflow=workflow), ensure_ascii=False)


def _finite(workflow: Mapping[str, Any]) -> Any:
    """Without NaN, which is no JSON."""
    return json.loads(json.dumps(workflow), parse_constant=lambda _: None)


# ------------------------------------------------------------------------------ reading


def read_embedded(data: bytes) -> Stamp | None:
    """What the lab wrote into a file; None when there is nothing of it. Never raises."""
    try:
        return _stamp_in(data, kind_of(data))
    except BAD:
        return None  # a stranger's file


def _stamp_in(data: bytes, kind: Kind | None) -> Stamp | None:
    if kind is PNG:
        texts = png.texts(data)
        raw = texts.get(OURS)
        return parse_stamp(raw, workflow=texts.get(WORKFLOW)) if raw is not None else None
    if kind is JPEG:
        packet = jpeg.payload(data, jpeg.XMP_HEAD)
        # version 0.1 had the recipe in the UserComment
        document = _document_in(packet) or Exif(jpeg.payload(data, jpeg.EXIF_HEAD)).comment
        return parse_stamp(document) if document else None
    if kind is WEBP:
        document = _document_in(webp.payload(data, b"XMP "))
        if document is None:
            return None
        return parse_stamp(document, workflow=_webp_texts(data).get(WORKFLOW))
    if kind is MP4:
        document = _document_in(mp4.packet(data))
        return parse_stamp(document, workflow=mp4.texts(data).get(WORKFLOW)) if document else None
    return None


def _document_in(packet: bytes | None) -> str | None:
    return xmp.document_in(packet) if packet is not None else None


def _webp_texts(data: bytes) -> dict[str, str]:
    exif = Exif(webp.payload(data, b"EXIF"))
    return exif.keyed() | ({PARAMETERS: exif.comment} if exif.comment else {})


def recipe_in(data: bytes) -> Recipe | ForeignRecipe | None:
    """How a picture was made, whoever made it: the lab's own note, ComfyUI's workflow, or a `parameters` text.

    None when the file says nothing, or is damaged. Never raises, and no text is long enough to keep it busy.
    """
    try:
        kind = kind_of(data)
        if (stamp := _stamp_in(data, kind)) is not None:
            return stamp.recipe
        return _foreign(_texts_in(data, kind))
    except BAD:
        return None


def _texts_in(data: bytes, kind: Kind | None) -> dict[str, str]:
    """The texts that other programs leave in a file, by ComfyUI's and AUTOMATIC1111's keywords."""
    if kind is PNG:
        return png.texts(data)
    if kind is JPEG:
        exif = Exif(jpeg.payload(data, jpeg.EXIF_HEAD))
        return exif.keyed() | ({PARAMETERS: exif.comment} if exif.comment else {})
    if kind is WEBP:
        return _webp_texts(data)
    return mp4.texts(data) if kind is MP4 else {}


def _foreign(texts: Mapping[str, str]) -> ForeignRecipe | None:
    texts = {key: text for key, text in texts.items() if len(text) <= MAX_READ}
    comment = texts.get(PARAMETERS, "")
    # some nodes for ComfyUI write both its texts there, as JSON
    if comment.lstrip().startswith("{"):
        document = loaded(comment) or {}
        nested = {key: document[key] for key in (WORKFLOW, PAGE) if key in document}
        texts = {**texts, **{key: _as_text(each) for key, each in nested.items()}}
    workflow = loaded(texts[WORKFLOW]) if WORKFLOW in texts else None
    if workflow is None and PAGE in texts:
        workflow = from_page(loaded(texts[PAGE]) or {})
    reading = read_workflow(workflow) if workflow else None
    said = infotext.parse(comment) if comment else None
    if reading is None or not reading.prompt:
        if said is not None:
            return _of_text(comment, said, workflow)
        if reading is None:
            return None
    return ForeignRecipe(
        source="comfyui",
        prompt=reading.prompt,
        params=reading.params,
        workflow=workflow,
        text=comment or None,
        notes=reading.notes,
    )


def _of_text(text: str, said: infotext.Infotext, workflow: dict[str, Any] | None) -> ForeignRecipe:
    prompt, params, notes = params_of(said)
    return ForeignRecipe(
        source="a1111",
        prompt=prompt,
        params=params,
        workflow=workflow,
        text=text,
        software=said.settings.get("Version"),
        notes=tuple(notes),
    )


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
