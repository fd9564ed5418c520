// npm `websocket` as an echo server: server.js
const http = require("node:http");
const { server: WebSocketServer } = require("websocket");

const httpServer = http.createServer();
const server = new WebSocketServer({ httpServer, maxReceivedFrameSize: 2 << 20 });
httpServer.listen(0, "127.0.0.1", () => console.log(`listening ${httpServer.address().port}`));
server.on("request", (request) => {
  const ws = request.accept(request.requestedProtocols.includes("chat") ? "chat" : null, request.origin);
  ws.on("message", (message) => {
    if (message.utf8Data === "close") ws.close(4002, "von drüben ✓");
    else if (message.type === "utf8") ws.sendUTF(message.utf8Data);
    else ws.sendBytes(message.binaryData);
  });
  ws.on("close", (code, reason) => console.log(`closed ${code} ${reason}`));
});
