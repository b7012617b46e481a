"""Which widgets and sockets a node class has, in the order in which its values are saved: read from /object_info.

Everything that reads or writes the values of a saved workflow goes by these plans, in Python and in the browser.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.workflows.declarations import config, mapping, options, type_of

PLAIN = frozenset({"INT", "FLOAT", "BOOLEAN", "STRING", "COMBO"})
# Types that the editor draws a widget of its own for; every other type is a socket only.
SPECIAL = frozenset(
    {"BOUNDING_BOX", "BOUNDING_BOXES", "COLOR", "COLORS", "CURVE", "RANGE", "IMAGECOMPARE"}
    | {"LOAD_3D", "WEBCAM", "AUDIO_RECORD", "AUDIO_UI", "MARKDOWN", "TEXTAREA", "CHART", "PAINTER"}
    | {"GALLERIA", "FILEUPLOAD", "IMAGECROP", "TREESELECT", "MULTISELECT", "SELECTBUTTON"}
)
DYNAMIC, AUTOGROW = "COMFY_DYNAMICCOMBO_V3", "COMFY_AUTOGROW_V3"
SEEDS = frozenset({"seed", "noise_seed"})
CONTROL = "control_after_generate"
MEDIA = ("image_upload", "video_upload", "audio_upload", "animated_image_upload")
MODEL_BUTTONS = ("upload 3d model", "upload extra resources", "clear")
BOX = ("x", "y", "width", "height")
MAX_BRANCHES = 8  # dynamic choices inside dynamic choices


@dataclass(frozen=True, slots=True)
class Widget:
    """One saved value. `sent` is false for what a server never hears of: buttons, what to do with a seed.

    `branches`: of a dynamic choice, what follows for each of its values; names in them are whole (`model.width`).
    """

    name: str
    kind: str  # what is drawn
    required: bool = True
    config: Mapping[str, Any] = field(default_factory=dict)
    choices: tuple[Any, ...] | None = None
    sent: bool = True
    branches: Mapping[str, tuple[Widget | Socket, ...]] | None = None
    type: str = ""  # what may be linked to it

    @property
    def default(self) -> Any:
        """What a fresh node has; the first choice where nothing is declared."""
        if "default" in self.config:
            return self.config["default"]
        if self.branches is not None:
            return next(iter(self.branches), None)
        if self.choices is not None:
            return self.choices[0] if self.choices else None
        return {"INT": 0, "FLOAT": 0, "BOOLEAN": False}.get(self.kind, "")

    def as_json(self) -> dict[str, Any]:
        """The widget as the browser is told of it; what has its usual value is left out."""
        said: dict[str, Any] = {"widget": self.name, "kind": self.kind, "default": self.default}
        if self.type not in ("", self.kind):
            said["type"] = self.type
        if not self.required:
            said["optional"] = True
        if self.config:
            said["config"] = {
                k: v for k, v in self.config.items() if k not in ("options", "default")
            }
        if self.choices is not None:
            said["choices"] = list(self.choices)
        if not self.sent:
            said["sent"] = False
        if self.branches is not None:
            said["branches"] = {
                key: [entry.as_json() for entry in entries]
                for key, entries in self.branches.items()
            }
        return said


@dataclass(frozen=True, slots=True)
class Socket:
    """An input that only a link can fill. `grows`: the names of the inputs it becomes, with the least number."""

    name: str
    type: str
    required: bool = True
    config: Mapping[str, Any] = field(default_factory=dict)
    grows: tuple[str, ...] = ()
    least: int = 0

    def as_json(self) -> dict[str, Any]:
        """The socket as the browser is told of it."""
        said: dict[str, Any] = {"socket": self.name, "type": self.type}
        if not self.required:
            said["optional"] = True
        if self.grows:
            said |= {"grows": list(self.grows), "least": self.least}
        return said


@dataclass(frozen=True, slots=True)
class Plan:
    """A node class. `forced`: per saved value of an old workflow, whether it is of an input that is a socket now.

    `rest`: the name of the values after the last widget, when there may be any number of them.
    """

    class_type: str
    entries: tuple[Widget | Socket, ...]
    outputs: tuple[str, ...]
    is_output: bool
    title: str
    forced: tuple[bool, ...] = ()
    rest: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The plan as the browser is told of it."""
        said: dict[str, Any] = {
            "inputs": [entry.as_json() for entry in self.entries],
            "outputs": list(self.outputs),
            "title": self.title,
        }
        if self.is_output:
            said["isOutput"] = True
        if any(self.forced):
            said["forced"] = list(self.forced)
        if self.rest is not None:
            said["rest"] = self.rest
        return said


class Plans:
    """The plans of one server's /object_info, each made when it is first asked for."""

    def __init__(self, object_info: Mapping[str, Any]) -> None:
        self.object_info = object_info
        self._made: dict[str, Plan] = {}

    def get(self, class_type: str) -> Plan | None:
        """The plan of a class, or None when the server has no such class."""
        if class_type not in self.object_info:
            return None
        if class_type not in self._made:
            self._made[class_type] = plan_of(class_type, mapping(self.object_info[class_type]))
        return self._made[class_type]

    def as_json(self) -> dict[str, Any]:
        """Every plan by its class, with what a palette shows: for the browser, whose editor goes by the same ones."""
        return {
            name: plan.as_json() | _palette(mapping(self.object_info[name]))
            for name in self.object_info
            if (plan := self.get(name))
        }


PALETTE = {
    "output_name": "outputNames",
    "category": "category",
    "description": "description",
    "search_aliases": "aliases",
    "deprecated": "deprecated",
    "experimental": "experimental",
    "api_node": "apiNode",
    "python_module": "module",
}


