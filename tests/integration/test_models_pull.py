"""Downloads against a hub that breaks off, lies and refuses: what arrives is whole, or nothing does."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_fake import COMMIT, FakeHub, HubFault
from model_files import SD15, VAE, safetensors
from typer.testing import CliRunner, Result

from orchestrator.cli import app
from orchestrator.errors import (
    DiskFull,
    HubBroken,
    HubBusy,
    HubUnreachable,
    ModelBusy,
    ModelCorrupt,
    ModelExists,
    ModelForbidden,
    ModelGated,
    ModelNotFound,
    ModelUnknown,
    OrchestratorError,
    PathOutside,
)
from orchestrator.models import KNOWN, Known, Library, placing, verify
from orchestrator.models.download import Puller
from orchestrator.models.hub import Source
from orchestrator.paths import Paths
from orchestrator.settings import Settings

REPO, FILE = "lab/tiny", "m.safetensors"
NAME = f"{REPO}:{FILE}"
DATA = safetensors({**VAE, "decoder.mid.weight": (200_000,)}, fill=7)  # 400 kB
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as running:
        running.add(REPO, FILE, DATA)
        yield running


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "paths.json").write_text("{}")
    found = Paths.load(tmp_path / "paths.json")
    found.create()
    return found


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HF_TOKEN", "HF_ENDPOINT", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def puller(paths: Paths, hub: FakeHub, *, token: str | None = None, **options: Any) -> Puller:
    settings = Settings(hf_endpoint=hub.url, hf_token=token)
    return Puller(paths, settings, **{"pause": lambda _: None} | options)


def pulled(
    paths: Paths, hub: FakeHub, name: str = NAME, *, to: str | None = "vae", **options: Any
) -> Path:
    pulls = puller(paths, hub, **options)
    [wanted] = pulls.wanted(name, to=to)
    return pulls.pull(pulls.plan(wanted)).file.path


def part(paths: Paths) -> Path:
    return paths.hf_cache / "models--lab--tiny" / "blobs" / f"{DIGEST}.incomplete"


def test_a_model_arrives_whole_in_its_folder_and_in_hugging_faces_cache(
    paths: Paths, hub: FakeHub
) -> None:
    from huggingface_hub import try_to_load_from_cache

    target = pulled(paths, hub)
    assert target == paths.models_root / "vae" / FILE
    assert target.read_bytes() == DATA
    assert verify(target).is_whole
    cached = try_to_load_from_cache(REPO, FILE, cache_dir=paths.hf_cache)
    assert isinstance(cached, str)
    assert Path(cached).samefile(target)  # a link: the disk holds it once
    assert [entry.name for entry in Library(paths).files()] == [FILE]
    assert not part(paths).exists()


def test_a_second_pull_does_nothing_and_asks_nobody(paths: Paths, hub: FakeHub) -> None:
    target = pulled(paths, hub)
    asked, changed = len(hub.requests), target.stat()
    pulls = puller(paths, hub)
    [wanted] = pulls.wanted(NAME, to="vae")
    plan = pulls.plan(wanted)
    assert plan.is_present
    assert pulls.pull(plan).fetched_bytes == 0
    assert len(hub.requests) == asked
    assert target.stat() == changed


def test_the_folder_is_found_by_the_kind_of_model(paths: Paths, hub: FakeHub) -> None:
    hub.add("lab/checkpoint", "deep/down/c.safetensors", safetensors(SD15))
    assert pulled(paths, hub, to=None).parent.name == "vae"
    target = pulled(paths, hub, "lab/checkpoint:deep/down/c.safetensors", to=None)
    assert target == paths.models_root / "checkpoints" / "c.safetensors"


def test_a_repository_with_one_file_needs_no_name_of_it(paths: Paths, hub: FakeHub) -> None:
    assert pulled(paths, hub, REPO).name == FILE
    hub.add(REPO, "n.safetensors", DATA)
    with pytest.raises(ModelUnknown, match=r"m\.safetensors, n\.safetensors"):
        puller(paths, hub).wanted(REPO)


# ---------------------------------------------------------------- broken connections


def test_a_download_that_breaks_off_goes_on_where_it_was(paths: Paths, hub: FakeHub) -> None:
    hub.fail(HubFault(break_after=100_000), HubFault(break_after=150_000), HubFault(status=502))
    assert pulled(paths, hub).read_bytes() == DATA
    starts = [request.range for request in hub.downloads]
    assert starts == [None, "bytes=100000-", "bytes=250000-", "bytes=250000-"]
    assert hub.sent_bytes == len(DATA)  # not one byte twice


def test_pauses_grow_while_nothing_comes_and_start_again_when_something_does(
    paths: Paths, hub: FakeHub
) -> None:
    pauses: list[float] = []
    fault = HubFault(status=503)
    hub.fail(fault, fault, fault, HubFault(break_after=1000), fault)
    pulled(paths, hub, pause=pauses.append)
    assert pauses == [1.0, 2.0, 4.0, 1.0, 2.0]


def test_a_server_that_sends_nothing_is_given_up_and_what_came_is_kept(
    paths: Paths, hub: FakeHub
) -> None:
    hub.fail(HubFault(break_after=100_000), *[HubFault(break_after=0)] * 20)
    with pytest.raises(HubUnreachable, match="without a new byte"):
        pulled(paths, hub)
    assert part(paths).stat().st_size == 100_000
    assert not (paths.models_root / "vae" / FILE).exists()


def test_the_next_run_goes_on_where_the_last_one_gave_up(paths: Paths, hub: FakeHub) -> None:
    hub.fail(HubFault(break_after=100_000), *[HubFault(status=500)] * 5)
    with pytest.raises(HubBroken, match="500"):
        pulled(paths, hub)
    pulls = puller(paths, hub)
    [wanted] = pulls.wanted(NAME, to="vae")
    plan = pulls.plan(wanted)
    assert (plan.have_bytes, plan.missing_bytes) == (100_000, len(DATA) - 100_000)
    assert pulls.pull(plan).file.path.read_bytes() == DATA
    assert hub.sent_bytes == len(DATA)


def test_a_server_without_ranges_starts_anew(paths: Paths, hub: FakeHub) -> None:
    hub.fail(HubFault(break_after=100_000), HubFault(no_ranges=True))
    assert pulled(paths, hub).read_bytes() == DATA


def test_a_server_that_answers_with_another_range_spoils_nothing(
    paths: Paths, hub: FakeHub
) -> None:
    hub.fail(HubFault(break_after=100_000), HubFault(wrong_range=True))
    assert pulled(paths, hub).read_bytes() == DATA


def test_an_address_that_has_run_out_is_asked_for_again(paths: Paths, hub: FakeHub) -> None:
    hub.fail(HubFault(break_after=100_000), HubFault(status=403))
    assert pulled(paths, hub).read_bytes() == DATA
    assert sum(request.method == "HEAD" for request in hub.requests) == 4


def test_a_hub_that_is_not_there_is_said_to_be_unreachable(paths: Paths) -> None:
    with FakeHub() as gone:
        pulls = puller(paths, gone)
    [wanted] = pulls.wanted(NAME, to="vae")
    with pytest.raises(HubUnreachable, match=r"127\.0\.0\.1"):
        pulls.plan(wanted)


def test_something_else_than_a_hub_is_recognised(paths: Paths, hub: FakeHub) -> None:
    hub.fail(HubFault(status=200, at_head=True))
    with pytest.raises(HubBroken, match="does not describe") as caught:
        pulled(paths, hub)
    assert "HF_ENDPOINT" in caught.value.remedy


# ---------------------------------------------------------------- wrong bytes


def test_wrong_bytes_never_arrive(paths: Paths, hub: FakeHub) -> None:
    hub.fail(HubFault(wrong_bytes=True))
    with pytest.raises(ModelCorrupt):
        pulled(paths, hub)
    assert not (paths.models_root / "vae" / FILE).exists()
    assert not part(paths).exists()
    assert pulled(paths, hub).read_bytes() == DATA


def test_a_damaged_beginning_is_found_out_and_fetched_anew(paths: Paths, hub: FakeHub) -> None:
    part(paths).parent.mkdir(parents=True)
    part(paths).write_bytes(bytes(100_000))  # what a power cut leaves
    assert pulled(paths, hub).read_bytes() == DATA


def test_a_beginning_longer_than_the_file_is_thrown_away(paths: Paths, hub: FakeHub) -> None:
    part(paths).parent.mkdir(parents=True)
    part(paths).write_bytes(DATA + b"more")
    assert pulled(paths, hub).read_bytes() == DATA


def test_a_file_that_was_published_damaged_is_not_put_among_the_models(
    paths: Paths, hub: FakeHub
) -> None:
    hub.add(REPO, "bad.safetensors", DATA[:-1])
    with pytest.raises(ModelCorrupt, match="cut off"):
        pulled(paths, hub, f"{REPO}:bad.safetensors")
    assert list((paths.models_root).rglob("*.safetensors")) == []


def test_a_mirror_with_another_file_than_the_known_one_is_refused(
    paths: Paths, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Known("Tiny", REPO, FILE, "vae", "MIT", size=5, sha256="0" * 64)
    monkeypatch.setitem(KNOWN, "tiny", known)
    with pytest.raises(ModelCorrupt, match="another"):
        pulled(paths, hub, "tiny", to=None)
    assert hub.downloads == []


def test_a_damaged_copy_is_replaced_and_a_good_one_of_another_model_is_not(
    paths: Paths, hub: FakeHub
) -> None:
    target = paths.models_root / "vae" / FILE
    target.parent.mkdir()
    target.write_bytes(DATA[:-1])
    assert pulled(paths, hub).read_bytes() == DATA
    target.write_bytes(safetensors(VAE))
    with pytest.raises(ModelExists):
        pulled(paths, hub)
    assert target.read_bytes() == safetensors(VAE)


def test_a_copy_of_the_right_length_with_other_bytes_is_replaced(
    paths: Paths, hub: FakeHub
) -> None:
    target = paths.models_root / "vae" / FILE
    target.parent.mkdir()
    target.write_bytes(DATA[:-1] + b"\xff")
    assert pulled(paths, hub).read_bytes() == DATA


def test_a_model_that_came_by_other_means_is_recognised(paths: Paths, hub: FakeHub) -> None:
    target = paths.models_root / "vae" / FILE
    target.parent.mkdir()
    target.write_bytes(DATA)
    pulled(paths, hub)
    assert hub.downloads == []


# ---------------------------------------------------------------- refusals


def test_a_gated_model_says_where_its_licence_is_accepted(paths: Paths, hub: FakeHub) -> None:
    hub.add("lab/gated", FILE, DATA, gated=True)
    with pytest.raises(ModelGated) as caught:
        pulled(paths, hub, f"lab/gated:{FILE}")
    assert "https://huggingface.co/lab/gated" in caught.value.remedy
    assert "HF_TOKEN" in caught.value.remedy


def test_a_token_opens_a_gated_model_and_does_not_follow_to_the_store(
    paths: Paths, hub: FakeHub
) -> None:
    hub.add("lab/gated", "g.safetensors", DATA + b"", gated=True)
    target = pulled(paths, hub, "lab/gated:g.safetensors", token=hub.token)
    assert target.read_bytes() == DATA
    assert all(request.token == hub.token for request in hub.requests if request.method == "HEAD")
    assert [request.token for request in hub.downloads] == [None]


def test_a_wrong_token_is_said_to_be_wrong_and_not_shown(paths: Paths, hub: FakeHub) -> None:
    with pytest.raises(ModelForbidden) as caught:
        pulled(paths, hub, token="hf_secret_of_mine")
    assert "hf_secret" not in repr(caught.value) + str(caught.value.__cause__) + caught.value.remedy


@pytest.mark.parametrize("name", ["lab/none:m.safetensors", "lab/tiny:none.safetensors"])
def test_what_does_not_exist_is_not_found(paths: Paths, hub: FakeHub, name: str) -> None:
    with pytest.raises(ModelNotFound):
        pulled(paths, hub, name)


def test_too_many_requests_are_waited_for_as_asked(paths: Paths, hub: FakeHub) -> None:
    pauses: list[float] = []
    hub.fail(HubFault(status=429, headers={"Retry-After": "7"}))
    pulled(paths, hub, pause=pauses.append)
    assert pauses == [7.0]


def test_too_many_requests_for_an_hour_end_the_pull(paths: Paths, hub: FakeHub) -> None:
    hub.fail(HubFault(status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(HubBusy, match="3600"):
        pulled(paths, hub)
    hub.fail(HubFault(status=429, at_head=True))
    with pytest.raises(HubBusy):
        pulled(paths, hub)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("sdx", ModelUnknown),
        ("lab/tiny:../../etc/passwd.safetensors", ModelUnknown),
        ("lab/tiny:a/..\\b.safetensors", ModelUnknown),
        ("lab/tiny:model.ckpt", ModelUnknown),
        ("../../x:y.safetensors", ModelUnknown),
        ("lab/-.-:y.safetensors", ModelNotFound),
    ],
)
def test_a_name_that_names_nothing_is_refused_before_anything_is_fetched(
    paths: Paths, hub: FakeHub, name: str, error: type[OrchestratorError]
) -> None:
    with pytest.raises(error):
        pulled(paths, hub, name)
    assert hub.requests == []


@pytest.mark.parametrize("to", ["../elsewhere", "/etc", "a/../../b", "C:\\x"])
def test_no_folder_outside_modelsroot_is_written_to(paths: Paths, hub: FakeHub, to: str) -> None:
    with pytest.raises(PathOutside):
        pulled(paths, hub, to=to)


# ---------------------------------------------------------------- disks


def test_a_disk_too_small_is_found_out_before_the_first_byte(paths: Paths, hub: FakeHub) -> None:
    with pytest.raises(DiskFull, match="are free there"):
        pulled(paths, hub, free=lambda _: 1000)
    assert hub.downloads == []


def test_a_model_for_another_disk_is_moved_there(tmp_path: Path, hub: FakeHub) -> None:
    here = tmp_path.stat().st_dev
    places = [place for place in map(Path, ("/dev/shm", "/var/tmp")) if place.is_dir()]
    elsewhere = next((place for place in places if place.stat().st_dev != here), None)
    if elsewhere is None:
        pytest.skip("no second disk here")
    with tempfile.TemporaryDirectory(dir=elsewhere) as other:
        (tmp_path / "paths.json").write_text(json.dumps({"modelsRoot": other}))
        paths = Paths.load(tmp_path / "paths.json")
        paths.create()
        target = pulled(paths, hub)
        assert target.read_bytes() == DATA
        assert target.is_relative_to(other)
        assert sum(p.stat().st_size for p in paths.hf_cache.rglob("*") if p.is_file()) < 1000
        pulls = puller(paths, hub)
        assert pulls.plan(pulls.wanted(NAME, to="vae")[0]).is_present


def test_a_disk_that_fills_up_meanwhile_keeps_what_has_arrived(paths: Paths, hub: FakeHub) -> None:
    pulls = puller(paths, hub)
    plan = pulls.plan(pulls.wanted(NAME, to="vae")[0])

    def fills_up(what: str, done: int, size: int) -> None:
        if done > 100_000:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFull) as caught:
        pulls.pull(plan, fills_up)
    assert "run the same command again" in caught.value.remedy
    assert part(paths).stat().st_size > 100_000
    assert pulled(paths, hub).read_bytes() == DATA


def test_of_two_processes_one_fetches_and_the_other_says_so(paths: Paths, hub: FakeHub) -> None:
    hub.fail(HubFault(slow_s=0.2))
    begun = threading.Event()
    pulls = puller(paths, hub)
    plan = pulls.plan(pulls.wanted(NAME, to="vae")[0])
    other = threading.Thread(target=lambda: pulls.pull(plan, lambda *_: begun.set()))
    other.start()
    try:
        assert begun.wait(20)
        with pytest.raises(ModelBusy):
            pulled(paths, hub)
    finally:
        other.join()
    assert pulled(paths, hub).read_bytes() == DATA


# ---------------------------------------------------------------- the command


def surroundings(paths: Paths, hub: FakeHub) -> dict[str, str]:
    return {"ORCHESTRATOR_PATHS": str(paths.file), "HF_ENDPOINT": hub.url, "COLUMNS": "200"}


def told(paths: Paths, hub: FakeHub, *arguments: str) -> Result:
    """What the command says when it has ended."""
    return CliRunner().invoke(
        app, ["models", "pull", *arguments], env=surroundings(paths, hub), catch_exceptions=False
    )


def call(paths: Paths, hub: FakeHub, *arguments: str) -> subprocess.Popen[str]:
    """The command as a process."""
    return subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "models", "pull", *arguments],
        cwd=paths.file.parent,
        env=os.environ | surroundings(paths, hub),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_killed_pull_is_resumed_by_the_next_one(paths: Paths, hub: FakeHub) -> None:
    hub.fail(HubFault(slow_s=0.3))
    killed = call(paths, hub, NAME, "--to", "vae", "--yes")
    deadline = time.monotonic() + 60
    while not part(paths).exists() or part(paths).stat().st_size < 60_000:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    have = part(paths).stat().st_size
    assert 0 < have < len(DATA)
    resumed = told(paths, hub, NAME, "--to", "vae", "--yes", "--json")
    assert resumed.exit_code == 0, resumed.stderr
    assert json.loads(resumed.stdout)["models"][0]["fetchedBytes"] == len(DATA) - have
    assert hub.downloads[-1].range == f"bytes={have}-"
    assert (paths.models_root / "vae" / FILE).read_bytes() == DATA


def test_the_command_shows_size_licence_and_free_space_and_asks_nobody_who_is_not_there(
    paths: Paths, hub: FakeHub
) -> None:
    asked = told(paths, hub, NAME)
    assert asked.exit_code == 2
    assert "401 kB" in asked.stderr
    assert "are free" in asked.stderr
    assert "--yes" in asked.stderr
    assert hub.downloads == []


def test_a_machine_that_is_told_to_stay_offline_is_told_so(
    paths: Paths, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = call(paths, hub, NAME, "--yes")  # it is read when a process starts
    _, problems = done.communicate(timeout=60)
    assert done.returncode == 1
    assert "HF_HUB_OFFLINE" in problems
    assert hub.requests == []


def test_settings_of_env_local_count(paths: Paths, hub: FakeHub) -> None:
    hub.add("lab/gated", "g.safetensors", DATA, gated=True)
    paths.env_file.write_text(f"HF_TOKEN={hub.token}\n")
    done = told(paths, hub, "lab/gated:g.safetensors", "--yes")
    assert done.exit_code == 0, done.stderr
    assert "g.safetensors is here" in done.stdout
    assert hub.token not in done.output


def test_a_failing_command_ends_with_1_and_the_remedy(paths: Paths, hub: FakeHub) -> None:
    failed = told(paths, hub, "lab/none:x.safetensors", "--yes")
    assert failed.exit_code == 1
    assert "no such" in failed.stderr
    assert "Traceback" not in failed.output


# ---------------------------------------------------------------- the known set


def test_the_known_set_is_sound() -> None:
    for name, known in KNOWN.items():
        assert known.file.endswith(".safetensors"), name
        assert known.sha256 is None or len(known.sha256) == 64
        assert all(need in KNOWN for need in known.needs)
        assert known.licence


def test_a_known_model_comes_with_what_it_needs(paths: Paths, hub: FakeHub) -> None:
    wanted = puller(paths, hub).wanted("SD35-medium")
    assert [w.folder for w in wanted] == ["checkpoints", *["text_encoders"] * 3]


def test_the_commit_of_a_pull_is_remembered(paths: Paths, hub: FakeHub) -> None:
    from orchestrator.models import Hashes

    target = pulled(paths, hub)
    assert Hashes(paths).source(target) == f"{REPO}@{COMMIT}:{FILE}"
    assert Hashes(paths).published(target) == DIGEST
    assert str(Source(REPO, FILE)) == NAME


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (66_857_836, "66.9 MB"), (6_938_078_334, "6.94 GB")],
)
def test_sizes_are_said_as_people_say_them(size: int, text: str) -> None:
    assert placing.size_text(size) == text
