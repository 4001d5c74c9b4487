"""The ear of a running loop: what cuts the work in hand, and when it is noticed."""

import asyncio

import pytest

from agent.attention import Attention, CutShortError


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


async def cut(attention: Attention, said: Said, *, until: float | None = None) -> None:
    """Work that only a cut ends."""
    with pytest.raises(CutShortError):
        async with attention.attending(until=until, look=said.look):
            await asyncio.Event().wait()


async def test_a_bell_cuts_when_a_look_says_so() -> None:
    attention, said = Attention(), Said()
    work = asyncio.create_task(cut(attention, said))
    await asyncio.sleep(0)
    attention.wake()
    await said.asked.wait()
    assert not work.done()
    said.must_stop = True
    attention.wake()
    await work


async def test_a_bell_that_rang_before_the_work_is_looked_after() -> None:
    attention, said = Attention(), Said()
    attention.wake()
    said.must_stop = True
    await cut(attention, said)


async def test_what_is_said_during_a_look_is_looked_for_again() -> None:
    attention, said = Attention(), Said()
    said.may_answer.clear()
    work = asyncio.create_task(cut(attention, said))
    await asyncio.sleep(0)
    attention.wake()
    await said.asked.wait()
    said.must_stop = True
    attention.wake()
    said.may_answer.set()
    await work
    assert said.looks == 2


async def test_a_look_that_fails_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.attention.LOOK_AGAIN_SECONDS", 0.001)
    attention = Attention()
    failed = asyncio.Event()

    async def look() -> bool:
        if failed.is_set():
            return True
        failed.set()
        raise OSError

    async def work() -> None:
        async with attention.attending(until=None, look=look):
            attention.wake()
            await asyncio.Event().wait()

    with pytest.raises(CutShortError):
        await work()


async def test_time_cuts() -> None:
    now = asyncio.get_running_loop().time()
    await cut(Attention(), Said(), until=now + 0.01)
    await cut(Attention(), Said(), until=now - 1)


async def test_draining_cuts_only_in_the_end() -> None:
    attention, said = Attention(), Said()
    work = asyncio.create_task(cut(attention, said))
    await asyncio.sleep(0)
    attention.drain()
    await asyncio.sleep(0)
    assert not work.done()
    attention.cut()
    await work
    assert said.looks == 0


async def test_a_time_out_of_the_work_itself_is_its_own() -> None:
    with pytest.raises(TimeoutError):
        async with Attention().attending(until=None, look=Said().look):
            raise TimeoutError
