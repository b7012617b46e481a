"""The ledger: what is written stays, what a crash tears is set aside, and nobody spends the same money twice."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from lengths import LONG

from orchestrator.errors import BudgetExceeded, DiskFull, StoreBusy
from orchestrator.files import Disk
from orchestrator.ledger import Ledger, Purchase
from orchestrator.locks import KernelLock
from orchestrator.spending import Budget

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
TODAY = "2026-11-22"
SIX = Decimal("0.06")
DOLLAR = Budget(per_day=Decimal("1.00"))


class Clock:
    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at


def purchase(key: str = "j.1-1", usd: str = "0.06", **fields: Any) -> Purchase:
    said: dict[str, Any] = {"job": "j", "fence": 1, "backend": "flux", "model": "ultra", **fields}
    return Purchase(key=key, usd=Decimal(usd), **said)


def opened(folder: Path, **options: Any) -> Ledger:
    return Ledger(folder / "data" / "ledger.jsonl", **{"now": Clock(), **options})


def lines(ledger: Ledger) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in ledger.path.read_bytes().splitlines()]


# ------------------------------------------------------------------------------ a purchase


def test_a_purchase_is_reserved_then_charged_what_the_service_says(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.reserve(purchase(), budget=DOLLAR)
    assert ledger.totals().reserved_on(TODAY) == SIX
    ledger.charge(purchase(), Decimal("0.07"))
    said = ledger.totals()
    assert (said.spent, said.reserved) == ({(TODAY, "flux"): Decimal("0.07")}, {})
    assert [(line["event"], line["usd"]) for line in lines(ledger)] == [
        ("reserved", "0.06"),
        ("charged", "0.07"),
    ]


def test_a_service_that_does_not_say_its_price_is_charged_as_estimated(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.reserve(purchase(), budget=DOLLAR)
    ledger.charge(purchase(usd="0"), None)
    assert ledger.totals().spent_on(TODAY) == SIX


def test_what_was_not_bought_is_free_again(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.reserve(purchase(), budget=DOLLAR)
    ledger.release("j.1-1")
    ledger.release("j.1-1")
    ledger.release("never heard of")
    assert ledger.totals().reserved == {}
    assert len(lines(ledger)) == 2


def test_nothing_is_charged_twice_and_a_late_charge_counts_after_a_release(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.reserve(purchase(), budget=DOLLAR)
    ledger.release("j.1-1")
    for _ in range(3):
        ledger.charge(purchase(), SIX)
    assert ledger.totals().spent_on(TODAY) == SIX
    assert ledger.totals().pictures == {(TODAY, "flux"): 1}
    assert len(lines(ledger)) == 3


def test_a_correction_replaces_what_was_written_down(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.charge(purchase("a"), SIX)
    ledger.reserve(purchase("b"), budget=DOLLAR)
    ledger.correct(purchase("a"), Decimal("0.05"))
    ledger.correct(purchase("b"), Decimal(0))
    ledger.correct(purchase("b"), Decimal(0))
    said = ledger.totals()
    assert (said.spent_on(TODAY), said.reserved) == (Decimal("0.05"), {})
    assert said.pictures == {(TODAY, "flux"): 1}
    assert len(lines(ledger)) == 4


def test_a_purchase_belongs_to_the_day_on_which_it_was_reserved(tmp_path: Path) -> None:
    clock = Clock()
    clock.at = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
    ledger = opened(tmp_path, now=clock)
    ledger.reserve(purchase(usd="0.96"), budget=DOLLAR)
    with pytest.raises(BudgetExceeded):
        ledger.reserve(purchase("k"), budget=DOLLAR)
    clock.at += timedelta(seconds=1)  # a new day
    ledger.reserve(purchase("k", usd="1.00"), budget=DOLLAR)
    ledger.charge(purchase(), Decimal("0.96"))
    said = ledger.totals()
    assert said.spent_on(TODAY) == Decimal("0.96")
    assert said.spent_on("2026-11-23") == 0
    assert said.reserved_on("2026-11-23") == 1


# ------------------------------------------------------------------------------ the budget


def test_a_budget_of_one_dollar_lets_exactly_16_ultra_pictures_through(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    for number in range(16):
        ledger.reserve(purchase(f"j.{number}"), budget=DOLLAR)
    with pytest.raises(BudgetExceeded) as caught:
        ledger.reserve(purchase("j.17"), budget=DOLLAR)
    assert "$0.96 are under way" in caught.value.message


def test_24_threads_with_two_ledgers_do_not_exceed_the_budget_by_a_cent(tmp_path: Path) -> None:
    ledgers = [opened(tmp_path), opened(tmp_path)]
    barrier = threading.Barrier(24)

    def buy(number: int) -> bool:
        barrier.wait()
        try:
            ledgers[number % 2].reserve(purchase(f"j.{number}"), budget=DOLLAR)
        except BudgetExceeded:
            return False
        return True

    with ThreadPoolExecutor(24) as pool:
        passed = sum(pool.map(buy, range(24)))
    assert passed == 16
    for ledger in ledgers:
        assert ledger.totals().reserved_on(TODAY) == Decimal("0.96")


def _buy_many(path: Path, process: int) -> None:
    ledger = Ledger(path, now=Clock())
    for number in range(40):
        one = purchase(f"{process}.{number}")
        try:
            ledger.reserve(one, budget=Budget(per_day=Decimal("5.00")))
        except BudgetExceeded:
            os._exit(0)
        ledger.charge(one, SIX)
    os._exit(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_processes_that_buy_at_once_do_not_exceed_the_budget(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=_buy_many, args=(path, number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    said = Ledger(path, now=Clock()).totals()
    assert said.spent_on(TODAY) == Decimal("4.98")  # 83 pictures
    assert (said.reserved, said.damaged) == ({}, 0)


def test_a_lock_that_another_holds_for_too_long_is_told(tmp_path: Path) -> None:
    ledger = opened(tmp_path, wait_s=0.05)
    ledger.charge(purchase(), SIX)
    lock = KernelLock(ledger.path.with_suffix(".lock"))
    assert lock.try_acquire()
    with pytest.raises(StoreBusy):
        ledger.reserve(purchase("k"), budget=DOLLAR)
    assert ledger.totals().spent_on(TODAY) == SIX  # readers need no lock
    lock.release()
    ledger.reserve(purchase("k"), budget=DOLLAR)


# ------------------------------------------------------------------------------ crashes


def test_every_way_of_tearing_the_last_line_is_set_aside_and_the_rest_stays(
    tmp_path: Path,
) -> None:
    ledger = opened(tmp_path)
    ledger.charge(purchase("a"), SIX)
    whole = ledger.path.read_bytes()
    ledger.reserve(purchase("b"), budget=DOLLAR)
    line = ledger.path.read_bytes()[len(whole) :]
    for cut in range(1, len(line)):
        ledger.path.write_bytes(whole + line[:cut])
        torn = ledger.path.with_suffix(".torn")
        torn.unlink(missing_ok=True)
        after = opened(tmp_path)
        assert after.totals().spent_on(TODAY) == SIX
        after.reserve(purchase("c"), budget=DOLLAR)
        assert torn.read_bytes() == line[:cut] + b"\n"
        said = opened(tmp_path).totals()
        assert (list(said.reserved), said.spent_on(TODAY), said.damaged) == (["c"], SIX, 0)


def test_a_line_that_makes_no_sense_is_counted_and_stops_nothing(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.charge(purchase("a"), SIX)
    good = ledger.path.read_bytes().splitlines()[0]
    said = orjson.loads(good)
    bad = [
        b"\0" * 50,
        b"{}",
        b"[]",
        orjson.dumps({**said, "key": "x", "usd": "NaN"}),
        orjson.dumps({**said, "key": "x", "usd": "-1"}),
        orjson.dumps({**said, "key": "x", "usd": "many"}),
        orjson.dumps({**said, "key": ["x"]}),
        orjson.dumps({**said, "key": "x", "day": 7}),
        orjson.dumps({**said, "key": "x", "event": "reserved", "fence": "y"}),
        orjson.dumps({"key": "x", "event": "reserved", "usd": "1", "day": "d", "backend": "b"}),
        orjson.dumps({**said, "key": "x", "event": "stolen"}),
    ]
    ledger.path.write_bytes(b"\n".join([*bad, good, b""]))
    read = opened(tmp_path).totals()
    assert (read.damaged, read.spent_on(TODAY)) == (len(bad), SIX)


class FullDisk(Disk):
    """Takes half of what is written, and then no more."""

    def __init__(self) -> None:
        self.is_full = False

    def append(self, path: Path | str, data: bytes) -> None:
        if self.is_full:
            super().append(path, data[:0])
            raise OSError(errno.ENOSPC, "full")
        super().append(path, data)


def test_on_a_full_disk_nothing_may_be_bought(tmp_path: Path) -> None:
    disk = FullDisk()
    ledger = opened(tmp_path, disk=disk)
    ledger.charge(purchase("a"), SIX)
    disk.is_full = True
    with pytest.raises(DiskFull):
        ledger.reserve(purchase("b"), budget=DOLLAR)
    assert ledger.totals().reserved == {}
    disk.is_full = False
    ledger.reserve(purchase("b"), budget=DOLLAR)
    assert list(opened(tmp_path).totals().reserved) == ["b"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")
def test_half_a_line_that_the_disk_took_is_cut_off_again(tmp_path: Path) -> None:
    limit = 200

    def grow() -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            Disk().append(tmp_path / "file", b"x" * 150)
            Disk().append(tmp_path / "file", b"y" * 150)
        except OSError:
            os._exit(7)
        os._exit(0)

    child = multiprocessing.get_context("fork").Process(target=grow)
    child.start()
    child.join()
    assert child.exitcode == 7
    assert (tmp_path / "file").read_bytes() == b"x" * 150


def _die_somewhere(path: Path) -> None:
    ledger = Ledger(path, now=Clock())
    for number in range(100_000):
        one = purchase(f"{os.getpid()}.{number}")
        ledger.reserve(one, budget=Budget(per_day=Decimal(10**6)))
        ledger.charge(one, SIX)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_killed_writers_leave_at_most_one_purchase_open_each_and_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    fork = multiprocessing.get_context("fork")
    for number in range(6):
        child = fork.Process(target=_die_somewhere, args=(path,))
        child.start()
        before = path.stat().st_size if path.exists() else 0
        while not path.exists() or path.stat().st_size <= before + 150 * number:
            time.sleep(0.001)
        child.kill()
        child.join()
    ledger = Ledger(path, now=Clock(), wait_s=1.0)
    ledger.reserve(purchase("last"), budget=Budget(per_day=Decimal(10**6)))
    said = ledger.totals()
    assert said.damaged == 0
    assert len(said.reserved) <= 7
    charged = sum(line["event"] == "charged" for line in lines(ledger))
    assert said.spent_on(TODAY) == charged * SIX
    assert charged > 0


# ------------------------------------------------------------------------------ reading


def test_another_process_s_lines_are_seen_at_the_next_look(tmp_path: Path) -> None:
    writer, reader = opened(tmp_path), opened(tmp_path)
    assert reader.is_new()
    for number in range(5):
        writer.charge(purchase(f"j.{number}"), SIX)
        assert reader.totals().spent_on(TODAY) == (number + 1) * SIX
    assert not reader.is_new()


def test_a_ledger_that_was_removed_begins_anew(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.charge(purchase(), SIX)
    ledger.path.unlink()
    assert ledger.totals().spent == {}
    ledger.charge(purchase(), SIX)
    assert ledger.totals().spent_on(TODAY) == SIX


def test_what_was_spent_is_told_by_day_and_backend_newest_first(tmp_path: Path) -> None:
    clock = Clock()
    ledger = opened(tmp_path, now=clock)
    ledger.charge(purchase("a"), SIX)
    ledger.charge(purchase("b", backend="flux-2-klein-4b"), Decimal("0.014"))
    clock.at += timedelta(days=1)
    ledger.charge(purchase("c"), SIX)
    ledger.reserve(purchase("d"), budget=DOLLAR)
    said = ledger.spending(DOLLAR, credits=Decimal("12.5"))
    assert said.rows() == [
        {"day": "2026-11-23", "backend": "flux", "usd": 0.06, "pictures": 1},
        {"day": "2026-11-22", "backend": "flux", "usd": 0.06, "pictures": 1},
        {"day": "2026-11-22", "backend": "flux-2-klein-4b", "usd": 0.014, "pictures": 1},
    ]
    document = said.document()
    assert document["leftToday"] == "0.88"
    assert document["spentInAll"] == "0.134"
    assert document["credits"] == "12.5"
    assert [each["key"] for each in document["undecided"]] == ["d"]


def test_100_000_lines_would_be_summed_in_a_second(tmp_path: Path) -> None:
    """20,000 in a fifth of it here, all of them in the long form."""
    number = 50_000 if LONG else 10_000
    ledger = opened(tmp_path)
    bills = [
        (purchase(f"{n:036d}.1-1", day=f"2026-11-{n % 28 + 1:02d}", backend=f"flux-{n % 5}"), SIX)
        for n in range(number)
    ]
    ledger.charge_all(bills)
    charged = ledger.path.read_bytes()
    ledger.path.write_bytes(charged.replace(b'"charged"', b'"reserved"') + charged)
    best = min(_read_s(tmp_path) for _ in range(3))
    assert best < number / 50_000, best
    assert opened(tmp_path).totals().spent_in_all() == number * SIX


def _read_s(folder: Path) -> float:
    began = time.process_time()  # our own work: what else the machine does meanwhile is not its
    opened(folder).totals()
    return time.process_time() - began
