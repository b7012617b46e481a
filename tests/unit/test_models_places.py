"""Which folders hold models: modelsRoot, ComfyUI's own, and those of its extra_model_paths.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.models.places import extra_paths, places
from orchestrator.paths import Paths

YAML = """\
# a comment
a1111:
    base_path: {root}/webui/   # where it is

    checkpoints: models/Stable-diffusion
    configs: models/Stable-diffusion
    loras: |
         models/Lora
         models/LyCORIS
    embeddings: "embeddings"

#comfyui:
#     base_path: path/to/comfyui/

other:
    is_default: true
    vae: /abs/vae
    custom_nodes: x
    unet: 'shared models/unet'
"""


def lab(folder: Path, comfy: str | None = "comfy") -> Paths:
    line = f'"comfyRoot": "{comfy}"' if comfy else ""
    (folder / "paths.json").write_text("{" + line + "}")
    return Paths.load(folder / "paths.json")


def test_the_extra_paths_are_read_as_comfyui_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "extra_model_paths.yaml"
    file.write_text(YAML.format(root=tmp_path))
    web = tmp_path / "webui"
    assert extra_paths(file) == [
        ("checkpoints", web / "models/Stable-diffusion"),
        ("loras", web / "models/Lora"),
        ("loras", web / "models/LyCORIS"),
        ("embeddings", web / "embeddings"),
        ("vae", Path("/abs/vae")),
        ("diffusion_models", tmp_path / "shared models/unet"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "just words",
        "[1, 2]",
        "a: b",
        "\t\tx: y\n",
        "a:\n  b",
        "a:\n- c\n",
        "\0\xff" * 50,
        ":\n  :\n",
        "a:\n  : |\n",
    ],
)
def test_a_file_of_anything_else_names_nothing_and_raises_nothing(
    tmp_path: Path, text: str
) -> None:
    file = tmp_path / "extra_model_paths.yaml"
    file.write_text(text)
    assert all(isinstance(path, Path) for _, path in extra_paths(file))


def test_a_file_that_is_not_there_names_nothing(tmp_path: Path) -> None:
    assert extra_paths(tmp_path / "extra_model_paths.yaml") == []


def test_comfyuis_folders_come_first_and_none_comes_twice(tmp_path: Path) -> None:
    paths = lab(tmp_path)
    for folder in ("comfy/models/checkpoints", "comfy/models/clip", "models/loras", "models/.git"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "models/checkpoints").symlink_to(tmp_path / "comfy/models/checkpoints")
    found = [(place.folder_type, place.seen_by_comfyui) for place in places(paths)]
    assert found == [("checkpoints", True), ("text_encoders", True), ("loras", False)]


def test_the_portable_comfyui_has_its_folders_one_level_down(tmp_path: Path) -> None:
    (tmp_path / "comfy/ComfyUI/models/vae").mkdir(parents=True)
    assert [place.folder_type for place in places(lab(tmp_path))] == ["vae"]


def test_without_any_folder_there_are_no_places(tmp_path: Path) -> None:
    assert places(lab(tmp_path, comfy=None)) == []
