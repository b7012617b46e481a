"""The built-in backends' workflows: every option, held against servers written by hand and recorded ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from object_info import (
    CHECKPOINTS,
    ENCODERS,
    HAND_WRITTEN,
    LORAS,
    NODES,
    REFINER,
    SAMPLERS,
    SCHEDULERS,
    SD15,
    SD35,
    SDXL,
    SERVERS,
    SVD,
    UPSCALERS,
    VAES,
    server,
    stocked,
)

from orchestrator.backends import BACKENDS, get, parse
from orchestrator.errors import (
    MissingCheckpoint,
    MissingModel,
    MissingNode,
    RequestRejected,
    UnknownSampler,
    WorkflowRejected,
)
from orchestrator.workflows import (
    Inputs,
    Offered,
    Workflow,
    availability,
    check_against,
    make,
    preflight,
)

ON_COMFYUI = [name for name, backend in BACKENDS.items() if backend.service == "comfyui"]


def built(
    backend: str = "sd15",
    params: dict[str, Any] | None = None,
    *,
    offered: Offered | None = None,
    prompt: str = "an eagle",
) -> Workflow:
    """A workflow, with its pictures uploaded under names of the server's own."""
    parsed = parse(get(backend), {"seed": 42, **(params or {})})
    uploads = {
        name: f"up-{value}" if (value := getattr(parsed, name, None)) else None
        for name in ("image", "mask")
    }
    return make(
        get(backend),
        parsed,
        prompt,
        offered=offered or Offered(server()),
        inputs=Inputs(**uploads),
        filename_prefix="lab",
    )


def nodes(workflow: Workflow, class_type: str) -> list[dict[str, Any]]:
    return [node["inputs"] for node in workflow.values() if node["class_type"] == class_type]


def node(workflow: Workflow, class_type: str) -> dict[str, Any]:
    (inputs,) = nodes(workflow, class_type)
    return inputs


def behind(workflow: Workflow, link: Any) -> str:
    """The class of the node that a link leads from."""
    return str(workflow[link[0]]["class_type"])


def refused(
    backend: str = "sd15", params: dict[str, Any] | None = None, **offered: Any
) -> RequestRejected:
    with pytest.raises(RequestRejected) as caught:
        built(backend, params, offered=Offered(**{"classes": server(), **offered}))
    return caught.value


# ------------------------------------------------------------------------------ every option fits

IMAGE: dict[str, Any] = {"image": "a.png", "denoise": 0.4}
LORA: dict[str, Any] = {"loras": [{"name": name, "strength": 0.5} for name in LORAS]}
HIRES: dict[str, Any] = {"hiresScale": 2, "hiresDenoise": 0.6, "hiresSteps": 5}
EVERYTHING: dict[str, Any] = {
    **IMAGE,
    **LORA,
    **HIRES,
    "mask": "m.png",
    "vae": VAES[0],
    "clipSkip": 2,
    "batchSize": 3,
    "upscaler": UPSCALERS[0],
    "negativePrompt": "blur",
    "sampler": "DPM++ 2M Karras",
}
OPTIONS: dict[str, list[dict[str, Any]]] = {
    name: [{}, IMAGE, {**IMAGE, "mask": "m.png", "batchSize": 2}, LORA, HIRES, EVERYTHING]
    for name in ("sd15", "sdxl", "sd35")
}
OPTIONS["svd"] = [{}, {"image": "a.png"}, {"outputFormat": "mp4"}, {"stillCheckpoint": SD15}]
OPTIONS["sdxl"] += [
    {"refiner": REFINER},
    {**EVERYTHING, "refiner": REFINER, "refinerAt": 0.6},
]


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("backend", ON_COMFYUI)
def test_every_option_of_every_backend_fits_the_server(name: str, backend: str) -> None:
    info = stocked(name)
    for params in OPTIONS[backend]:
        # `make` would refuse it; the check itself is asked once more, so that it cannot be left out
        assert check_against(built(backend, params, offered=Offered(info)), info) == []


