"""A proxy before PostgreSQL that can lose the answer to a COMMIT, done and nobody knows, or fall silent."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.support.servers import free_port


class Proxy:
    """Listens on a port of its own until it is stopped."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._lock = threading.Lock()
        self._to_cut = 0
        self.passing = threading.Event()
        self.passing.set()
        self._listening = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def cut_commits(self, count: int) -> Iterator[None]:
        """The next COMMITs, whosever they are, reach the server; their answers do not come back.

        Raises:
            AssertionError: there was none.
        """
        with self._lock:
            self._to_cut = count
        try:
            yield
        finally:
            with self._lock:
                left, self._to_cut = self._to_cut, 0
        assert left < count, "no COMMIT was cut"

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Nothing passes in either direction, and no connection ends: what was sent comes later."""
        self.passing.clear()
        try:
            yield
        finally:
            self.passing.set()

    def stop(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):  # the end of listening
            while True:
                client, _ = self._listening.accept()
                _Connection(self, client, self._target)

    def wants(self, sent: bytes) -> bool:
        """Whether what a client sends is a COMMIT whose answer is to be lost."""
        if b"COMMIT" not in sent:
            return False
        with self._lock:
            if self._to_cut == 0:
                return False
            self._to_cut -= 1
            return True


class _Connection:
    def __init__(self, proxy: Proxy, client: socket.socket, target: int) -> None:
        self._proxy = proxy
        self._client = client
        self._mute = False
        try:
            self._server = socket.create_connection(("127.0.0.1", target))
        except OSError:
            client.close()
            return
        for one in (client, self._server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for work in (self._send, self._answer):
            threading.Thread(target=work, daemon=True).start()

    def _send(self) -> None:
        with suppress(OSError):
            while sent := self._client.recv(65536):
                if self._proxy.wants(sent):
                    self._mute = True
                self._proxy.passing.wait()
                self._server.sendall(sent)
        self._close()

    def _answer(self) -> None:
        with suppress(OSError):
            while (answer := self._server.recv(65536)) and not self._mute:
                self._proxy.passing.wait()
                self._client.sendall(answer)
        self._close()

    def _close(self) -> None:
        for one in (self._client, self._server):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
