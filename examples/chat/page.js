// The page's side of chat.v1. User input enters the page only as text, never as markup.

// The delay before a reconnection: random, from 0 to a limit that doubles, so that clients that lost one server do not
// reach the next one all at once.
const BASE = 1000, CAP = 30_000;
// After a connection of this length, the limit starts again.
const STEADY_TIME = 10_000;
// Prices come every second, so a connection that is silent for this long is dead, whatever its state.
const SILENCE = 15_000;
// The interval between messages that are sent again: the server allows two a second.
const RESEND_INTERVAL = 600;
const STATES = ["Connecting", "Open", "Closing", "Closed"];
// The close code for a rejected token.
const UNAUTHORIZED = 3000;
// The close code of a server that is busy.
const TRY_AGAIN_LATER = 1013;

const $ = id => document.getElementById(id);
const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

let ws = null, closeCode = 0, attempts = 0, openedAt = 0, lastInputAt = 0, retry = 0, retryAt = 0;
let token = sessionStorage.getItem("token"), name = sessionStorage.getItem("name");
// The room on display, whether the server has let the page in, and the number of joins without an answer.
let room = roomInAddress(), hasJoined = false, pendingJoins = 0;
// For each room, the last message that was seen, and the list on display.
const last = new Map(), lists = new Map();
// Messages that have not come back yet, by key: [room, text].
const waiting = new Map();

// ---- Connection

function connect() {
  clearTimeout(retry);
  retryAt = 0;
  if (!token) return login(name);
  if (ws) {
    ws.onopen = ws.onmessage = ws.onclose = null;
    ws.close();
  }
  ws = new WebSocket(new URL("/chat", location.href.replace(/^http/, "ws")), "chat.v1");
  pendingJoins = 0;
  lastInputAt = Date.now();
  ws.onopen = () => {
    openedAt = Date.now();
    join();
    show();
  };
  ws.onmessage = event => {
    lastInputAt = Date.now();
    const message = JSON.parse(event.data);
    receive[message.type]?.(message);
  };
  ws.onclose = event => {
    if (openedAt && Date.now() - openedAt >= STEADY_TIME) attempts = 0;
    openedAt = 0;
    $("latency").textContent = "–";
    hasJoined = false;
    if (event.code === UNAUTHORIZED) token = null;
    closeCode = event.code;
    reconnect();
  };
  show();
}

function reconnect() {
  const delay = Math.random() * Math.min(CAP, BASE * 2 ** attempts);
  attempts += 1;
  retryAt = Date.now() + delay;
  retry = setTimeout(connect, delay);
  show();
}

// The token is in the first message, because a URL would be logged. The message also says after which message to
// continue.
function join() {
  hasJoined = false;
  pendingJoins += 1;
  ws.send(JSON.stringify({ type: "join", token, room, last: last.get(room) ?? null }));
}

function enter(other) {
  room = other;
  history.replaceState(null, "", "#" + room);
  show();
  if (ws?.readyState === WebSocket.OPEN) join();
}

function roomInAddress() {
  return /^#([a-z0-9-]{1,24})$/.exec(location.hash)?.[1] ?? "lobby";
}

async function login(wanted) {
  try {
    const response = wanted && await fetch("/login",
      { method: "POST", body: JSON.stringify({ name: wanted }), signal: AbortSignal.timeout(SILENCE) });
    // A proxy answers this while its servers are down.
    if (response && response.status >= 500) throw response;
    if (response && response.ok) {
      [name, token] = [wanted, await response.text()];
      sessionStorage.setItem("name", name);
      sessionStorage.setItem("token", token);
      $("login").close();
      $("text").focus();
      return connect();
    }
    $("login-error").textContent = response ? await response.text() : "";
    $("login-error").hidden = !response;
  } catch {
    // The server cannot be reached. After an earlier connection, this is an ordinary reconnection.
    if (attempts > 0) return reconnect();
    $("login-error").textContent = "The server cannot be reached.";
    $("login-error").hidden = false;
  }
  if (!$("login").open) $("login").showModal();
}

// ---- Messages from the server