def links(workflow: Workflow) -> dict[str, set[str]]:
    return {
        node_id: {value[0] for value in node["inputs"].values() if isinstance(value, list)}
        for node_id, node in workflow.items()
    }


def drawn(backend: str) -> st.SearchStrategy[dict[str, Any]]:
    """Any parameters that a backend takes."""
    side = st.integers(2, 512).map(lambda n: 8 * n)
    share = st.floats(0, 1)
    common = {
        "width": side,
        "height": side,
        "steps": st.integers(1, 10_000),
        "cfg": st.floats(0, 100),
        "sampler": st.sampled_from([*SAMPLERS, "Euler a", "DPM++ 2M Karras"]),
        "scheduler": st.sampled_from([*SCHEDULERS, "SGM Uniform"]),
        "seed": st.integers(-1, 2**64 - 1),
    }
    if backend == "svd":
        special = {
            "image": st.just("a.png"),
            "frames": st.integers(1, 400),
            "fps": st.integers(1, 120),
            "motion": st.integers(1, 1023),
            "augmentation": st.floats(0, 10),
            "minCfg": st.floats(0, 100),
            "denoise": share,
            "outputFormat": st.sampled_from(["webp", "mp4"]),
            "stillCheckpoint": st.sampled_from([SD15, SDXL, SD35]),
        }
        return st.fixed_dictionaries({}, optional={**common, **special})
    special = {
        "batchSize": st.integers(1, 64),
        "negativePrompt": st.text(max_size=20),
        "vae": st.sampled_from(VAES),
        "clipSkip": st.integers(1, 12),
        "loras": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(LORAS)}, optional={"strength": st.floats(-10, 10)}
            ),
            max_size=16,
        ),
        "upscaler": st.sampled_from(UPSCALERS),
    }
    picture = st.fixed_dictionaries(
        {"image": st.just("a.png")}, optional={"denoise": share, "mask": st.just("m.png")}
    )
    hires = st.fixed_dictionaries(
        {"hiresScale": st.floats(1.01, 4)},
        optional={"hiresDenoise": share, "hiresSteps": st.integers(1, 10_000)},
    )
    refiner = st.fixed_dictionaries({"refiner": st.just(REFINER)}, optional={"refinerAt": share})
    groups = [picture, hires, *([refiner] if backend == "sdxl" else [])]
    parts = [st.just({}) | group for group in groups]
    return st.builds(
        lambda one, *others: {key: value for part in (one, *others) for key, value in part.items()},
        st.fixed_dictionaries({}, optional={**common, **special}),
        *parts,
    )


@pytest.mark.parametrize("name", SERVERS)
@given(data=st.data())
def test_whatever_the_parameters_allow_the_server_takes(name: str, data: Any) -> None:
    backend = data.draw(st.sampled_from(ON_COMFYUI))
    params = data.draw(drawn(backend))
    prompt = data.draw(st.text(max_size=9))
    info = stocked(name)
    workflow = built(backend, params, offered=Offered(info), prompt=prompt)
    assert check_against(workflow, info) == []
    # a node takes only from nodes before it, so there is no circle
    used = set[str]()
    for node_id, before in links(workflow).items():
        assert all(int(each) < int(node_id) for each in before)
        used |= before
    written = [key for key in workflow.keys() - used if "Save" in workflow[key]["class_type"]]
    assert len(written) == 1
    again = built(backend, params, offered=Offered(info), prompt=prompt)
    assert json.dumps(workflow) == json.dumps(again)


# ------------------------------------------------------------------------------ the steps


def test_a_given_image_is_scaled_encoded_and_painted_over_in_part() -> None:
    graph = built("sd15", {"image": "a.png", "width": 640, "batchSize": 4})
    assert node(graph, "LoadImage") == {"image": "up-a.png"}
    scaled = node(graph, "ImageScale")
    assert (scaled["width"], scaled["height"], scaled["crop"]) == (640, 512, "center")
    assert node(graph, "RepeatLatentBatch")["amount"] == 4
    sampler = node(graph, "KSampler")
    assert sampler["denoise"] == 0.75
    assert behind(graph, sampler["latent_image"]) == "RepeatLatentBatch"
    assert nodes(graph, "EmptyLatentImage") == []


