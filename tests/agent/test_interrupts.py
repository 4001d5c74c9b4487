"""What interrupts the current work of a running loop, and when it is noticed."""

import asyncio

import pytest

from agent.interrupts import InterruptWatcher, WorkInterruptedError


class Cancellation:
    """Whether the execution was cancelled, and how often that was checked."""

    def __init__(self) -> None:
        self.is_requested = False
        self.checks = 0
        self.was_checked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def check(self) -> bool:
        self.checks += 1
        is_requested = self.is_requested
        self.was_checked.set()
        await self.may_answer.wait()
        return is_requested


async def work_until_interrupted(
    interrupts: InterruptWatcher, cancellation: Cancellation, *, until: float | None = None
) -> None:
    """Work that only an interruption ends."""
    with pytest.raises(WorkInterruptedError):
        async with interrupts.interruptible(until=until, must_stop=cancellation.check):
            await asyncio.Event().wait()


async def test_a_wake_interrupts_if_the_check_requires_it() -> None:
    interrupts, cancellation = InterruptWatcher(), Cancellation()
    work = asyncio.create_task(work_until_interrupted(interrupts, cancellation))
    await asyncio.sleep(0)
    interrupts.wake()
    await cancellation.was_checked.wait()
    assert not work.done()
    cancellation.is_requested = True
    interrupts.wake()
    await work


async def test_a_wake_before_the_work_is_checked() -> None:
    interrupts, cancellation = InterruptWatcher(), Cancellation()
    interrupts.wake()
    cancellation.is_requested = True
    await work_until_interrupted(interrupts, cancellation)


async def test_a_wake_during_a_check_causes_another_check() -> None:
    interrupts, cancellation = InterruptWatcher(), Cancellation()
    cancellation.may_answer.clear()
    work = asyncio.create_task(work_until_interrupted(interrupts, cancellation))
    await asyncio.sleep(0)
    interrupts.wake()
    await cancellation.was_checked.wait()
    cancellation.is_requested = True
    interrupts.wake()
    cancellation.may_answer.set()
    await work
    assert cancellation.checks == 2


async def test_a_failed_check_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.interrupts.RECHECK_SECONDS", 0.001)
    interrupts = InterruptWatcher()
    failed = asyncio.Event()

    async def check() -> bool:
        if failed.is_set():
            return True
        failed.set()
        raise OSError

    async def work() -> None:
        async with interrupts.interruptible(until=None, must_stop=check):
            interrupts.wake()
            await asyncio.Event().wait()

    with pytest.raises(WorkInterruptedError):
        await work()


async def test_the_time_limit_interrupts() -> None:
    now = asyncio.get_running_loop().time()
    await work_until_interrupted(InterruptWatcher(), Cancellation(), until=now + 0.01)
    await work_until_interrupted(InterruptWatcher(), Cancellation(), until=now - 1)


async def test_draining_interrupts_only_at_its_end() -> None:
    interrupts, cancellation = InterruptWatcher(), Cancellation()
    work = asyncio.create_task(work_until_interrupted(interrupts, cancellation))
    await asyncio.sleep(0)
    interrupts.drain()
    await asyncio.sleep(0)
    assert not work.done()
    interrupts.interrupt()
    await work
    assert cancellation.checks == 0


async def test_a_timeout_of_the_work_itself_is_raised_unchanged() -> None:
    with pytest.raises(TimeoutError):
        async with InterruptWatcher().interruptible(until=None, must_stop=Cancellation().check):
            raise TimeoutError
