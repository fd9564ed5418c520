"""Python `websockets` as a client: client.py URL"""

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

TEXTS = ["hello", "", "Grüße, 世界 🦀"]
SIZES = [0, 125, 126, 65535, 65536, 1 << 20]


async def exchange(url):
    async with connect(url, subprotocols=["chat"], max_size=2 << 20) as ws:
        if ws.subprotocol == "chat":
            print("subprotocol")
        if "permessage-deflate" in ws.response.headers.get("Sec-WebSocket-Extensions", ""):
            print("deflate")

        for text in TEXTS:
            await ws.send(text)
            assert await ws.recv() == text
        print("text")

        for size in SIZES:
            data = bytes(i * 31 % 251 for i in range(size))
            await ws.send(data)
            assert await ws.recv() == data
        print("binary")

        await ws.send(character for character in TEXTS[2])
        assert await ws.recv() == TEXTS[2]
        print("fragments")

        await (await ws.ping("are you there?"))
        print("ping")

        await ws.close(4001, "bis später")
        assert ws.close_code == 4001
        print("close-sent")


async def be_closed(url):
    closed = await closed_for(url, "close")
    assert (closed.code, closed.reason) == (4002, "von drüben ✓"), closed
    # Exceeds the server's limit.
    closed = await closed_for(url, bytes((1 << 20) + 1))
    assert closed.code == 1009, closed
    print("close-received")


async def closed_for(url, message):
    """The Close that answers a message."""
    async with connect(url, subprotocols=["chat"]) as ws:
        try:
            await ws.send(message)
            raise AssertionError(await ws.recv())
        except ConnectionClosed as closed:
            return closed.rcvd


async def main():
    await exchange(sys.argv[1])
    await be_closed(sys.argv[1])


asyncio.run(main())