def test_one_picture_of_an_image_is_not_repeated() -> None:
    graph = built("sd15", {"image": "a.png"})
    assert behind(graph, node(graph, "KSampler")["latent_image"]) == "VAEEncode"


def test_a_mask_is_cut_like_the_image_it_lies_on() -> None:
    graph = built("sd15", {"image": "a.png", "mask": "m.png"})
    assert [each["image"] for each in nodes(graph, "LoadImage")] == ["up-a.png", "up-m.png"]
    image, mask = nodes(graph, "ImageScale")
    assert {**image, "image": 0} == {**mask, "image": 0}
    assert node(graph, "ImageToMask")["channel"] == "red"
    assert behind(graph, node(graph, "KSampler")["latent_image"]) == "SetLatentNoiseMask"


def test_a_server_without_image_to_mask_loads_the_mask_as_it_is() -> None:
    offered = Offered(server(without=("ImageToMask",)))
    graph = built("sd15", {"image": "a.png", "mask": "m.png"}, offered=offered)
    assert node(graph, "LoadImageMask") == {"image": "up-m.png", "channel": "red"}
    assert behind(graph, node(graph, "SetLatentNoiseMask")["mask"]) == "LoadImageMask"


def test_loras_are_chained_before_the_clip_skip() -> None:
    graph = built("sd15", {"loras": "ink:0.5, pixel_art:-1", "clipSkip": 2})
    one, two = nodes(graph, "LoraLoader")
    assert (one["lora_name"], one["strength_model"], one["strength_clip"]) == (LORAS[1], 0.5, 0.5)
    assert (two["lora_name"], two["strength_model"]) == (LORAS[0], -1.0)
    assert behind(graph, one["model"]) == "CheckpointLoaderSimple"
    assert behind(graph, two["clip"]) == "LoraLoader"
    assert behind(graph, node(graph, "KSampler")["model"]) == "LoraLoader"
    skip = node(graph, "CLIPSetLastLayer")
    assert skip["stop_at_clip_layer"] == -2
    assert behind(graph, skip["clip"]) == "LoraLoader"
    for text in nodes(graph, "CLIPTextEncode"):
        assert behind(graph, text["clip"]) == "CLIPSetLastLayer"


def test_another_vae_encodes_and_decodes() -> None:
    graph = built("sdxl", {"vae": "sdxl_vae", "image": "a.png"})
    assert node(graph, "VAELoader") == {"vae_name": VAES[1]}
    assert behind(graph, node(graph, "VAEEncode")["vae"]) == "VAELoader"
    assert behind(graph, node(graph, "VAEDecode")["vae"]) == "VAELoader"


def test_a_second_pass_is_larger_and_paints_in_part() -> None:
    graph = built("sd15", {"hiresScale": 1.5, "steps": 12})
    first, second = nodes(graph, "KSampler")
    assert (first["denoise"], second["denoise"]) == (1.0, 0.5)
    assert (first["steps"], second["steps"]) == (12, 12)
    assert behind(graph, second["latent_image"]) == "LatentUpscaleBy"
    assert node(graph, "LatentUpscaleBy")["scale_by"] == 1.5


def test_an_upscale_model_comes_last() -> None:
    graph = built("sd35", {"upscaler": "realesrgan_x4plus"})
    assert node(graph, "UpscaleModelLoader") == {"model_name": UPSCALERS[0]}
    assert behind(graph, node(graph, "SaveImage")["images"]) == "ImageUpscaleWithModel"


