"""A network that breaks: a proxy that cuts connections after so many bytes in one direction."""

import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

_BLOCK = 1 << 14


class BreakingProxy:
    """Forwards connections to a port of this machine. `cuts` lists, for the next connections, after how many
    bytes each is closed, by direction (`up` to the server, `down` to the client); later ones are left alone.

    Attributes:
        stalls: instead of closing a connection, let nothing more through.
        received: bytes that came down.
        sent: bytes that went up.
        connections: how many there were.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts: list[tuple[str, int]] = []
        self.stalls = False
        self.sent = self.received = 0
        self.connections = 0
        self._ends: list[socket.socket] = []
        self._pumps: list[threading.Thread] = []
        self._counting = threading.Lock()

    def wait_until_at_rest(self) -> None:
        """Wait until every connection so far has ended, and what its client had sent has been passed on.

        Until then `sent` and `received` grow, also after the client was killed. Raises TimeoutError after a
        minute.
        """
        end = time.monotonic() + 60
        for pump in list(self._pumps):
            pump.join(max(0.0, end - time.monotonic()))
            if pump.is_alive():
                raise TimeoutError(f"a connection to {self.url} is still open after a minute")

    def cut(self) -> None:
        """Close every connection that there is."""
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                server = socket.create_connection(("127.0.0.1", self._target))
                self._ends += (client, server)
                side, after = self.cuts.pop(0) if self.cuts else ("", 0)
                for here, source, target in (("up", client, server), ("down", server, client)):
                    limit = after if side == here else None
                    pump = threading.Thread(
                        target=self._pump, args=(here, source, target, limit), daemon=True
                    )
                    pump.start()
                    self._pumps.append(pump)

    def _pump(self, here: str, source: socket.socket, target: socket.socket, limit: int | None) -> None:
        left = limit
        with suppress(OSError):
            while block := source.recv(_BLOCK if left is None else min(_BLOCK, left)):
                target.sendall(block)
                with self._counting:
                    if here == "up":
                        self.sent += len(block)
                    else:
                        self.received += len(block)
                if left is not None:
                    left -= len(block)
                    if left == 0 and self.stalls:
                        return
                    if left == 0:
                        break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
