// `ws` as a client: client.js URL
const assert = require("node:assert");
const { once } = require("node:events");
const WebSocket = require("ws");

const TEXTS = ["hello", "", "Grüße, 世界 🦀"];
const SIZES = [0, 125, 126, 65535, 65536, 1 << 20];
const url = process.argv[2];

async function open() {
  const ws = new WebSocket(url, "chat", { perMessageDeflate: { threshold: 0 } });
  await once(ws, "open");
  return ws;
}

async function exchange() {
  const ws = await open();
  if (ws.protocol === "chat") console.log("subprotocol");
  if (ws.extensions.startsWith("permessage-deflate")) console.log("deflate");

  for (const text of TEXTS) {
    ws.send(text);
    const [data, isBinary] = await once(ws, "message");
    assert(!isBinary && data.toString() === text);
  }
  console.log("text");

  for (const size of SIZES) {
    const sent = Buffer.from({ length: size }, (_, i) => (i * 31) % 251);
    ws.send(sent);
    const [data, isBinary] = await once(ws, "message");
    assert(isBinary && data.equals(sent));
  }
  console.log("binary");

  for (const character of TEXTS[2]) ws.send(character, { fin: false });
  ws.send("", { fin: true });
  const [data] = await once(ws, "message");
  assert.strictEqual(data.toString(), TEXTS[2]);
  console.log("fragments");

  ws.ping("are you there?");
  const [pong] = await once(ws, "pong");
  assert.strictEqual(pong.toString(), "are you there?");
  console.log("ping");

  ws.close(4001, "bis später");
  const [code] = await once(ws, "close");
  assert.strictEqual(code, 4001);
  console.log("close-sent");
}

async function beClosed() {
  const asked = await open();
  asked.send("close");
  const [code, reason] = await once(asked, "close");
  assert.deepStrictEqual([code, reason.toString()], [4002, "von drüben ✓"]);

  // Exceeds the server's limit.
  const failed = await open();
  failed.send(Buffer.alloc((1 << 20) + 1));
  assert.strictEqual((await once(failed, "close"))[0], 1009);
  console.log("close-received");
}

exchange().then(beClosed).catch((error) => { console.error(error); process.exit(1); });