@pytest.mark.parametrize(
    ("params", "parts"),
    [
        ({"steps": 30}, [(0, 24, 30), (24, 30, 30)]),
        ({"steps": 25, "refinerAt": 0.5}, [(0, 12, 25), (12, 25, 25)]),
        # a KSampler would do the last 30 of 40 steps
        ({"steps": 30, "image": "a.png"}, [(10, 32, 40), (32, 40, 40)]),
        ({"steps": 10_000, "image": "a.png", "denoise": 0.5}, [(0, 8000, 10_000), (8000, 10_000, 10_000)]),
    ],
)  # fmt: skip
def test_a_refiner_does_the_last_steps(
    params: dict[str, Any], parts: list[tuple[int, int, int]]
) -> None:
    graph = built("sdxl", {"refiner": REFINER, **params})
    base, refiner = nodes(graph, "KSamplerAdvanced")
    done = [(p["start_at_step"], p["end_at_step"], p["steps"]) for p in (base, refiner)]
    assert done == parts
    assert (base["add_noise"], base["return_with_leftover_noise"]) == ("enable", "enable")
    assert (refiner["add_noise"], refiner["return_with_leftover_noise"]) == ("disable", "disable")
    assert refiner["latent_image"] in [
        [key, 0] for key, each in graph.items() if each["inputs"] is base
    ]
    checkpoints = [each["ckpt_name"] for each in nodes(graph, "CheckpointLoaderSimple")]
    assert checkpoints == [SDXL, REFINER]
    assert len(nodes(graph, "CLIPTextEncode")) == 4  # each model reads the prompt itself


@pytest.mark.parametrize(
    ("params", "checkpoint"),
    [
        ({"refinerAt": 1}, SDXL),
        ({"refinerAt": 0}, REFINER),
        ({"image": "a.png", "denoise": 0.1}, REFINER),  # only steps that are the refiner's
        ({"image": "a.png", "denoise": 0}, SDXL),
    ],
)
def test_where_only_one_of_two_models_has_steps_it_paints_alone(
    params: dict[str, Any], checkpoint: str
) -> None:
    graph = built("sdxl", {"refiner": REFINER, **params})
    sampler = node(graph, "KSampler")
    assert graph[sampler["model"][0]]["inputs"] == {"ckpt_name": checkpoint}
    assert nodes(graph, "KSamplerAdvanced") == []


def test_sd35_is_sampled_as_in_its_template() -> None:
    graph = built("sd35")
    sampler = node(graph, "KSampler")
    assert node(graph, "EmptySD3LatentImage") == {"width": 1024, "height": 1024, "batch_size": 1}
    assert (sampler["steps"], sampler["cfg"]) == (20, 4.01)
    assert (sampler["sampler_name"], sampler["scheduler"]) == ("euler", "sgm_uniform")
    # this file holds its encoders
    assert nodes(graph, "TripleCLIPLoader") == []


def test_sd35_without_encoders_is_given_the_server_s_three() -> None:
    offered = Offered(server(checkpoints=("sd3.5_large.safetensors",)))
    graph = built("sd35", offered=offered)
    assert node(graph, "TripleCLIPLoader") == {
        "clip_name1": "clip_l.safetensors",
        "clip_name2": "clip_g.safetensors",
        "clip_name3": "t5xxl_fp16.safetensors",
    }
    assert behind(graph, nodes(graph, "CLIPTextEncode")[0]["clip"]) == "TripleCLIPLoader"


def test_the_smallest_of_the_largest_encoder_is_taken() -> None:
    encoders = (*ENCODERS, "t5xxl_fp8_e4m3fn_scaled.safetensors")
    offered = Offered(server(checkpoints=("sd3.5_medium.safetensors",), encoders=encoders))
    assert node(built("sd35", offered=offered), "TripleCLIPLoader")["clip_name3"] == encoders[-1]


def test_sd35_prefers_what_runs_without_the_encoders_that_are_not_there() -> None:
    offered = Offered(server(checkpoints=("sd3.5_large.safetensors", SD35), encoders=ENCODERS[:2]))
    graph = built("sd35", offered=offered)
    assert node(graph, "CheckpointLoaderSimple") == {"ckpt_name": SD35}


