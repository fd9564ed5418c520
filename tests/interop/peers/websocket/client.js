// npm `websocket` as a client: client.js URL
const assert = require("node:assert");
const { once } = require("node:events");
const { client: WebSocketClient } = require("websocket");

const TEXTS = ["hello", "", "Grüße, 世界 🦀"];
const SIZES = [0, 125, 126, 65535, 65536, 1 << 20];
const url = process.argv[2];

async function open(config) {
  const client = new WebSocketClient({ maxReceivedFrameSize: 2 << 20, ...config });
  client.on("connectFailed", (error) => { throw error; });
  client.connect(url, "chat");
  const [connection] = await once(client, "connect");
  return connection;
}

async function exchange() {
  const ws = await open();
  if (ws.protocol === "chat") console.log("subprotocol");

  for (const text of TEXTS) {
    ws.sendUTF(text);
    const [message] = await once(ws, "message");
    assert.strictEqual(message.utf8Data, text);
  }
  console.log("text");

  for (const size of SIZES) {
    const sent = Buffer.from({ length: size }, (_, i) => (i * 31) % 251);
    ws.sendBytes(sent);
    const [message] = await once(ws, "message");
    assert(message.binaryData.equals(sent));
  }
  console.log("binary");

  ws.ping(Buffer.from("are you there?"));
  const [pong] = await once(ws, "pong");
  assert.strictEqual(pong.toString(), "are you there?");
  console.log("ping");

  ws.close(4001, "bis später");
  const [code] = await once(ws, "close");
  assert.strictEqual(code, 4001);
  console.log("close-sent");
}

// Messages larger than its threshold are sent in fragments.
async function fragments() {
  const ws = await open({ fragmentationThreshold: 5 });
  ws.sendUTF(TEXTS[2]);
  const [message] = await once(ws, "message");
  assert.strictEqual(message.utf8Data, TEXTS[2]);
  console.log("fragments");
  ws.close();
}

async function beClosed() {
  const asked = await open();
  asked.sendUTF("close");
  assert.deepStrictEqual(await once(asked, "close"), [4002, "von drüben ✓"]);

  // Exceeds the server's limit.
  const failed = await open({ fragmentOutgoingMessages: false });
  failed.sendBytes(Buffer.alloc((1 << 20) + 1));
  assert.strictEqual((await once(failed, "close"))[0], 1009);
  console.log("close-received");
}

exchange().then(fragments).then(beClosed).catch((error) => { console.error(error); process.exit(1); });
