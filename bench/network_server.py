"""A server of the network case: prints its port; answers `/small`, and `/large` with 1 GiB."""

import socket
import threading

LARGE_BYTES = 1024**3
_CHUNK = bytes(1024**2)
_MOST = 64 * 1024


def main() -> None:
    """Serve until the process is ended."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            client, _ = server.accept()
            threading.Thread(target=_serve, args=(client,), daemon=True).start()


def _serve(client: socket.socket) -> None:
    with client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        left = LARGE_BYTES if b"/large" in client.recv(_MOST) else 2
        client.sendall(
            f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {left}\r\n\r\n".encode()
        )
        while left > 0:
            left -= client.send(_CHUNK[:left])


if __name__ == "__main__":
    main()
