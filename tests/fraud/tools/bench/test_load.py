"""What the load generator counts where a server ends connections."""

import asyncio
from pathlib import Path

import pytest

from fraud.tools.bench.load import Generator, Loaded, Plan

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"


class Server:
    """Answers, and ends each connection at its third request.

    Parameters
    ----------
    is_polite
        It answers the third request, and says that it ends the connection; else it ends it unanswered.
    """

    def __init__(self, *, is_polite: bool) -> None:
        self._is_polite = is_polite
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        for at in range(3):
            try:
                await reader.readuntil(b"\r\n\r\n{}")
            except asyncio.IncompleteReadError:  # the client has ended
                break
            if at < 2:
                writer.write(ANSWER + b"\r\n{}")
            elif self._is_polite:
                writer.write(ANSWER + b"connection: close\r\n\r\n{}")
        writer.close()


async def load(server: Server, bodies: Path) -> Loaded:
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        plan = Plan("127.0.0.1", port, "/", str(bodies), 0, rate=600.0, seconds=0.5, connections=4)
        return await Generator(plan).run()


@pytest.mark.parametrize("is_polite", [True, False])
def test_a_connection_that_the_server_ends_is_replaced(tmp_path: Path, *, is_polite: bool) -> None:
    server, bodies = Server(is_polite=is_polite), tmp_path / "bodies"
    bodies.write_text("{}\n")
    loaded = asyncio.run(load(server, bodies))
    assert loaded.sent == 300
    assert server.connections >= 100
    lost = loaded.statuses["lost"]
    assert loaded.statuses == {"200": 300 - lost, "lost": lost}
    assert (
        lost == 0 if is_polite else 300 - 4 * 2 <= 3 * lost <= 300
    )  # the last four may be asked twice at most
