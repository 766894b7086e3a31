"""Files to sockets by the kernel alone: the ASGI extension `http.response.zerocopysend`.

No byte passes through this process, so a download costs it neither time nor memory, however slow its reader.
"""

import asyncio
import os
import select
import socket

from anyio import CapacityLimiter, to_thread

#: The extension's name, and the type of its message: `file` (open, binary), `offset`, `count`, `more_body`.
ZERO_COPY = "http.response.zerocopysend"

#: Sent in one turn in a thread at the most, so that a fast reader does not keep the thread.
_AT_ONCE = 16 << 20
#: What a thread waits for a reader before it goes on with another: a fast one is ready again by then.
_PATIENCE_MS = 2
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
                # In a thread: what is not in memory has to come from the disk.
                if await to_thread.run_sync(self._send_some, limiter=_THREADS):
                    await self._until_writable()
        finally:
            os.close(self._socket)

    def stop(self) -> None:
        """The connection is lost."""
        self._stopped = True
        self._wake()

    def _send_some(self) -> bool:
        """Returns whether the socket takes no more for now."""
        writable = select.poll()
        writable.register(self._socket, select.POLLOUT)
        least = max(0, self.left - _AT_ONCE)
        while self.left > least and not self._stopped:
            try:
                sent = os.sendfile(self._socket, self._file, self._offset, self.left - least)
            except BlockingIOError:
                if not writable.poll(_PATIENCE_MS):
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
