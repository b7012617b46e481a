"""What a ComfyUI workflow says of the picture it made, found by following its links back from the end. Pure.

Nothing but the shape counts: a sampler is what takes a latent and a prompt, a prompt is the text that leads there, so
that custom nodes are understood as far as they are built like ComfyUI's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

MAX_NODES = 10_000
MAX_HOPS = 32  # from a value to the node that says it
MAX_TEXTS = 20  # of one prompt
MAX_NAME = 255  # characters of a file's name
# where a sampler of several parts has its parts
PARTS = ("noise", "guider", "sampler", "sigmas")
TEXTS = ("text", "text_g", "t5xxl", "prompt", "string", "value", "clip_l", "text_l")
VALUES = ("value", "seed", "int", "float", "number", "string", "text")
# what a node says beside width and height
CANVAS = {
    "batchSize": "batch_size",
    "frames": "video_frames",
    "motion": "motion_bucket_id",
    "fps": "fps",
    "augmentation": "augmentation_level",
}
# widgets of ComfyUI's own nodes by their place: the page's format has no names for them
WIDGETS: Mapping[str, tuple[str, ...]] = {
    "KSampler": ("seed", "", "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "KSamplerAdvanced": (
        "add_noise", "noise_seed", "", "steps", "cfg", "sampler_name", "scheduler", "start_at_step",
    ),
    "CLIPTextEncode": ("text",),
    "CLIPTextEncodeFlux": ("clip_l", "t5xxl", "guidance"),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "ImageOnlyCheckpointLoader": ("ckpt_name",),
    "UNETLoader": ("unet_name",),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
    "LoraLoaderModelOnly": ("lora_name", "strength_model"),
    "VAELoader": ("vae_name",),
    "CLIPSetLastLayer": ("stop_at_clip_layer",),
    "EmptyLatentImage": ("width", "height", "batch_size"),
    "EmptySD3LatentImage": ("width", "height", "batch_size"),
    "LatentUpscaleBy": ("upscale_method", "scale_by"),
    "LatentUpscale": ("upscale_method", "width", "height"),
    "LoadImage": ("image",),
    "RandomNoise": ("noise_seed",),
    "KSamplerSelect": ("sampler_name",),
    "BasicScheduler": ("scheduler", "steps", "denoise"),
    "CFGGuider": ("cfg",),
}  # fmt: skip


class Reading(NamedTuple):
    """What a workflow says."""

    prompt: str
    params: dict[str, Any]  # by the names of the ComfyUI backends
    notes: tuple[str, ...]


def read_workflow(workflow: Mapping[str, Any]) -> Reading | None:
    """What a workflow in API format says; None when it is none or has no sampler."""
    graph = _Graph(workflow)
    chain = graph.samplers()
    if not chain:
        return None
    is_film = len(chain) > 1 and graph.is_film(chain[-1])
    base = chain[-1] if is_film else chain[0]
    later = [] if is_film else chain[1:]
    said = graph.parts_of(base)
    params: dict[str, Any] = {}
    _put(params, "steps", _whole(graph.value(said.get("steps"))))
    _put(params, "cfg", _number(graph.value(said.get("cfg"))))
    _put(params, "sampler", _name(graph.value(said.get("sampler_name"))))
    _put(params, "scheduler", _name(graph.value(said.get("scheduler"))))
    seed = graph.value(said.get("seed", said.get("noise_seed")))
    _put(params, "seed", _whole(seed))
    _put(params, "denoise", _number(graph.value(said.get("denoise"))))
    shown = graph.parts_of(chain[0])  # of a film: the still that it begins with
    prompt = graph.prompt(shown.get("positive", shown.get("conditioning")))
    negative = graph.prompt(shown.get("negative"))
    # a prompt that is switched off is often wired as its own opposite
    if negative and negative != prompt:
        params["negativePrompt"] = negative
    params |= graph.models(said.get("model"))
    if is_film:
        _put(params, "stillCheckpoint", graph.models(shown.get("model")).get("checkpoint"))
    params |= graph.canvas(said.get("latent_image"))
    notes = graph.second_pass(params, later) if later else []
    if "image" in params:
        notes.append(f"was made from the picture {params['image']}, which the file does not hold")
    return Reading(prompt, params, tuple(notes))


class _Graph:
    """The nodes of a workflow. Whatever is not shaped as it should be is left out."""

    def __init__(self, workflow: Mapping[str, Any]) -> None:
        self._inputs: dict[str, dict[str, Any]] = {}
        self._classes: dict[str, str] = {}
        for key, node in list(workflow.items())[:MAX_NODES]:
            if isinstance(node, dict) and isinstance(node.get("class_type"), str):
                inputs = node.get("inputs")
                self._inputs[key] = inputs if isinstance(inputs, dict) else {}
                self._classes[key] = node["class_type"]

    def link(self, value: object) -> str | None:
        """The node that a value is taken from."""
        if isinstance(value, list) and len(value) == 2 and str(value[0]) in self._inputs:
            return str(value[0])
        return None

    def value(self, value: object) -> object:
        """A value, or what the node says that it is taken from."""
        for _ in range(MAX_HOPS):
            node = self.link(value)
            if node is None:
                return value
            inputs = self._inputs[node]
            value = next((inputs[key] for key in VALUES if key in inputs), None)
        return None

    def upstream(self, start: object, *, but: frozenset[str] = frozenset()) -> Iterator[str]:
        """The nodes that something is made from, the nearest first; not through the inputs named in `but`."""
        first = self.link(start)
        waiting = [first] if first else []
        seen = set(waiting)
        for node in waiting:
            yield node
            for key, value in self._inputs[node].items():
                source = self.link(value) if key not in but else None
                if source is not None and source not in seen:
                    seen.add(source)
                    waiting.append(source)

    # ---------------------------------------------------------------- samplers

    def samplers(self) -> list[str]:
        """The samplers of the picture, in the order in which they ran."""
        used = {
            source for inputs in self._inputs.values() for source in map(self.link, inputs.values())
        }
        ends = [node for node in self._inputs if node not in used]
        # what saves comes before what only shows
        ends.sort(key=lambda node: not self._classes[node].startswith("Save"))
        for end in ends:
            for node in self.upstream([end, 0]):
                if self._is_sampler(node):
                    return self._chain(node)
        return []

    def _is_sampler(self, node: str) -> bool:
        inputs = self._inputs[node]
        return "latent_image" in inputs and ("positive" in inputs or "guider" in inputs)

    def _chain(self, last: str) -> list[str]:
        chain = [last]
        while len(chain) < MAX_HOPS:
            before = self.upstream(
                self._inputs[chain[0]]["latent_image"],
                but=frozenset({"positive", "negative", "model", "guider"}),
            )
            found = next((n for n in before if self._is_sampler(n) and n not in chain), None)
            if found is None:
                break
            chain.insert(0, found)
        return chain

    def is_film(self, sampler: str) -> bool:
        """Whether a sampler makes the frames of a film from a picture."""
        model = self.upstream(self._inputs[sampler].get("model"), but=frozenset({"latent_image"}))
        return any(self._classes[node] == "ImageOnlyCheckpointLoader" for node in model)

    def parts_of(self, sampler: str) -> dict[str, Any]:
        """A sampler's inputs, with those of the nodes that it is put together from."""
        inputs = self._inputs[sampler]
        parts = [self._inputs[node] for key in PARTS if (node := self.link(inputs.get(key)))]
        return {**{key: value for part in parts for key, value in part.items()}, **inputs}

    # ---------------------------------------------------------------- what leads to a sampler

    def prompt(self, start: object) -> str:
        """The texts of a prompt."""
        found: list[str] = []
        waiting, seen = [start], set()
        while waiting and len(found) < MAX_TEXTS:
            value = waiting.pop(0)
            node = self.link(value)
            if node is None or node in seen:
                continue
            seen.add(node)
            inputs = self._inputs[node]
            texts = (self._text(inputs[key]) for key in TEXTS if key in inputs)
            text = next((text for text in texts if text), None)
            if text is not None:
                if text not in found:
                    found.append(text)
            elif "positive" in inputs and "negative" in inputs:
                assert isinstance(value, list)
                waiting.append(inputs["negative" if value[1] == 1 else "positive"])
            else:
                keys = [key for key in inputs if key.startswith("cond")] or list(inputs)
                waiting += [inputs[key] for key in keys if key not in {"clip", "model", "vae"}]
        return "\n".join(found)

    def _text(self, value: object) -> str | None:
        said = self.value(value)
        return said if isinstance(said, str) and said.strip() else None

    def models(self, start: object) -> dict[str, Any]:
        """Checkpoint, LoRAs, VAE and CLIP skip on the way to a sampler's model."""
        found: dict[str, Any] = {}
        loras: list[dict[str, Any]] = []
        for node in self.upstream(start, but=frozenset({"latent_image", "positive", "negative"})):
            inputs = self._inputs[node]
            checkpoint = _name(self.value(inputs.get("ckpt_name", inputs.get("unet_name"))))
            if checkpoint:
                found.setdefault("checkpoint", checkpoint)
            # nearest last: they were put on from the loader on
            loras[:0] = list(self._loras(inputs))
        if loras:
            found["loras"] = loras
        for inputs in self._inputs.values():
            if vae := _name(self.value(inputs.get("vae_name"))):
                found["vae"] = vae
            layer = _whole(self.value(inputs.get("stop_at_clip_layer")))
            if layer is not None and layer < -1:
                found["clipSkip"] = -layer
        return found

    def _loras(self, inputs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        if name := _name(self.value(inputs.get("lora_name"))):
            strength = _number(self.value(inputs.get("strength_model")))
            yield {"name": name, "strength": 1.0 if strength is None else strength}
        for value in inputs.values():  # nodes that hold several
            if (
                isinstance(value, dict)
                and value.get("on") is True
                and (name := _name(value.get("lora")))
            ):
                strength = _number(value.get("strength"))
                yield {"name": name, "strength": 1.0 if strength is None else strength}

    def canvas(self, start: object) -> dict[str, Any]:
        """The size of what a sampler began with, and the picture it was, if it was one."""
        found: dict[str, Any] = {}
        for node in self.upstream(start, but=frozenset({"model", "clip", "vae"})):
            inputs = self._inputs[node]
            width, height = (_whole(self.value(inputs.get(key))) for key in ("width", "height"))
            if width and height and "width" not in found:
                found |= {"width": width, "height": height}
                for key, name in CANVAS.items():
                    _put(found, key, _number(self.value(inputs.get(name))))
            if self._classes[node].startswith("LoadImage") and "Mask" not in self._classes[node]:
                _put(found, "image", _name(inputs.get("image")))
        return found

    def second_pass(self, params: dict[str, Any], later: list[str]) -> list[str]:
        """Note what the samplers after the first one did; returns what cannot be noted."""
        said = self.parts_of(later[0])
        steps, began = (_whole(self.value(said.get(key))) for key in ("steps", "start_at_step"))
        refiner = self.models(said.get("model")).get("checkpoint")
        if steps and began and refiner and refiner != params.get("checkpoint"):
            params |= {"refiner": refiner, "refinerAt": round(min(began / steps, 1.0), 4)}
        else:
            _put(params, "hiresDenoise", _number(self.value(said.get("denoise"))))
            _put(params, "hiresSteps", steps)
            _put(params, "hiresScale", self._scale(said.get("latent_image"), params))
        return ["has more than two passes, of which two are known"] if len(later) > 1 else []

    def _scale(self, start: object, params: Mapping[str, Any]) -> float | None:
        for node in self.upstream(start, but=frozenset({"model", "clip", "vae"})):
            inputs = self._inputs[node]
            if (scale := _number(self.value(inputs.get("scale_by")))) is not None:
                return scale
            width = _whole(self.value(inputs.get("width")))
            if (
                width
                and params.get("width")
                and self._classes[node] in {"LatentUpscale", "ImageScale"}
            ):
                return round(width / int(params["width"]), 4)
            if self._is_sampler(node):
                break
        return None


def from_page(document: Mapping[str, Any]) -> dict[str, Any]:
    """A workflow as ComfyUI's page saves it, in API format, as far as ComfyUI's own nodes are concerned."""
    nodes, links = document.get("nodes"), document.get("links")
    if not isinstance(nodes, list) or not isinstance(links, list):
        return {}
    origins = {
        link[0]: [str(link[1]), link[2]]
        for link in links
        if isinstance(link, list) and len(link) >= 5
    }
    made: dict[str, Any] = {}
    for node in nodes[:MAX_NODES]:
        if not isinstance(node, dict) or not isinstance(node.get("type"), str):
            continue
        if node.get("mode") in {2, 4}:  # muted, bypassed
            continue
        widgets = node.get("widgets_values")
        names = WIDGETS.get(node["type"], ())
        inputs = {
            name: value
            for name, value in zip(
                names, widgets if isinstance(widgets, list) else (), strict=False
            )
            if name
        }
        for each in node.get("inputs") or ():
            if isinstance(each, dict) and isinstance(each.get("link"), int):
                inputs[str(each.get("name"))] = origins.get(each["link"])
        made[str(node.get("id"))] = {"class_type": node["type"], "inputs": inputs}
    return made


def _put(params: dict[str, Any], key: str, value: Any) -> None:
    if value is not None:
        params[key] = value


def _whole(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value


def _name(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= MAX_NAME else None
