"""Files to sockets by the kernel alone: the ASGI extension `http.response.zerocopysend`.

No byte passes through this process, so a download costs it no memory and next to no time, however slow its
reader.
"""

import asyncio
import os
import select
import socket
import time
from contextlib import suppress

from anyio import CapacityLimiter, to_thread

#: The extension's name, and the type of its message: `file` (open, binary), `offset`, `count`. It is the last
#: of its response.
ZERO_COPY = "http.response.zerocopysend"

#: After so long a turn in a thread ends, so that no reader keeps the thread.
_TURN_SECONDS = 0.1
#: Sent by one call at the most, so that a turn can end.
_AT_ONCE = 16 << 20
#: What a thread waits for a reader before it goes on with another: a fast one is ready again by then.
_POLL_MS = 2
#: Not the threads of requests: neither may keep the other waiting.
_THREADS = CapacityLimiter(8)


class FileSender:
    """One part of a file on its way into a socket.

    `left` are the bytes that the kernel has not taken yet.
    """

    def __init__(self, sock: socket.socket, file: int, offset: int, count: int) -> None:
        # A descriptor of its own: whatever becomes of the connection, its number cannot be somebody else's
        # while a thread still sends.
        self._socket = os.dup(sock.fileno())
        self._file = file
        self._offset = offset
        self.left = count
        self._stopped = False
        self._writable: asyncio.Future[None] | None = None

    async def send(self) -> None:
        """Until all is sent, or `stop` is called.

        Raises:
            OSError: the connection is gone, or the file cannot be read, or not to that end.
        """
        try:
            while self.left and not self._stopped:
                if await self._turn():
                    await self._until_writable()
        finally:
            os.close(self._socket)

    @property
    def waiting(self) -> int:
        """Bytes that wait for the reader, and not for this server."""
        return self.left if self._writable is not None else 0

    def stop(self) -> None:
        """The connection is lost."""
        self._stopped = True
        self._wake()

    async def _turn(self) -> bool:
        """Whether the socket takes no more for now. In a thread: the disk may be slow."""
        turn = asyncio.ensure_future(to_thread.run_sync(self._send_some, limiter=_THREADS))
        try:
            return await asyncio.shield(turn)
        except asyncio.CancelledError:
            # The thread still uses both descriptors: closed now, their numbers could be somebody else's.
            self._stopped = True
            with suppress(OSError):
                await turn
            raise

    def _send_some(self) -> bool:
        writable = select.poll()
        writable.register(self._socket, select.POLLOUT)
        until = time.monotonic() + _TURN_SECONDS
        while self.left and not self._stopped and time.monotonic() < until:
            try:
                sent = os.sendfile(self._socket, self._file, self._offset, min(self.left, _AT_ONCE))
            except BlockingIOError:
                if not writable.poll(_POLL_MS):
                    return True
                continue
            if sent == 0:
                raise OSError(f"the file ends {self.left} bytes too early")
            self._offset += sent
            self.left -= sent
        return False

    async def _until_writable(self) -> None:
        loop = asyncio.get_running_loop()
        self._writable = loop.create_future()
        loop.add_writer(self._socket, self._wake)
        try:
            if not self._stopped:
                await self._writable
        finally:
            loop.remove_writer(self._socket)
            self._writable = None

    def _wake(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
