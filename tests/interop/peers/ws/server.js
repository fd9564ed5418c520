// `ws` as an echo server: server.js
const { WebSocketServer } = require("ws");

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: 0,
  perMessageDeflate: { threshold: 0 },
  handleProtocols: (offered) => offered.has("chat") && "chat",
});
server.on("listening", () => console.log(`listening ${server.address().port}`));
server.on("connection", (ws) => {
  ws.on("message", (data, isBinary) => {
    if (!isBinary && data.toString() === "close") ws.close(4002, "von drüben ✓");
    else ws.send(data, { binary: isBinary });
  });
  ws.on("close", (code, reason) => console.log(`closed ${code} ${reason}`));
});