const receive = {
  welcome({ name: own, node, messages, missing }) {
    // The server has trimmed it.
    name = own;
    sessionStorage.setItem("name", name);
    // Welcomes answer joins in order. Only the last is for the current visit: an earlier one may be for an earlier
    // visit to the same room.
    pendingJoins -= 1;
    if (pendingJoins > 0) return;
    hasJoined = true;
    $("node").textContent = node;
    if (missing) add(element("li", { className: "rule", textContent: "Older messages are no longer available" }));
    messages.forEach(receive.said);
    // Messages that have not come back may never have arrived: sends them again, at the allowed rate.
    const unsent = [...waiting.keys()].filter(key => waiting.get(key)[0] === room);
    unsent.forEach((key, i) => setTimeout(resend, Math.max(0, i - 8) * RESEND_INTERVAL, key));
  },
  said({ id, name: author, text, key }) {
    // Late messages of the previous room are in its history.
    if (!hasJoined) return;
    last.set(room, id);
    waiting.delete(key);
    // A message that was sent on two connections may come twice: then it replaces the one on display.
    const place = $("key-" + key);
    const message = draw(author, text, new Date(Number(id.split("-")[0])));
    if (place) place.replaceWith(message);
    else add(message);
  },
  present({ count, names }) {
    if (!hasJoined) return;
    $("count").textContent = count;
    const person = name => element("li", {}, face(name), element("span", { textContent: name }));
    $("people").replaceChildren(...names.map(person));
  },
  rooms({ rooms }) {
    if (!rooms.some(([name]) => name === room)) rooms.push([room, 0]);
    $("rooms").replaceChildren(...rooms.map(([name, count]) => {
      const button = element("button", { type: "button", onclick: () => enter(name) },
        element("span", { className: "name", textContent: name }),
        element("span", { className: "count", textContent: count || "", ariaLabel: count + " here" }));
      if (name === room) button.setAttribute("aria-current", "true");
      return element("li", {}, button);
    }));
  },
  latency({ milliseconds }) {
    $("latency").textContent = milliseconds.toFixed(milliseconds < 10 ? 1 : 0) + " ms";
  },
  known({ key }) {
    waiting.delete(key);
    findMessage(key)?.classList.remove("waiting");
  },
  refused({ key, why }) {
    const message = findMessage(key);
    waiting.delete(key);
    message?.classList.replace("waiting", "refused");
    message?.lastElementChild.after(element("small", { textContent: why }));
  },
  prices({ prices }) {
    prices.forEach(drawPrice);
  },
};

function resend(key) {
  const [where, text] = waiting.get(key) ?? [];
  if (hasJoined && where === room) say(key, text);
}

function say(key, text) {
  if (ws?.readyState === WebSocket.OPEN) ws.send(JSON.stringify({ type: "say", key, text }));
}

// ---- Display

function add(item) {
  const messages = $("messages");
  messages.querySelector(".empty")?.remove();
  messages.append(item);
  // Removes the oldest messages.
  while (messages.children.length > 500) messages.firstElementChild.remove();
  if (isAtEnd) scrollToEnd();
}

// The element of one of the user's own messages, in any room.
function findMessage(key) {
  return [[...$("messages").children], ...lists.values()].flat().find(({ id }) => id === "key-" + key);
}

// While the newest message is visible, the list scrolls.
let isAtEnd = true;

function scrollToEnd() {
  $("messages").scrollTop = $("messages").scrollHeight;
}

function draw(author, text, time) {
  const message = element("li", { className: author === name ? "message mine" : "message" });
  const when = element("time", {
    dateTime: time.toISOString(), textContent: time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }),
  });
  message.append(face(author), element("div", {},
    element("header", {}, element("strong", { textContent: author }), when), element("p", { textContent: text })));
  return message;
}

function face(name) {
  const hue = [...name].reduce((sum, c) => sum + c.codePointAt(0), 0) % 6;
  const made = element("span", { className: "face", textContent: [...name][0].toUpperCase(), ariaHidden: "true" });
  made.dataset.hue = hue;
  return made;
}

const trends = new Map();