@pytest.mark.parametrize("params", [{}, {"checkpoint": "sd3.5_large.safetensors"}])
def test_sd35_says_which_encoders_it_lacks(params: dict[str, Any]) -> None:
    classes = server(checkpoints=("sd3.5_large.safetensors",), encoders=ENCODERS[:2])
    error = refused("sd35", params, classes=classes)
    assert isinstance(error, MissingModel)
    assert error.message.startswith("sd3.5_large.safetensors comes without text encoders")
    assert "t5xxl" in error.remedy
    assert "models/text_encoders" in error.remedy


def test_a_video_moves_the_image_that_was_given() -> None:
    graph = built("svd", {"image": "a.png", "frames": 25, "fps": 8, "motion": 60, "cfg": 3})
    motion = node(graph, "SVD_img2vid_Conditioning")
    assert (motion["video_frames"], motion["fps"], motion["motion_bucket_id"]) == (25, 8, 60)
    assert behind(graph, motion["init_image"]) == "ImageScale"
    sampler = node(graph, "KSampler")
    assert behind(graph, sampler["model"]) == "VideoLinearCFGGuidance"
    assert [sampler[name][1] for name in ("positive", "negative", "latent_image")] == [0, 1, 2]
    assert node(graph, "SaveAnimatedWEBP")["fps"] == 8.0
    assert nodes(graph, "CLIPTextEncode") == []


def test_a_video_without_an_image_begins_with_one_painted_from_the_prompt() -> None:
    graph = built("svd", {"seed": 7, "width": 768, "sampler": "ddim"})
    still, video = nodes(graph, "KSampler")
    assert (still["seed"], still["steps"], still["sampler_name"]) == (7, 30, "euler")
    assert (video["seed"], video["steps"], video["sampler_name"]) == (7, 20, "ddim")
    assert node(graph, "EmptyLatentImage")["width"] == 768
    assert node(graph, "CheckpointLoaderSimple") == {"ckpt_name": SDXL}
    assert nodes(graph, "CLIPTextEncode")[0]["text"] == "an eagle"
    first = node(graph, "SVD_img2vid_Conditioning")["init_image"]
    assert behind(graph, first) == "VAEDecode"
    assert behind(graph, graph[first[0]]["inputs"]["samples"]) == "KSampler"


@pytest.mark.parametrize(
    ("wanted", "canvas"), [(SD15, "EmptyLatentImage"), (SD35, "EmptySD3LatentImage")]
)
def test_the_first_picture_is_painted_as_its_checkpoint_needs(wanted: str, canvas: str) -> None:
    graph = built("svd", {"stillCheckpoint": wanted})
    assert node(graph, "CheckpointLoaderSimple") == {"ckpt_name": wanted}
    assert len(nodes(graph, canvas)) == 1


def test_a_video_is_written_as_mp4_where_the_server_can() -> None:
    graph = built("svd", {"image": "a.png", "outputFormat": "mp4"})
    written = node(graph, "SaveVideo")
    assert (written["format"], written["codec"]) == ("mp4", "h264")
    assert node(graph, "CreateVideo")["fps"] == 6.0
    error = refused(
        "svd", {"outputFormat": "mp4"}, classes=server(without=("CreateVideo", "SaveVideo"))
    )
    assert isinstance(error, MissingNode)
    assert "CreateVideo" in error.message
    assert "SaveVideo" in error.message
    assert "webp" in error.remedy


def test_a_picture_that_was_not_uploaded_is_a_mistake_of_the_caller() -> None:
    params = parse(get("sd15"), {"image": "a.png"})
    with pytest.raises(ValueError, match="image"):
        make(
            get("sd15"),
            params,
            "x",
            offered=Offered(server()),
            inputs=Inputs(),
            filename_prefix="x",
        )


# ------------------------------------------------------------------------------ what is in the way