def _palette(info: Mapping[str, Any]) -> dict[str, Any]:
    return {shown: info[name] for name, shown in PALETTE.items() if info.get(name)}


def plan_of(class_type: str, info: Mapping[str, Any]) -> Plan:
    """The plan of a class, from its entry in /object_info."""
    groups = mapping(info.get("input"))
    entries: list[Widget | Socket] = []
    forced: list[bool] = []
    for group in ("required", "optional"):
        specs = mapping(groups.get(group))
        for name in _ordered(specs, mapping(info.get("input_order")).get(group)):
            made = list(_entries(name, specs[name], required=group == "required"))
            entries += made
            was_forced = config(specs[name]).get("forceInput") is True
            forced += [was_forced] if was_forced else [False for e in made if isinstance(e, Widget)]
        if group == "required" and any(_takes_media(spec) for spec in specs.values()):
            button = Widget("upload", "BUTTON", sent=False)
            entries.append(button)
            forced.append(False)
    rest = None
    if class_type == "CustomCombo":  # the user writes its choices himself, into widgets that grow
        entries.append(
            Widget("index", "INT", required=False, config={"default": -1, "socketless": True})
        )
        rest = "option"
    outputs = info.get("output")
    title = info.get("display_name")
    return Plan(
        class_type=class_type,
        entries=tuple(entries),
        outputs=tuple(_output(each) for each in outputs) if isinstance(outputs, list) else (),
        is_output=info.get("output_node") is True,
        title=title if isinstance(title, str) and title else class_type,
        forced=tuple(forced),
        rest=rest,
    )


def widget_kind(spec: Any) -> str | None:
    """What widget an input is drawn as, or None when it is a socket."""
    declared, said = type_of(spec), config(spec)
    if said.get("forceInput") is True:
        return None
    kind = said.get("widgetType")
    if isinstance(kind, str):
        return kind
    if declared == DYNAMIC:
        return "COMBO"
    for member in (each.strip() for each in declared.split(",")):
        if member in PLAIN or member in SPECIAL:
            return member
    return None


def _entries(name: str, spec: Any, *, required: bool, depth: int = 0) -> Iterator[Widget | Socket]:
    kind = widget_kind(spec)
    said = config(spec)
    if type_of(spec) == AUTOGROW:
        yield _growing(name, said, required=required)
        return
    if kind is None:
        yield Socket(name, type_of(spec), required, said)
        return
    branches = None
    if type_of(spec) == DYNAMIC:
        branches = _branches(name, said, depth) if depth < MAX_BRANCHES else {}
    choices = options(spec) if branches is None else list(branches)
    yield Widget(
        name,
        kind,
        required,
        {key: value for key, value in said.items() if branches is None or key != "options"},
        None if choices is None else tuple(choices),
        branches=branches,
        type=type_of(spec),
    )
    control = said.get(CONTROL)
    is_seed = kind == "INT" and name in SEEDS and control is not False
    if kind in {"INT", "FLOAT", "COMBO"} and (control or is_seed):
        yield Widget(
            CONTROL,
            "COMBO",
            required,
            {"default": control if isinstance(control, str) else "randomize"},
            ("fixed", "increment", "decrement", "randomize"),
            sent=False,
        )
    if kind == "COMBO" and said.get("file_upload"):
        yield from (Widget(button, "BUTTON", sent=False) for button in MODEL_BUTTONS)
    if kind == "BOUNDING_BOX":
        yield from (Widget(f"{name}.{side}", "INT", sent=False) for side in BOX)


def _branches(name: str, said: Mapping[str, Any], depth: int) -> dict[str, tuple[Any, ...]]:
    branches: dict[str, tuple[Any, ...]] = {}
    choices = said.get("options")
    for choice in choices if isinstance(choices, list) else []:
        key = mapping(choice).get("key")
        if not isinstance(key, str):
            continue
        groups = mapping(mapping(choice).get("inputs"))
        branches[key] = tuple(
            entry
            for group in ("required", "optional")
            for inner, spec in mapping(groups.get(group)).items()
            for entry in _entries(
                f"{name}.{inner}", spec, required=group == "required", depth=depth + 1
            )
        )
    return branches


def _growing(name: str, said: Mapping[str, Any], *, required: bool) -> Socket:
    template = mapping(said.get("template"))
    inner = mapping(template.get("input"))
    specs = [*mapping(inner.get("required")).values(), *mapping(inner.get("optional")).values()]
    names, most = template.get("names"), template.get("max")
    if isinstance(names, list):
        places = [str(each) for each in names]
    else:
        count = most if isinstance(most, int) and 0 < most <= 1_000 else 100
        places = [f"{template.get('prefix', '')}{number}" for number in range(count)]
    least = template.get("min")
    return Socket(
        name,
        type_of(specs[0]) if specs else "*",
        required,
        grows=tuple(f"{name}.{place}" for place in places),
        least=least if isinstance(least, int) else 0,
    )


def _takes_media(spec: Any) -> bool:
    return widget_kind(spec) == "COMBO" and any(config(spec).get(key) for key in MEDIA)


def _ordered(specs: Mapping[str, Any], order: Any) -> list[str]:
    """The inputs in the order the server says, then those it does not speak of."""
    said = (
        [each for each in order if isinstance(each, str) and each in specs]
        if isinstance(order, list)
        else []
    )
    return list(dict.fromkeys([*said, *map(str, specs)]))


def _output(declared: Any) -> str:
    return declared if isinstance(declared, str) else "COMBO"
