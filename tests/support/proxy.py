"""A slow network: a proxy that lets only so many bytes through to the server."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_BLOCK = 1 << 16


class HoldingProxy:
    """Forwards connections to a port of this machine, but of what clients send only so many bytes."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._change = threading.Condition()
        self.allowed = 0
        self.sent = 0

    def allow(self, more: int) -> None:
        """Let `more` bytes through, from now on, whatever was allowed before."""
        with self._change:
            self.allowed = self.sent + more
            self._change.notify_all()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        self.allow(1 << 62)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    client.close()  # it is down
                    continue
                for pump, ends in ((self._up, (client, server)), (self._down, (server, client))):
                    threading.Thread(target=pump, args=ends, daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while block := client.recv(_BLOCK):
                with self._change:
                    self._change.wait_for(lambda: self.sent < self.allowed)
                    self.sent += len(block)
                server.sendall(block)
        _close(client, server)

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while block := server.recv(_BLOCK):
                client.sendall(block)
        _close(client, server)


def _close(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