def test_everything_that_is_missing_is_told_at_once_with_near_names_and_how_to_get_it() -> None:
    classes = server(checkpoints=(SD15,), without=("CLIPSetLastLayer",))
    error = refused(
        "sdxl",
        {
            "sampler": "eulr",
            "scheduler": "kerras",
            "loras": "pixel-artt, nothing",
            "vae": "sdxl-vae-fp16",
            "upscaler": "4x",
            "clipSkip": 2,
            "checkpoint": "juggernaut",
            "refiner": "xl-refiner",
        },
        classes=classes,
    )
    assert isinstance(error, MissingNode)  # what has to be mended first
    for told in (
        "CLIPSetLastLayer (node",
        "no checkpoint juggernaut",
        "no checkpoint xl-refiner",
        "no LoRA pixel-artt; did you mean pixel-art.safetensors?",
        "no LoRA nothing; it has pixel-art.safetensors, style/Ink.safetensors",
        "no VAE sdxl-vae-fp16; did you mean sdxl_vae.safetensors?",
        "no upscale model 4x",
        "sampler_name = 'eulr' is not one of the server's choices; near: euler",
        "scheduler = 'kerras' is not one of the server's choices; near: karras",
    ):
        assert told in error.message
    assert error.message.count("eulr") == 1  # though two samplers would be given it
    for told in (
        "models/loras",
        "models/checkpoints",
        "models pull vae",
        "models/upscale_models",
        "Update ComfyUI",
    ):
        assert told in error.remedy


@pytest.mark.parametrize(
    ("params", "kind"),
    [
        ({"checkpoint": "nope"}, MissingCheckpoint),
        ({"loras": "nope"}, MissingModel),
        ({"sampler": "nope"}, UnknownSampler),
        ({"sampler": "nope", "vae": "nope"}, MissingModel),
        ({"checkpoint": "nope", "vae": "nope"}, MissingCheckpoint),
    ],
)
def test_what_has_to_be_mended_first_gives_the_error_its_kind(
    params: dict[str, Any], kind: type[RequestRejected]
) -> None:
    assert type(refused("sd15", params)) is kind


def test_a_number_that_only_this_server_refuses_is_told() -> None:
    classes = server()
    classes["EmptyLatentImage"]["input"]["required"]["width"][1]["max"] = 1024
    error = refused("sd15", {"width": 2048}, classes=classes)
    assert type(error) is WorkflowRejected
    assert "width = 2048 is larger than the server allows" in error.message


def test_a_name_that_two_files_have_is_not_guessed() -> None:
    classes = server()
    loader = classes["LoraLoader"]["input"]["required"]
    loader["lora_name"] = [["a/ink.safetensors", "b/ink.safetensors"], {}]
    error = refused("sd15", {"loras": "ink"}, classes=classes)
    assert "Several files on the server are the LoRA ink" in error.message
    assert built("sd15", {"loras": "b/ink.safetensors"}, offered=Offered(classes))


def test_what_stands_in_the_file_beats_what_it_is_called() -> None:
    files = ("sd15-really.safetensors", "chilloutmix.safetensors")
    families = {files[0]: "sdxl", files[1]: "sd15"}
    offered = Offered(server(checkpoints=files), families=families)
    assert node(built("sd15", offered=offered), "CheckpointLoaderSimple")["ckpt_name"] == files[1]
    assert node(built("sdxl", offered=offered), "CheckpointLoaderSimple")["ckpt_name"] == files[0]


def test_a_file_that_does_not_tell_goes_by_its_name() -> None:
    offered = Offered(server(checkpoints=(SD15, SDXL)), families={SD15: None})
    assert node(built("sd15", offered=offered), "CheckpointLoaderSimple")["ckpt_name"] == SD15


def test_a_damaged_checkpoint_is_never_chosen() -> None:
    other = "dreamshaper_8.safetensors"
    corrupt = {SD15: "it ends too early"}
    offered = Offered(server(checkpoints=(SD15, other)), corrupt=corrupt)
    assert node(built("sd15", offered=offered), "CheckpointLoaderSimple")["ckpt_name"] == other
    error = refused("sd15", classes=server(checkpoints=(SD15,)), corrupt=corrupt)
    assert f"{SD15} is damaged (it ends too early)" in error.message


def test_a_damaged_checkpoint_is_refused_even_if_wanted() -> None:
    for backend, params in (("sd15", {"checkpoint": SD15}), ("svd", {"stillCheckpoint": SD15})):
        error = refused(backend, params, corrupt={SD15: "it ends too early"})
        assert isinstance(error, MissingCheckpoint)
        assert error.message == f"The checkpoint {SD15} is damaged: it ends too early"
        assert "Download" in error.remedy


