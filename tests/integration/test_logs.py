"""Logging: JSON lines without keys, a file per process, the job named in every line about it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from lengths import LONG
from pydantic import SecretStr

from orchestrator import logs
from orchestrator.logs import writing
from orchestrator.paths import Paths
from orchestrator.settings import Settings
from orchestrator.testing import Engine, make_lab
from orchestrator.worker import Threads

LOG = logging.getLogger("orchestrator.test")


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[Paths]:
    found = Paths.init(tmp_path)
    found.create()
    yield found
    writing.take_down()


def documents(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


# ------------------------------------------------------------------------------ lines


def test_a_record_is_a_line_of_json_with_its_time_level_logger_and_extra_fields(
    paths: Paths,
) -> None:
    file = writing.set_up(paths, Settings(), name="worker")
    LOG.info("Job %s is done", 7, extra={"host": "gpu", "sizes": [1, 2.5, None]})
    LOG.debug("not at this level")
    (said,) = documents(file)
    assert list(said)[:4] == ["at", "level", "logger", "event"]
    assert said["at"].endswith("Z")
    assert (said["level"], said["logger"]) == ("info", "orchestrator.test")
    assert (said["event"], said["pid"]) == ("Job 7 is done", os.getpid())
    assert (said["host"], said["sizes"]) == ("gpu", [1, 2.5, None])


@pytest.mark.parametrize(("level", "lines"), [("DEBUG", 3), ("INFO", 2), ("ERROR", 1)])
def test_log_level_says_what_is_written(paths: Paths, level: str, lines: int) -> None:
    file = writing.set_up(paths, Settings(log_level=level), name="worker")
    LOG.debug("a")
    LOG.info("b")
    LOG.error("c")
    assert len(documents(file)) == lines


def test_text_from_outside_can_forge_neither_a_line_nor_a_field(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    file = writing.set_up(paths, Settings(), name="worker", screen=True)
    hostile = 'x\n{"at": "2026-11-22T10:00:00Z", "event": "forged"}\r\x1b[2J\u2028\u202e \ud800'
    LOG.warning(hostile, extra={"level": "forged", "at": "x", "event": "forged", hostile: hostile})
    try:
        raise ValueError(hostile)
    except ValueError:
        LOG.exception("It failed")
    first, second = documents(file)
    assert first["level"] == "warning"
    assert first["event"].isprintable()
    assert second["exception"].splitlines()[0] == "Traceback (most recent call last):"
    assert all(row.isprintable() for row in second["exception"].splitlines())
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert sum(line.startswith("20") for line in shown.splitlines()) == 2


def test_a_terminal_and_the_panel_show_the_same_readable_lines(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    writing.set_up(paths, Settings(), name="worker", screen=True)
    with logs.about("job-1"):
        LOG.info("One", extra={"host": "gpu"})
    try:
        raise KeyError("missing")
    except KeyError:
        LOG.exception("Two")
    shown = capsys.readouterr().err.splitlines()
    assert [line.text for line in logs.newest(paths)] == shown
    assert shown[0].endswith(" INFO orchestrator.test: One [job=job-1 host=gpu]")
    assert shown[2] == "    Traceback (most recent call last):"
    assert shown[-1] == "    KeyError: 'missing'"
    assert [line.text for line in logs.newest(paths, job="job-1")] == shown[:1]


def test_a_screen_that_a_service_manager_keeps_in_a_file_gets_nothing(
    paths: Paths, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(logs.SERVICE, "worker")
    file = writing.set_up(paths, Settings(), name="worker", screen=True)
    LOG.info("once")
    assert capsys.readouterr().err == ""
    assert len(documents(file)) == 1


def test_lines_of_json_and_lines_of_others_are_told_in_the_order_they_were_written(
    paths: Paths,
) -> None:
    file = writing.set_up(paths, Settings(), name="worker")
    LOG.info("second")
    LOG.info("third")
    (paths.logs / "engine.log").write_text("2020-01-01 10:00:00,000 INFO e: first\n")
    said = [line.text.rpartition(": ")[2] for line in logs.newest(paths)]
    assert said == ["first", "second", "third"]
    file.write_text('{"at": "nonsense", "event": "x"}\n{"at":[[[\n{"at": "x"\n')
    assert len(logs.tail(file)) == 3


def test_a_logger_of_structlog_comes_out_at_the_same_place(paths: Paths) -> None:
    import structlog

    file = writing.set_up(paths, Settings(bfl_api_key=SecretStr("sk-very-secret")), name="worker")
    structlog.stdlib.get_logger("orchestrator.plugin").info("hello", key_of="sk-very-secret", n=3)
    (said,) = documents(file)
    assert (said["event"], said["n"], said["key_of"]) == ("hello", 3, "****")


def test_a_record_that_cannot_be_formatted_is_lost_without_its_arguments(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    writing.set_up(paths, Settings(), name="worker")
    LOG.info("%d", "sk-very-secret")
    assert "sk-very" not in capsys.readouterr().err


# ------------------------------------------------------------------------------ which job


def test_lines_of_jobs_side_by_side_name_their_own_job_in_tasks_and_threads(paths: Paths) -> None:
    file = writing.set_up(paths, Settings(), name="worker")

    async def work(name: str, threads: ThreadPoolExecutor) -> None:
        with logs.about(name):
            loop = asyncio.get_running_loop()
            for _ in range(5):
                LOG.info("task of %s", name)
                await loop.run_in_executor(threads, LOG.info, f"thread of {name}")
                await asyncio.create_task(asyncio.sleep(0))

    async def story() -> None:
        with Threads(3) as threads:
            await asyncio.gather(*(work(f"job-{n}", threads) for n in range(4)))
        LOG.info("of no job")

    asyncio.run(story())
    *lines, last = documents(file)
    assert len(lines) == 40
    assert all(line["event"].endswith(f"of {line['job']}") for line in lines)
    assert "job" not in last


def test_a_task_that_outlives_its_job_names_none(paths: Paths) -> None:
    file = writing.set_up(paths, Settings(), name="worker")

    async def tell() -> None:
        LOG.info("still here")

    async def story() -> None:
        with logs.about("job-1"):
            await asyncio.create_task(tell(), context=logs.about_no_job())
            LOG.info("inside")

    asyncio.run(story())
    first, second = documents(file)
    assert "job" not in first
    assert second["job"] == "job-1"


def test_what_worker_and_connector_say_of_a_job_names_it(tmp_path: Path) -> None:
    def said(words: str) -> list[dict[str, Any]]:
        lines = documents(tmp_path / "logs" / "worker.log")
        return [line for line in lines if words in line["event"]]

    async def story() -> list[str]:
        async with Engine() as engine:
            with make_lab(tmp_path, comfy_url=engine.url) as lab:
                writing.set_up(lab.paths, lab.settings, name="worker")
                async with lab.worker():
                    jobs = [
                        lab.submit(
                            "a fox", params={"steps": 1, "width": 64, "height": 64, "seed": n}
                        )
                        for n in range(3)
                    ]
                    for job in jobs:
                        await lab.job(job.id).wait()
                    async with asyncio.timeout(10):  # it is said after it is so
                        while len(said("is done")) < len(jobs):
                            await asyncio.sleep(0.01)
                return [job.id for job in jobs]

    try:
        ids = asyncio.run(story())
    finally:
        writing.take_down()
    for job_id in ids:
        assert [line["job"] for line in said(job_id)] == [job_id]
    assert all("job" not in line for line in said("Worker"))
    shown = logs.newest(Paths.load(tmp_path / "paths.json"), job=ids[1])
    assert [ids[1] in line.text for line in shown] == [True]


# ------------------------------------------------------------------------------ files


def test_a_second_process_has_a_file_of_its_own_and_a_dead_one_leaves_its_name(
    paths: Paths,
) -> None:
    program = (
        "import sys, logging; from pathlib import Path; from orchestrator.logs import writing\n"
        "from orchestrator.paths import Paths; from orchestrator.settings import Settings\n"
        "file = writing.set_up(Paths.load(Path(sys.argv[1])), Settings(), name='worker')\n"
        "logging.getLogger('orchestrator').warning('here')\n"
        "print(file.name, flush=True)\n"  # when it stands there
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(paths.file)]
    with contextlib.ExitStack() as stack:
        living = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(2)
        ]
        names = [child.stdout.readline().strip() for child in living if child.stdout]
        assert sorted(names) == ["worker-2.log", "worker.log"]
        first = living[names.index("worker.log")]
        first.kill()
        first.wait()
        assert writing.set_up(paths, Settings(), name="worker").name == "worker.log"
    assert {line.file for line in logs.newest(paths)} == set(names)


def test_a_full_file_is_rotated_and_no_line_is_lost(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "MAX_BYTES", 2_000)
    file = writing.set_up(paths, Settings(), name="worker")
    for number in range(25):
        LOG.info("line %d", number)
    there = [file.with_name(f"{file.name}{end}") for end in (".3", ".2", ".1", "")]
    said = [line["event"] for each in there if each.exists() for line in documents(each)]
    assert said == [f"line {number}" for number in range(25)]
    assert all(each.stat().st_size <= 2_000 for each in there if each.exists())
    assert {each.name for each in logs.files(paths)} == {e.name for e in there if e.exists()}


def test_a_file_that_cannot_be_rotated_goes_on_and_no_line_is_lost(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(writing, "MAX_BYTES", 1_000)
    file = writing.set_up(paths, Settings(), name="worker")
    for number in (1, 2, 3):  # folders: as on Windows, where a reader has the file open, it fails
        file.with_name(f"worker.log.{number}").mkdir()
    for number in range(30):
        LOG.info("line %d", number)
    assert [line["event"] for line in documents(file)] == [f"line {n}" for n in range(30)]
    assert capsys.readouterr().err == ""


def test_a_folder_that_is_gone_costs_the_lines_and_nothing_else(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    for item in paths.logs.iterdir():
        item.unlink()
    paths.logs.rmdir()
    writing.set_up(paths, Settings(), name="worker")
    LOG.info("nowhere")
    assert "is lost" in capsys.readouterr().err


def test_set_up_twice_writes_each_line_once(paths: Paths) -> None:
    writing.set_up(paths, Settings(), name="worker")
    file = writing.set_up(paths, Settings(), name="worker")
    LOG.info("once")
    assert len(documents(file)) == 1
    assert file.name == "worker.log"


def test_a_line_costs_little(paths: Paths) -> None:
    writing.set_up(paths, Settings(bfl_api_key=SecretStr("sk-very-secret")), name="worker")
    began = time.perf_counter()
    for number in range(500):
        LOG.info("Job %s is tried again in %.1f s: %s", "a" * 36, 2.5, number)
    assert time.perf_counter() - began < 2


# ------------------------------------------------------------------------------ keys

PLANTED = {
    "BFL_API_KEY": 'bfl-"quoted"\\key-äß',
    "HF_TOKEN": "hf_PLANTEDplantedPLANTED",
    "ORCHESTRATOR_TOKEN": "planted+token/with=odd&letters",
    "COMFY_URL": "http://artist:pl4nted-pass@127.0.0.1:9/",
    "AWS_SECRET_ACCESS_KEY": "aws-planted-secret-of-others",
    "ORCHESTRATOR_TRANSLATE": "command:translate --key planted-translator-key",
}
BASIC = b64encode(b"artist:pl4nted-pass").decode()
PROGRAM = """
import asyncio, json, logging, os, sys, threading, urllib.parse
from orchestrator.lab import Lab
from orchestrator.logs import writing
log = logging.getLogger("orchestrator.planted")
with Lab.open() as lab:
    writing.set_up(lab.paths, lab.settings, name=sys.argv[1], screen=sys.argv[2] == "screen")
    env = dict(os.environ)
    log.warning("environment %s", env)
    log.warning("settings %r %s", lab.settings, lab.settings.model_dump())
    for name in ("BFL_API_KEY", "HF_TOKEN", "ORCHESTRATOR_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        key = env[name]
        log.error("plain %s", key)
        log.error(json.dumps({"deep": [{"value": key}]}))
        log.error(repr(key) + ascii(key))
        log.error("http://x/?q=" + urllib.parse.quote(key) + "&p=" + urllib.parse.quote_plus(key))
        log.error("x" * 3990 + key)
        log.error("extra", extra={"value": key, key: 1, "deep": {"a": [key, (key,), {key}]}, "b": key.encode()})
        log.error("headers", extra={"headers": {"X-Key": key}, "raw": [(b"x-key", key.encode())]})
        try:
            try:
                raise ValueError(key)
            except ValueError as error:
                raise RuntimeError("around " + key + "y" * 30_000) from error
        except RuntimeError as error:
            error.add_note(key)
            log.exception("caught")
        logging.getLogger("httpx").warning("GET %s", "http://user:" + urllib.parse.quote(key) + "@host/")
        logging.getLogger("asyncio").error(key)
        log.error("%d", key)
    log.error(env["COMFY_URL"])
    log.error("pl4nted-pass")
    log.error("Authorization: Basic " + os.environ["BASIC"])
    log.error("translate --key planted-translator-key")
    for unknown in ("unknown-bearer", "unknown-token", "unknown-x", "unknown-cookie", "unknown-url"):
        log.error({
            "unknown-bearer": "Authorization: Bearer unknown-bearer",
            "unknown-token": "GET /?token=unknown-token&x=1",
            "unknown-x": "{b'x-key': b'unknown-x'} [('x-key', 'unknown-x')]" + json.dumps('{"x-key": "unknown-x"}'),
            "unknown-cookie": "Cookie: session=unknown-cookie",
            "unknown-url": "https://me:unknown-url@host/path",
        }[unknown])
    log.error("by name", extra={"api_key": "unknown-field", "deep": {"Authorization": "unknown-field"}})
    thread = threading.Thread(target=lambda: (_ for _ in ()).throw(OSError(env["HF_TOKEN"])))
    thread.start()
    thread.join()
    async def dies():
        raise OSError(env["HF_TOKEN"])
    async def forgets():
        asyncio.ensure_future(dies())
        await asyncio.sleep(0.05)
    asyncio.run(forgets())
    raise ValueError("the end " + env["BFL_API_KEY"])
"""


@pytest.mark.parametrize("screen", ["screen", "none"] if LONG else ["screen"])
def test_planted_keys_reach_no_file_and_no_stream(tmp_path: Path, screen: str) -> None:
    paths = Paths.init(tmp_path)
    paths.create()
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM, "worker", screen],
        env={**os.environ, **PLANTED, "BASIC": BASIC, "ORCHESTRATOR_PATHS": str(paths.file)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 1
    written = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert (paths.logs / "worker.log") in written
    everything = {"stdout": said.stdout, "stderr": said.stderr, **written}
    assert b"the end ****" in said.stderr
    assert b"the end ****" in written[paths.logs / "worker.log"]
    documents(paths.logs / "worker.log")  # is still JSON
    secrets = [value for name, value in PLANTED.items() if name.isupper() and "_URL" not in name]
    secrets = [value.removeprefix("command:") for value in secrets]
    secrets += ["pl4nted-pass", BASIC]
    secrets += ["quoted", "PLANTEDplanted", "planted+token", "planted%2Btoken", "aws-planted"]
    secrets += [f"unknown-{name}" for name in ("bearer", "token", "x'", 'x"', "cookie", "url")]
    secrets += ["unknown-field"]
    for place, content in everything.items():
        text = content.decode("utf-8", "replace")
        for secret in secrets:
            assert secret not in text, (place, secret, text[text.index(secret) - 300 :][:400])
            assert json.dumps(secret)[1:-1] not in text, (place, secret)
