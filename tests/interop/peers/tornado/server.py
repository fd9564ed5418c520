"""Tornado as an echo server: server.py"""

import asyncio

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketHandler


class Echo(WebSocketHandler):
    def select_subprotocol(self, subprotocols):
        return "chat" if "chat" in subprotocols else None

    def get_compression_options(self):
        return {}

    def on_message(self, message):
        if message == "close":
            self.close(4002, "von drüben ✓")
        else:
            self.write_message(message, binary=isinstance(message, bytes))

    def on_close(self):
        print(f"closed {self.close_code} {self.close_reason}", flush=True)


async def main():
    sockets = bind_sockets(0, "127.0.0.1")
    HTTPServer(Application([("/", Echo)], websocket_max_message_size=2 << 20)).add_sockets(sockets)
    print(f"listening {sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