def test_a_checkpoint_of_another_family_is_refused_with_where_it_says_so() -> None:
    named = refused("sd35", {"checkpoint": SD15})
    assert "is not an SD 3.5 one: its name says sd15" in named.message
    read = refused("sdxl", {"checkpoint": SD15}, families={SD15: "svd"})
    assert "is not an SDXL one: the file says svd" in read.message


def test_a_video_that_lacks_what_paints_its_first_picture_says_to_give_one() -> None:
    error = refused("svd", classes=server(checkpoints=(SVD,)))
    assert "without an image, a video begins with one that is painted" in error.message
    assert "give an `image`" in error.remedy


def test_hostile_names_make_one_line_that_is_not_too_long() -> None:
    names = tuple(f"evil\n[worker] {n}\x1b[31m" + "x" * 400 for n in range(300))
    loras = [{"name": f"a\nb{n}" + "y" * 200} for n in range(16)]
    error = refused("sd15", {"loras": loras}, classes=server(checkpoints=names))
    assert error.message.isprintable()
    assert len(error.message) <= 4000


# ------------------------------------------------------------------------------ availability


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("backend", ON_COMFYUI)
def test_a_backend_is_available_where_its_checkpoint_is(name: str, backend: str) -> None:
    assert availability(get(backend), Offered(stocked(name))) is None
    reason = availability(get(backend), Offered(stocked(name, checkpoints=())))
    assert reason is not None
    assert reason.startswith("No checkpoint on the server is plainly")


def test_a_video_is_available_without_what_paints_stills() -> None:
    assert availability(get("svd"), Offered(server(checkpoints=(SVD,)))) is None


def test_a_server_that_is_too_old_makes_a_backend_unavailable() -> None:
    offered = Offered(server(without=("EmptySD3LatentImage",)))
    reason = availability(get("sd35"), offered)
    assert reason is not None
    assert "EmptySD3LatentImage" in reason
    assert availability(get("sdxl"), offered) is None


def test_a_server_that_says_nothing_makes_everything_unavailable() -> None:
    for backend in ON_COMFYUI:
        assert availability(get(backend), Offered({})) is not None


# ------------------------------------------------------------------------------ any workflow


def test_a_foreign_workflow_s_missing_nodes_are_told_with_their_pack() -> None:
    workflow = {
        "1": {"class_type": "VHS_VideoCombine", "inputs": {}},
        "2": {"class_type": "SomethingOfMine", "inputs": {}},
        "3": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "gone.ckpt"}},
    }
    with pytest.raises(MissingNode) as caught:
        preflight(workflow, Offered(server()))
    assert "ComfyUI-VideoHelperSuite" in caught.value.remedy
    assert "SomethingOfMine" in caught.value.message
    assert "gone.ckpt" in caught.value.message
    assert "models/checkpoints" in caught.value.remedy


def test_a_foreign_workflow_with_a_damaged_file_is_refused() -> None:
    workflow = {"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": SD15}}}
    preflight(workflow, Offered(server()))
    with pytest.raises(MissingCheckpoint, match="ends too early"):
        preflight(workflow, Offered(server(), corrupt={SD15: "it ends too early"}))


@pytest.mark.parametrize("shape", HAND_WRITTEN)
def test_a_server_has_a_model_by_what_people_call_it(shape: str) -> None:
    offered = Offered(server(shape))
    assert all(offered.has_model(name) for name in (*CHECKPOINTS, "ink", "RealESRGAN_x4plus"))
    assert not offered.has_model("nothing")


def test_the_server_written_by_hand_declares_what_a_real_one_does() -> None:
    real = stocked("0.3.64")
    for name in NODES:
        declared = set(real[name]["input"]["required"])
        assert set(server()[name]["input"]["required"]) == declared, name
        assert server()[name]["output"] == real[name]["output"], name
