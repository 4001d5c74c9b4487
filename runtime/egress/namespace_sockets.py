"""Opens listening sockets inside the network namespaces of sandboxes.

A socket belongs to the namespace in which it was created, whichever process uses it. So the proxy
accepts connections from a sandbox without a program in the sandbox. A process can't leave a user
namespace again, so each socket is opened by a process of its own, the child of one that has no
threads.
"""

import array
import asyncio
import ctypes
import fcntl
import json
import os
import socket
from collections.abc import Sequence

from domain.web.network import PROXY_HOST, PROXY_PORT

_CLONE_NEWNET, _CLONE_NEWUSER = 0x40000000, 0x10000000
_NS_GET_USERNS = 0xB701
"""Returns the user namespace that owns a namespace (ioctl_nsfs(2))."""

_BACKLOG = 128
_MESSAGE_BYTES = 160 * 1024
"""The largest message is a full record of connections, 128 KB: its texts are short and ASCII. A
socket takes 208 KiB."""

_MAX_DESCRIPTORS = 4

_libc = ctypes.CDLL(None, use_errno=True)


def send_message(channel: socket.socket, message: object, descriptors: Sequence[int] = ()) -> None:
    """Send one JSON message with descriptors, on a socket that keeps messages apart."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors).tobytes())]
    channel.sendmsg([json.dumps(message).encode()], rights if descriptors else [])


def receive_message(channel: socket.socket) -> tuple[object, list[int]] | None:
    """Receive one message and its descriptors; None if the other side has closed.

    Raises:
        BlockingIOError: there is none yet, on a non-blocking socket.
    """
    size = socket.CMSG_SPACE(_MAX_DESCRIPTORS * array.array("i").itemsize)
    data, ancillary, _, _ = channel.recvmsg(_MESSAGE_BYTES, size, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            usable = len(content) - len(content) % descriptors.itemsize
            descriptors.frombytes(content[:usable])
    return (json.loads(data), list(descriptors)) if data else None


class MessageSender:
    """Sends messages on a non-blocking socket, one after the other. They wait if it is full."""

    def __init__(self, channel: socket.socket) -> None:
        """`channel` is closed by its owner, after this."""
        self._channel = channel
        self._turn = asyncio.Lock()
        self._has_room = asyncio.Event()

    async def send(self, message: object, descriptors: Sequence[int] = ()) -> None:
        """Send one message.

        Raises:
            OSError: the socket was closed.
        """
        async with self._turn:
            while True:
                try:
                    send_message(self._channel, message, descriptors)
                except BlockingIOError:
                    await self._wait_for_room()
                else:
                    return

    async def _wait_for_room(self) -> None:
        loop = asyncio.get_running_loop()
        self._has_room.clear()
        loop.add_writer(self._channel, self._has_room.set)
        try:
            await self._has_room.wait()
        finally:
            if self._channel.fileno() >= 0:
                loop.remove_writer(self._channel)

    def close(self) -> None:
        """Stop waiting for room, before the socket is closed."""
        if self._channel.fileno() >= 0:
            asyncio.get_running_loop().remove_writer(self._channel)
        self._has_room.set()


def start_opener(*unused: socket.socket) -> socket.socket:
    """Fork the process that opens sockets, before this one has threads. Return the channel to it.

    `unused` are sockets that the new process has to close.

    A request is any message with the descriptor of a network namespace. The answer is `{}` with a
    listening socket, or `{"error": text}`. The process ends with this one.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        for other in (ours, *unused):
            other.close()
        _answer_requests(theirs)
        os._exit(0)
    theirs.close()
    return ours


def _answer_requests(channel: socket.socket) -> None:
    while (received := receive_message(channel)) is not None:
        _, descriptors = received
        if (child := os.fork()) == 0:
            _answer_request(channel, descriptors[0])
            os._exit(0)
        os.waitpid(child, 0)
        for descriptor in descriptors:
            os.close(descriptor)


def _answer_request(channel: socket.socket, namespace: int) -> None:
    """Answer one request, in a process that ends afterwards."""
    try:
        listener = _listen_in(namespace)
    except OSError as error:
        send_message(channel, {"error": str(error)})
        return
    send_message(channel, {}, [listener.fileno()])


def _listen_in(namespace: int) -> socket.socket:
    owner = fcntl.ioctl(namespace, _NS_GET_USERNS)
    _enter(owner, _CLONE_NEWUSER)
    _enter(namespace, _CLONE_NEWNET)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((PROXY_HOST, PROXY_PORT))
    listener.listen(_BACKLOG)
    return listener


def _enter(namespace: int, kind: int) -> None:
    if _libc.setns(namespace, kind) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")
