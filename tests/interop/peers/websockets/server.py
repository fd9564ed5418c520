"""Python `websockets` as an echo server: server.py"""

import asyncio

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


async def echo(ws):
    try:
        while (message := await ws.recv()) != "close":
            await ws.send(message)
        await ws.close(4002, "von drüben ✓")
    except ConnectionClosed as closed:
        print(f"closed {closed.rcvd.code} {closed.rcvd.reason}", flush=True)


async def main():
    async with serve(echo, "127.0.0.1", 0, subprotocols=["chat"], max_size=2 << 20) as server:
        print(f"listening {server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


asyncio.run(main())
