"""Messages between the worker and its proxy."""

import asyncio
import socket

import pytest

from runtime.egress.namespace_sockets import MessageSender, receive_message

LARGE = "x" * 100_000


async def test_messages_wait_for_room_and_keep_their_order() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.setblocking(False)
        sender = MessageSender(ours)
        sending = [asyncio.create_task(sender.send([number, LARGE])) for number in range(10)]
        for number in range(10):
            assert await asyncio.to_thread(receive_message, theirs) == ([number, LARGE], [])
        await asyncio.gather(*sending)


async def test_a_message_that_waits_fails_when_the_socket_is_closed() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.setblocking(False)
        sender = MessageSender(ours)
        sending = [asyncio.create_task(sender.send(LARGE)) for _ in range(10)]
        await asyncio.sleep(0)
        sender.close()
        ours.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            await asyncio.gather(*sending)
