// socket.io's server: server.js
const http = require("node:http");
const { Server } = require("socket.io");

const httpServer = http.createServer();
const server = new Server(httpServer, { pingInterval: 200 });
server.on("connection", (socket) => {
  socket.on("echo", (...args) => {
    const acknowledge = args.at(-1);
    if (typeof acknowledge === "function") acknowledge(...args.slice(0, -1));
    else socket.emit("echo", ...args);
  });
  socket.on("disconnect", (reason) => console.log(`closed ${reason}`));
});
httpServer.listen(0, "127.0.0.1", () => console.log(`listening ${httpServer.address().port}`));
