"""What a ComfyUI server says, read into values: states, files, failures, refusals, choices, previews, progress."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from connector_fakes import (
    JPEG,
    OBJECT_INFO,
    PNG,
    failed_entry,
    history_entry,
    queue_item,
    saved,
    status,
    workflow,
)
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.connectors import comfyui_wire as wire
from orchestrator.connectors.comfyui_info import ObjectInfo, choices, nearest
from orchestrator.connectors.comfyui_progress import CEILING, PromptProgress, read_preview
from orchestrator.connectors.comfyui_rejections import needs_info, rejection
from orchestrator.connectors.comfyui_wire import RemoteStatus
from orchestrator.errors import (
    CorruptModel,
    ExecutionFailed,
    Interrupted,
    MissingCheckpoint,
    MissingNode,
    OutOfMemory,
    RequestRejected,
    ServiceBroken,
    UnknownSampler,
    WorkflowRejected,
)

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "recordings"
INFO = ObjectInfo(OBJECT_INFO)

# ---------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("exception_type", "message", "kind"),
    [
        ("torch.OutOfMemoryError", "Allocation on device 0 would exceed", OutOfMemory),
        ("torch.cuda.OutOfMemoryError", "", OutOfMemory),
        ("torch.AcceleratorError", "CUDA error: out of memory", OutOfMemory),
        ("RuntimeError", "MPS backend out of memory", OutOfMemory),
        ("RuntimeError", "DefaultCPUAllocator: not enough memory", OutOfMemory),
        ("MemoryError", "", OutOfMemory),
        (
            "safetensors._safetensors_rust.SafetensorError",
            "Error while deserializing header: invalid JSON in header",
            CorruptModel,
        ),
        ("_pickle.UnpicklingError", "invalid load key, '<'.", CorruptModel),
        ("RuntimeError", "PytorchStreamReader failed reading zip archive", CorruptModel),
        ("ValueError", "shapes do not match", ExecutionFailed),
    ],
)
def test_a_failure_is_told_apart_by_its_exception(
    exception_type: str, message: str, kind: type[ExecutionFailed]
) -> None:
    state = wire.from_history(failed_entry(exception_type, message))
    assert state.status is RemoteStatus.FAILED
    assert type(state.error) is kind
    assert "KSampler (node 3)" in str(state.error)
    assert exception_type in str(state.error)


def test_a_corrupt_model_is_named() -> None:
    state = wire.from_history(failed_entry("SafetensorError", "bad header"))
    assert "broken.safetensors" in str(state.error)


def test_a_nodes_message_cannot_forge_or_flood_a_log() -> None:
    error = wire.from_history(
        failed_entry("ValueError", "a\n[worker] completed" + "x" * 9999)
    ).error
    assert error is not None
    assert "\n" not in error.message
    assert len(error.message) < 800


def test_an_error_message_counts_although_the_status_says_success() -> None:
    entry = failed_entry("ValueError", "late")
    entry["status"]["status_str"], entry["status"]["completed"] = "success", True
    assert wire.from_history(entry).status is RemoteStatus.FAILED


def test_completed_false_without_an_error_message_is_still_a_failure() -> None:
    assert wire.from_history(history_entry({}, status("error"))).status is RemoteStatus.FAILED


def test_an_interrupted_prompt_is_cancelled_and_not_failed() -> None:
    said = status("error", ("execution_interrupted", {"node_type": "KSampler"}))
    state = wire.from_history(history_entry({}, said))
    assert state.status is RemoteStatus.CANCELLED
    assert isinstance(state.error, Interrupted)


def test_an_error_of_an_earlier_run_under_the_same_id_is_passed_over() -> None:
    said = status("success", ("execution_error", {}), ("execution_start", {}))
    assert wire.from_history(history_entry(None, said)).status is RemoteStatus.DONE


def test_a_history_without_status_is_done() -> None:
    assert wire.from_history({"outputs": {"9": {"images": [saved()]}}}).files


# ---------------------------------------------------------------- jobs and queue


@pytest.mark.parametrize(
    ("said", "is_"),
    [
        ("pending", RemoteStatus.PENDING),
        ("in_progress", RemoteStatus.RUNNING),
        ("a_stage_of_the_future", RemoteStatus.RUNNING),
        ("completed", RemoteStatus.DONE),
        ("failed", RemoteStatus.FAILED),
        ("cancelled", RemoteStatus.CANCELLED),
    ],
)
def test_every_status_of_a_job_has_a_meaning(said: str, is_: RemoteStatus) -> None:
    assert wire.from_job({"status": said}).status is is_


def test_a_job_that_is_none_is_a_broken_service() -> None:
    with pytest.raises(ServiceBroken):
        wire.from_job({"hello": "world"})
    with pytest.raises(ServiceBroken):
        wire.from_queue({"hello": "world"}, "x")


def test_the_place_in_the_queue_counts_those_with_a_lower_number() -> None:
    queue = {
        "queue_running": [queue_item("r", 1)],
        "queue_pending": [queue_item("a", 5), queue_item("front", -7), queue_item("b", 6)],
    }
    found = {id: wire.from_queue(queue, id) for id in ("r", "front", "a", "b", "gone")}
    assert found["r"] == wire.RUNNING
    assert [found[id].queue_position for id in ("front", "a", "b")] == [1, 2, 3]  # type: ignore[union-attr]
    assert found["gone"] is None


# ---------------------------------------------------------------- files


def test_all_files_of_all_nodes_come_in_the_order_of_the_nodes() -> None:
    outputs = {
        "12": {"images": [saved("c"), saved("d")]},
        "9": {"images": [saved("b")]},
        "2:10": {"gifs": [saved("a2")]},
        "2:3": {"images": [saved("a1")], "animated": [True]},
    }
    assert [f.filename for f in wire.files(outputs)] == ["a1", "a2", "b", "c", "d"]
    assert [f.kind for f in wire.files(outputs)][1] == "gifs"


def test_a_video_is_a_file_wherever_its_node_lists_it() -> None:
    film = {"filename": "film.mp4", "subfolder": "video", "type": "output"}
    hers = film | {"format": "video/h264-mp4", "frame_rate": 6, "fullpath": "/srv/film.mp4"}
    for output in (
        {"images": [film], "animated": [True]},  # SaveVideo, SaveAnimatedWEBP
        {"gifs": [hers]},  # VideoHelperSuite
        {"video": [film]},
        {"text": ["a caption"], "videos": [film]},
    ):
        (file,) = wire.files({"3": {"images": [saved("still", "temp")]}, "9": output})
        assert (file.filename, file.subfolder, file.type) == ("film.mp4", "video", "output")


def test_previews_count_only_when_nothing_was_saved() -> None:
    preview = {"1": {"images": [saved("p", "temp")]}}
    assert [f.filename for f in wire.files(preview)] == ["p"]
    assert [f.filename for f in wire.files({**preview, "9": {"images": [saved("s")]}})] == ["s"]
    assert wire.files({"1": {"images": [saved("loaded", "input")]}}) == ()


def test_a_file_listed_twice_is_fetched_once() -> None:
    assert len(wire.files({"9": {"images": [saved()], "gifs": [saved()]}})) == 1


@pytest.mark.parametrize(
    "outputs",
    [
        None,
        [],
        "x",
        {"9": None},
        {"9": {"images": "x"}},
        {"9": {"images": [None, {}, {"filename": 3}]}},
    ],
)
def test_outputs_of_an_unknown_form_hold_no_files(outputs: Any) -> None:
    assert wire.files(outputs) == ()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["status", "messages", "outputs", "9", "images", "filename", "type", "nodes"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)
documents = st.dictionaries(st.sampled_from(["outputs", "status", "x"]), json_values)


@given(documents)
def test_no_history_entry_breaks_the_reader(entry: dict[str, Any]) -> None:
    wire.from_history(entry)


# ---------------------------------------------------------------- refusals


def not_in_list(name: str, value: str, config: Any = None) -> dict[str, Any]:
    return {
        "type": "value_not_in_list",
        "message": "Value not in list",
        "details": f"{name}: '{value}' not in (list of length 42)",
        "extra_info": {"input_name": name, "input_config": config, "received_value": value},
    }


def refused(**node_errors: tuple[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return {
        "error": {"type": "prompt_outputs_failed_validation", "message": "failed", "details": ""},
        "node_errors": {
            key.removeprefix("n"): {"class_type": name, "errors": errors, "dependent_outputs": []}
            for key, (name, errors) in node_errors.items()
        },
    }


def read(answer: dict[str, Any], info: ObjectInfo | None = INFO) -> RequestRejected:
    return rejection(answer, workflow=workflow(), info=info)


TOO_SMALL = {
    "type": "value_smaller_than_min",
    "message": "Value -5 smaller than min of 16",
    "details": "width",
    "extra_info": {"input_name": "width"},
}


@pytest.mark.parametrize(
    "config", [[["sd_xl.safetensors"], {}], ["COMBO", {"options": ["sd_xl.safetensors"]}]]
)
def test_a_missing_checkpoint_is_told_with_its_nearest_in_both_combo_shapes(config: Any) -> None:
    answer = refused(
        n4=("CheckpointLoaderSimple", [not_in_list("ckpt_name", "sd_xl_base.safetensors", config)])
    )
    error = read(answer, None)
    assert type(error) is MissingCheckpoint
    assert not needs_info(answer)
    assert "'sd_xl_base.safetensors'" in error.message
    assert "near it: sd_xl.safetensors" in error.message


def test_an_unknown_sampler_gets_its_near_matches_from_object_info() -> None:
    answer = refused(n3=("KSampler", [not_in_list("sampler_name", "euler_a")]))
    assert needs_info(answer)
    error = read(answer)
    assert type(error) is UnknownSampler
    assert "euler_ancestral" in error.message


def test_without_object_info_the_refusal_is_still_told() -> None:
    error = read(refused(n3=("KSampler", [not_in_list("scheduler", "karas")])), None)
    assert type(error) is UnknownSampler
    assert "'karas'" in error.message


def test_all_errors_of_all_nodes_stand_in_the_message() -> None:
    error = read(
        refused(
            n3=("KSampler", [not_in_list("sampler_name", "euler_a"), TOO_SMALL]),
            n5=("EmptyLatentImage", [TOO_SMALL]),
            n4=("CheckpointLoaderSimple", [not_in_list("ckpt_name", "none.ckpt")]),
        )
    )
    assert type(error) is MissingCheckpoint
    for part in (
        "KSampler (node 3)",
        "euler_a",
        "EmptyLatentImage (node 5): Value -5",
        "none.ckpt",
    ):
        assert part in error.message


def test_another_list_input_is_a_rejected_workflow_with_the_choices() -> None:
    config = [["nearest-exact", "bilinear"], {}]
    error = read(refused(n2=("ImageScale", [not_in_list("upscale_method", "?", config)])))
    assert type(error) is WorkflowRejected
    assert "it has nearest-exact, bilinear" in error.message


@pytest.mark.parametrize(
    "error",
    [
        {
            "type": "invalid_prompt",
            "message": "Cannot execute because node KSamplr does not exist.",
        },
        {"type": "missing_node_type", "message": "…", "extra_info": {"class_type": "KSamplr"}},
    ],
    ids=["0.3.64", "0.27"],
)
def test_all_missing_nodes_are_named_though_the_server_names_the_first(
    error: dict[str, Any],
) -> None:
    graph = {
        "1": {"class_type": "KSamplr", "inputs": {}},
        "2": {"class_type": "Other", "inputs": {}},
        "3": {"class_type": "SaveImage", "inputs": {}},
    }
    answer = {"error": error, "node_errors": {}}
    assert needs_info(answer)
    refusal = rejection(answer, workflow=graph, info=INFO)
    assert type(refusal) is MissingNode
    assert "KSamplr; near it: KSampler" in refusal.message
    assert "Other" in refusal.message
    assert "SaveImage" not in refusal.message
    assert "KSamplr" in rejection(answer, workflow=graph, info=None).message


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"type": "prompt_no_outputs", "message": "Prompt has no outputs"}},
        {"error": "Prompt has no outputs", "node_errors": []},
        {"error": None, "node_errors": {"3": {"errors": [{}]}}},
        {"error": {"type": 3}, "node_errors": {"3": None}},
        {},
    ],
)
def test_any_other_refusal_is_a_rejected_workflow(answer: dict[str, Any]) -> None:
    assert type(read(answer)) is WorkflowRejected
    assert read(answer).message


@given(st.dictionaries(st.sampled_from(["error", "node_errors"]), json_values))
def test_no_refusal_breaks_the_reader(answer: dict[str, Any]) -> None:
    needs_info(answer)
    assert isinstance(read(answer), RequestRejected)


# ---------------------------------------------------------------- choices


@pytest.mark.parametrize(
    ("declaration", "options"),
    [
        ([["a", "b"], {}], ["a", "b"]),
        ([["a"]], ["a"]),
        (["COMBO", {"options": ["a", 2]}], ["a", "2"]),
        (["COMFY_DYNAMICCOMBO_V3", {"options": [{"key": "a", "inputs": {}}]}], ["a"]),
        (["INT", {"min": 1}], []),
        (["COMBO"], []),
        (None, []),
    ],
)
def test_a_combo_is_read_in_all_its_shapes(declaration: Any, options: list[str]) -> None:
    assert choices(declaration) == options


def test_an_unknown_class_or_input_has_no_options() -> None:
    assert INFO.options("KSampler", "sampler_name")[0] == "euler"
    assert INFO.options("KSampler", "nothing") == []
    assert INFO.options("Nothing", "sampler_name") == []
    assert INFO.has("KSampler")
    assert not INFO.has("Nothing")


def test_near_matches_do_not_mind_the_case() -> None:
    assert nearest("SD_XL", ["sd_xl.safetensors", "flux"]) == []
    assert nearest("SD_XL.safetensors", ["flux", "sd_xl.safetensors"]) == ["sd_xl.safetensors"]


# ---------------------------------------------------------------- previews and progress


def preview_1(image: bytes = JPEG) -> bytes:
    return (1).to_bytes(4, "big") + (1).to_bytes(4, "big") + image


def preview_4(image: bytes = JPEG, metadata: Any = None) -> bytes:
    text = json.dumps({"prompt_id": "p"} if metadata is None else metadata).encode()
    return (4).to_bytes(4, "big") + len(text).to_bytes(4, "big") + text + image


def test_a_preview_is_read_from_both_binary_messages() -> None:
    plain, named = read_preview(preview_1(PNG)), read_preview(preview_4())
    assert plain is not None
    assert named is not None
    assert (plain.image, plain.prompt_id) == (PNG, None)
    assert (named.image, named.prompt_id) == (JPEG, "p")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0\0\0",
        b"\0\0\0\1",
        preview_1(b"no picture"),
        preview_4(b""),
        (4).to_bytes(4, "big") + (2**32 - 1).to_bytes(4, "big") + b"{}",
        (4).to_bytes(4, "big") + (2).to_bytes(4, "big") + b"{!" + JPEG,
        (3).to_bytes(4, "big") + b"\0\0\0\1" + b"3text",
    ],
)
def test_a_malformed_binary_message_is_no_preview(message: bytes) -> None:
    assert read_preview(message) is None


@given(st.binary(max_size=40))
def test_no_binary_message_breaks_the_reader(message: bytes) -> None:
    for kind in (b"", b"\0\0\0\1", b"\0\0\0\4"):
        read_preview(kind + message)


def node_state(state: str, value: float, maximum: float) -> dict[str, Any]:
    return {"state": state, "value": value, "max": maximum}


def test_a_sampler_step_moves_the_fraction_by_its_weight() -> None:
    progress = PromptProgress(workflow(steps=16))  # 16 steps and four other nodes: 20 in all
    progress.take("execution_cached", {"nodes": ["4"]})
    assert progress.current.fraction == pytest.approx(1 / 20)
    progress.take("executing", {"node": "3"})
    progress.take("progress", {"node": "3", "value": 8, "max": 16})
    now = progress.current
    assert now.fraction == pytest.approx(9 / 20)
    assert (now.step, now.steps, now.text) == (8, 16, "sampling")


def test_the_fraction_never_falls_and_never_reaches_the_end_by_itself() -> None:
    progress = PromptProgress(workflow(steps=4))
    seen = []
    for value in (1, 4, 2, 4):
        progress.take("progress_state", {"nodes": {"3": node_state("running", value, 4)}})
        seen.append(progress.current.fraction)
    everything = {id: node_state("finished", 1, 1) for id in workflow()}
    progress.take("progress_state", {"nodes": everything})
    assert seen == sorted(seen)
    assert progress.current.fraction == CEILING


def test_steps_of_a_scheduler_node_weigh_on_the_sampler_that_runs_them() -> None:
    graph = {
        "1": {"class_type": "BasicScheduler", "inputs": {"steps": 18}},
        "2": {"class_type": "SamplerCustomAdvanced", "inputs": {"latent_image": ["3", 0]}},
        "3": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
    }
    progress = PromptProgress(graph)
    progress.take("progress_state", {"nodes": {"1": node_state("finished", 1, 1)}})
    assert progress.current.fraction == pytest.approx(1 / 20)
    progress.take("progress_state", {"nodes": {"2": node_state("running", 9, 18)}})
    assert progress.current.fraction == pytest.approx(10 / 20)


def test_an_adopted_prompt_shows_progress_without_its_workflow() -> None:
    progress = PromptProgress()
    progress.take("executing", {"node": "3"})
    progress.take("progress", {"node": "3", "value": 10, "max": 20})
    assert 0.3 < progress.current.fraction < 0.6
    assert progress.current.step == 10


def test_nodes_that_an_expanding_node_made_do_not_count() -> None:
    progress = PromptProgress(workflow())
    progress.take("progress_state", {"nodes": {"9.0.1": node_state("finished", 1, 1)}})
    assert progress.current.fraction == 0.0


events = st.sampled_from(
    ["execution_start", "execution_cached", "executing", "executed", "progress", "progress_state"]
)
fields = st.dictionaries(
    st.sampled_from(["node", "nodes", "value", "max", "state"]), json_values, max_size=4
)


@given(st.lists(st.tuples(events, fields), max_size=5))
def test_no_event_breaks_the_progress_or_turns_it_back(told: list[tuple[str, Any]]) -> None:
    progress, last = PromptProgress(workflow()), 0.0
    for event, data in told:
        progress.take(event, data)
        now = progress.current
        assert last <= now.fraction <= CEILING
        last = now.fraction


# ---------------------------------------------------------------- recordings of real servers


def recording(name: str) -> Any:
    path = RECORDINGS / name
    if not path.exists():
        pytest.skip("the recordings are not here")
    return orjson.loads(path.read_bytes())


@pytest.mark.parametrize(
    ("name", "status", "error"),
    [
        ("history_ok", RemoteStatus.DONE, None),
        ("history_interrupted", RemoteStatus.CANCELLED, Interrupted),
        ("history_corrupt_ckpt", RemoteStatus.FAILED, CorruptModel),
    ],
)
def test_recorded_histories_are_read(name: str, status: RemoteStatus, error: Any) -> None:
    (entry,) = recording(f"comfyui/{name}.json").values()
    state = wire.from_history(entry)
    assert state.status is status
    assert (state.error is None) if error is None else (type(state.error) is error)
    assert bool(state.files) is (error is None)


def test_a_recorded_queue_is_read() -> None:
    queue = recording("comfyui/queue_two.json")
    running, pending = queue["queue_running"][0][1], queue["queue_pending"][0][1]
    assert wire.from_queue(queue, running) == wire.RUNNING
    assert wire.from_queue(queue, pending) == wire.RemoteState(
        RemoteStatus.PENDING, queue_position=1
    )


REFUSALS = {
    "missing ckpt": MissingCheckpoint,
    "bad sampler": UnknownSampler,
    "unknown node": MissingNode,
    "no outputs": WorkflowRejected,
    "no prompt": WorkflowRejected,
    "empty body": WorkflowRejected,
    "bad width": WorkflowRejected,
    "bad prompt_id": WorkflowRejected,
    "cycle or bad link": WorkflowRejected,
}


@pytest.mark.parametrize("name", ["comfyui/ws_and_http.json", "comfyui-0.27/conversation.json"])
def test_recorded_refusals_of_both_versions_have_their_kinds(name: str) -> None:
    answers = {m["name"]: m["body"] for m in recording(name) if m.get("status") == 400}
    assert len(answers) >= 6
    for called, body in answers.items():
        if called in REFUSALS:
            error = rejection(orjson.loads(body), workflow={}, info=INFO)
            assert type(error) is REFUSALS[called], called


@pytest.mark.parametrize("name", ["comfyui/object_info.json", "builder/object_info_0.27.0.json"])
def test_recorded_object_infos_of_both_versions_give_the_samplers(name: str) -> None:
    info = ObjectInfo(recording(name))
    assert "euler_ancestral" in info.options("KSampler", "sampler_name")
    assert "karras" in info.options("KSampler", "scheduler")
    assert "euler_ancestral" in nearest("euler_a", info.options("KSampler", "sampler_name"))


def test_recorded_jobs_of_0_27_are_read() -> None:
    jobs = {
        m["name"]: orjson.loads(m["body"])
        for m in recording("comfyui-0.27/conversation.json")
        if m.get("http", "").startswith("GET /api/jobs/")
        and m["status"] == 200
        and m["body"].endswith("}")  # the longest body was cut when it was recorded
    }
    states = {name: wire.from_job(job) for name, job in jobs.items()}
    assert states["job ok"].files[0].filename == "rec27_00001_.png"
    assert states["job in progress"] == wire.RUNNING
    assert states["job pending"].status is RemoteStatus.PENDING
    assert states["job cancelled"].status is RemoteStatus.CANCELLED


def test_a_recorded_conversation_gives_honest_progress_and_previews() -> None:
    progress, seen, previews = PromptProgress(), [], 0
    for message in recording("comfyui/ws_with_previews.json"):
        if "text" in message:
            progress.take(message["text"]["type"], message["text"]["data"])
            seen.append(progress.current)
        elif (preview := read_preview(bytes.fromhex(message["binary_hex"]))) is not None:
            assert preview.prompt_id
            previews += 1
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    assert [p.step for p in seen if p.step] == sorted(p.step for p in seen if p.step)
    assert max(p.step or 0 for p in seen) == 3
    assert previews == 3
