// socket.io's client: client.js URL
const assert = require("node:assert");
const { io } = require("socket.io-client");

const ATTACHMENT = Buffer.from([0, 1, 127, 128, 255]);

async function exchange(url) {
  const socket = io(url, { transports: ["websocket"], reconnection: false });
  const pinged = new Promise((resolve) => socket.io.on("ping", resolve));
  const closed = new Promise((resolve) => socket.on("disconnect", resolve));
  socket.on("connect_error", (error) => { throw error; });
  await new Promise((resolve) => socket.on("connect", resolve));
  console.log("connect");

  const echo = (...sent) => new Promise((resolve) => {
    socket.once("echo", (...back) => resolve(back));
    socket.emit("echo", ...sent);
  });
  assert.deepStrictEqual(await echo("Grüße, 世界", { n: 1 }), ["Grüße, 世界", { n: 1 }]);
  console.log("event");

  assert.strictEqual(await socket.timeout(5000).emitWithAck("echo", "acknowledge this"), "acknowledge this");
  console.log("acknowledgement");

  assert.deepStrictEqual(await echo(ATTACHMENT), [ATTACHMENT]);
  assert.deepStrictEqual(await socket.timeout(5000).emitWithAck("echo", ATTACHMENT), ATTACHMENT);
  console.log("attachment");

  await pinged;
  // The server sends another ping only if it accepted the answer to this one.
  await new Promise((resolve) => socket.io.once("ping", resolve));
  console.log("ping");

  socket.disconnect();
  assert.strictEqual(await closed, "io client disconnect");
  console.log("close");
}

exchange(process.argv[2]).catch((error) => { console.error(error); process.exit(1); });