function drawPrice([symbol, price]) {
  let trend = trends.get(symbol);
  if (!trend) {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 59 20");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.append(path);
    const [value, change] = [element("span"), element("small")];
    const cell = element("td", {}, svg);
    $("prices").append(element("tr", {}, element("th", { scope: "row", textContent: symbol }), cell,
      element("td", {}, value, change)));
    trends.set(symbol, trend = { values: [], path, value, change, cell });
  }
  const { values, path, value, change } = trend;
  values.push(price);
  if (values.length > 60) values.shift();
  const low = Math.min(...values), span = Math.max(...values) - low || 1;
  const point = (value, i) => `${i ? "L" : "M"}${i + 60 - values.length} ${20 - 20 * (value - low) / span}`;
  path.setAttribute("d", values.map(point).join(""));
  const moved = 100 * (price / values[0] - 1);
  value.textContent = price.toFixed(2);
  change.textContent = (moved < 0 ? "▼ " : "▲ ") + Math.abs(moved).toFixed(2) + " %";
  change.className = moved < 0 ? "down" : "up";
  trend.cell.className = "trend " + change.className;
}

let drawnRoom = null;

// Shows the room and the state of the connection.
function show() {
  if (drawnRoom !== room) {
    // Keeps the list while the page is in another room.
    lists.set(drawnRoom, [...$("messages").children]);
    drawnRoom = room;
    const empty = element("li", { className: "empty", textContent: "Nobody has said anything here yet." });
    $("messages").replaceChildren(...lists.get(room) ?? [empty]);
    scrollToEnd();
    $("room").textContent = room;
    document.title = "#" + room + " · Chat";
  }
  const state = ws?.readyState ?? WebSocket.CLOSED;
  if (state <= WebSocket.OPEN && Date.now() - lastInputAt > SILENCE) {
    // The closing handshake would wait for a dead server.
    const lost = ws.onclose;
    ws.onopen = ws.onmessage = ws.onclose = null;
    ws.close();
    return lost({ code: 1006 });
  }
  $("state").dataset.state = state;
  if ($("state").textContent !== STATES[state]) $("state").textContent = STATES[state];
  const isAway = Boolean(name) && (retryAt > 0 || (state !== WebSocket.OPEN && attempts > 0));
  $("banner").hidden = !isAway;
  // Screen readers announce this once, without the countdown. It depends on the close code: the reason is not meant for
  // users (RFC 6455 §5.5.1).
  const lost = closeCode === TRY_AGAIN_LATER ? "The server is busy." : "The connection was lost.";
  const why = retryAt ? lost : "Connecting again …";
  if ($("why").textContent !== why) $("why").textContent = why;
  $("when").textContent = retryAt ? `Trying again in ${Math.max(0, Math.ceil((retryAt - Date.now()) / 1000))} s.` : "";
  $("now").hidden = !retryAt;
}

// ---- User input

$("say").onsubmit = event => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  const key = Array.from(crypto.getRandomValues(new Uint32Array(4)), n => n.toString(36)).join("-");
  const message = draw(name, text, new Date());
  message.id = "key-" + key;
  message.classList.add("waiting");
  waiting.set(key, [room, text]);
  add(message);
  // Before the welcome it waits, and is sent then.
  if (hasJoined) say(key, text);
  $("text").value = "";
  scrollToEnd();
};

$("text").onkeydown = event => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("say").requestSubmit();
  }
};

$("open-room").onsubmit = event => {
  event.preventDefault();
  enter($("new-room").value);
  $("new-room").value = "";
};

$("login-form").onsubmit = event => {
  event.preventDefault();
  login($("name").value);
};

$("messages").onscroll = ({ target }) => {
  isAtEnd = target.scrollHeight - target.scrollTop - target.clientHeight < 80;
};
new ResizeObserver(() => isAtEnd && scrollToEnd()).observe($("messages"));

$("login").oncancel = event => event.preventDefault();
// A browser closes the dialog when Escape is pressed twice.
$("login").onclose = () => token || $("login").showModal();
$("now").onclick = connect;
window.ononline = () => retryAt && connect();
window.onhashchange = () => enter(roomInAddress());
setInterval(show, 500);

connect();
