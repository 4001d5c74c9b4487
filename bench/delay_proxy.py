"""A TCP proxy that delays every byte, as a network between two machines does.

`python -m bench.delay_proxy PORT DELAY_MS` forwards to that port of this machine, and prints
`{"port": N}` when it is ready. The delay is for each direction.
"""

import asyncio
import json
import sys

CHUNK = 65_536


async def _forward(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_seconds: float
) -> None:
    """Send what arrives after the delay, in order and without waiting for what came before."""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def send() -> None:
        while True:
            due, content = await arrived.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not content:
                writer.close()
                return
            writer.write(content)
            await writer.drain()

    sending = asyncio.create_task(send())
    try:
        while True:
            content = await reader.read(CHUNK)
            arrived.put_nowait((loop.time() + delay_seconds, content))
            if not content:
                break
    except ConnectionError:
        arrived.put_nowait((loop.time(), b""))
    await asyncio.gather(sending, return_exceptions=True)


async def main(port: int, delay_seconds: float) -> None:
    """Serve until the process ends."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(
            _forward(reader, there_writer, delay_seconds),
            _forward(there_reader, writer, delay_seconds),
        )

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]) / 1000))
