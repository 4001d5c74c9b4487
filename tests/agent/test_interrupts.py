"""The ear of a running loop: what cuts the work in hand, and when it is noticed."""

import asyncio

import pytest

from agent.interrupts import InterruptWatcher, WorkInterruptedError


class Said:
    """Something that may have been said, and how often it was looked for."""

    def __init__(self) -> None:
        self.must_stop = False
        self.looks = 0
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def look(self) -> bool:
        self.looks += 1
        known = self.must_stop
        self.asked.set()
        await self.may_answer.wait()
        return known


async def cut(interrupts: InterruptWatcher, said: Said, *, until: float | None = None) -> None:
    """Work that only a cut ends."""
    with pytest.raises(WorkInterruptedError):
        async with interrupts.interruptible(until=until, must_stop=said.look):
            await asyncio.Event().wait()


async def test_a_bell_cuts_when_a_look_says_so() -> None:
    interrupts, said = InterruptWatcher(), Said()
    work = asyncio.create_task(cut(interrupts, said))
    await asyncio.sleep(0)
    interrupts.wake()
    await said.asked.wait()
    assert not work.done()
    said.must_stop = True
    interrupts.wake()
    await work


async def test_a_bell_that_rang_before_the_work_is_looked_after() -> None:
    interrupts, said = InterruptWatcher(), Said()
    interrupts.wake()
    said.must_stop = True
    await cut(interrupts, said)


async def test_what_is_said_during_a_look_is_looked_for_again() -> None:
    interrupts, said = InterruptWatcher(), Said()
    said.may_answer.clear()
    work = asyncio.create_task(cut(interrupts, said))
    await asyncio.sleep(0)
    interrupts.wake()
    await said.asked.wait()
    said.must_stop = True
    interrupts.wake()
    said.may_answer.set()
    await work
    assert said.looks == 2


async def test_a_look_that_fails_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.interrupts.RECHECK_SECONDS", 0.001)
    interrupts = InterruptWatcher()
    failed = asyncio.Event()

    async def look() -> bool:
        if failed.is_set():
            return True
        failed.set()
        raise OSError

    async def work() -> None:
        async with interrupts.interruptible(until=None, must_stop=look):
            interrupts.wake()
            await asyncio.Event().wait()

    with pytest.raises(WorkInterruptedError):
        await work()


async def test_time_cuts() -> None:
    now = asyncio.get_running_loop().time()
    await cut(InterruptWatcher(), Said(), until=now + 0.01)
    await cut(InterruptWatcher(), Said(), until=now - 1)


async def test_draining_cuts_only_in_the_end() -> None:
    interrupts, said = InterruptWatcher(), Said()
    work = asyncio.create_task(cut(interrupts, said))
    await asyncio.sleep(0)
    interrupts.drain()
    await asyncio.sleep(0)
    assert not work.done()
    interrupts.interrupt()
    await work
    assert said.looks == 0


async def test_a_time_out_of_the_work_itself_is_its_own() -> None:
    with pytest.raises(TimeoutError):
        async with InterruptWatcher().interruptible(until=None, must_stop=Said().look):
            raise TimeoutError
