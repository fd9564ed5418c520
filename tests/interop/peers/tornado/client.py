"""Tornado as a client: client.py URL"""

import asyncio
import sys

from tornado.websocket import WebSocketClientConnection, websocket_connect

TEXTS = ["hello", "", "Grüße, 世界 🦀"]
SIZES = [0, 125, 126, 65535, 65536, 1 << 20]


async def connect(url) -> WebSocketClientConnection:
    return await websocket_connect(url, subprotocols=["chat"], compression_options={}, max_message_size=2 << 20)


async def exchange(url):
    ws = await connect(url)
    pongs = asyncio.Queue()
    ws.on_pong = pongs.put_nowait
    if ws.selected_subprotocol == "chat":
        print("subprotocol")
    if "permessage-deflate" in ws.headers.get("Sec-WebSocket-Extensions", ""):
        print("deflate")

    for text in TEXTS:
        await ws.write_message(text)
        assert await ws.read_message() == text
    print("text")

    for size in SIZES:
        data = bytes(i * 31 % 251 for i in range(size))
        await ws.write_message(data, binary=True)
        assert await ws.read_message() == data
    print("binary")

    ws.ping(b"are you there?")
    # Reading the message also reads the pong before it.
    await ws.write_message("")
    await ws.read_message()
    assert await pongs.get() == b"are you there?"
    print("ping")

    ws.close(4001, "bis später")
    assert await ws.read_message() is None
    assert ws.close_code == 4001
    print("close-sent")


async def be_closed(url):
    ws = await connect(url)
    await ws.write_message("close")
    assert await ws.read_message() is None
    assert (ws.close_code, ws.close_reason) == (4002, "von drüben ✓"), (ws.close_code, ws.close_reason)
    # Exceeds the server's limit.
    ws = await connect(url)
    await ws.write_message(bytes((1 << 20) + 1), binary=True)
    assert await ws.read_message() is None
    assert ws.close_code == 1009, ws.close_code
    print("close-received")


async def main():
    await exchange(sys.argv[1])
    await be_closed(sys.argv[1])


asyncio.run(main())
