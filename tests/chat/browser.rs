//! The chat's page, and the WebSocket API with this crate's server, in a real browser.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use websocket_proto::{Closed, Config, Connection, Event, Input, Output};

use crate::chromium::Browser;
use crate::live::{Chat, PATIENCE, texts};

const WINDOW: (u32, u32) = (1240, 760);

/// The WebSocket API as promises.
const SOCKET: &str = "
globalThis.opened = (path, protocols) => new Promise((resolve, reject) => {
  const ws = new WebSocket(location.origin.replace('http', 'ws') + path, protocols);
  ws.first = ws.readyState;
  ws.binaryType = 'arraybuffer';
  ws.onopen = () => resolve(ws);
  ws.onclose = event => reject(event.code);
});
globalThis.next = ws => new Promise(resolve => { ws.onmessage = event => resolve(event.data); });
globalThis.end = ws => new Promise(resolve => {
  ws.onclose = ({ code, reason, wasClean }) => resolve([code, reason, wasClean, ws.readyState]);
});
";

#[test]
#[ignore = "needs chromium"]
fn the_websocket_api_works_as_specified() {
    let mut chat = Chat::start(&[]);
    let mut browser = Browser::start();
    // A page of the same origin that has no scripts.
    let tab = browser.open(&format!("http://{}/page.css", chat.address), WINDOW);
    browser.evaluate(&tab, SOCKET);
    let mut run = |script: &str| browser.evaluate(&tab, &format!("(async () => {{ {script} }})()"));

    let opened = run("globalThis.ws = await opened('/echo', ['other', 'echo']);
        return [ws.first, ws.readyState, ws.protocol, ws.extensions.split(';')[0], ws.bufferedAmount];");
    assert_eq!(opened, json!([0, 1, "echo", "permessage-deflate", 0]));
    assert_eq!(run("return (await opened('/echo')).protocol"), "", "none was offered");

    // Messages of the maximum size, compressible and not; bufferedAmount counts bytes until they are sent.
    let echoed = "const text = '€\u{1f600}'.repeat(2000), back = next(ws); ws.send(text);
        const buffered = ws.bufferedAmount; return [(await back) === text, buffered, ws.bufferedAmount];";
    assert_eq!(run(echoed), json!([true, 14_000, 0]));
    let echoed = "const data = crypto.getRandomValues(new Uint8Array(16_000)), back = next(ws); ws.send(data);
        return [data.join() === new Uint8Array(await back).join(), ws.bufferedAmount];";
    assert_eq!(run(echoed), json!([true, 0]));
    assert_eq!(run("const back = next(ws); ws.send(''); return await back;"), "");
    assert_eq!(run("const back = next(ws); ws.send(new Blob()); return (await back).byteLength;"), 0);

    // Closed by the page, by the server's choice, by the server because of an error, and by a lost connection.
    let by_page = "const ended = end(ws); ws.close(4001, 'by the page'); return [ws.readyState, ...await ended];";
    assert_eq!(run(by_page), json!([2, 4001, "", true, 3]), "the answer has the code only");
    let by_server = "const ws = await opened('/echo'), ended = end(ws); ws.send('close 4321 by the server ✓');
        return await ended;";
    assert_eq!(run(by_server), json!([4321, "by the server ✓", true, 3]));
    let too_big =
        "const ws = await opened('/echo'), ended = end(ws); ws.send('x'.repeat(1e6)); return (await ended)[0];";
    assert_eq!(run(too_big), 1009);
    assert_eq!(run("return await opened('/nowhere').catch(code => code)"), 1006);
    run("globalThis.ws = await opened('/echo'); globalThis.ended = end(ws);");
    chat.process.kill();
    assert_eq!(run("return await ended"), json!([1006, "", false, 3]));
    // A new server on the same address can be connected to.
    let _chat = Chat::start_on(&chat.address, &[]);
    assert_eq!(run("return (await opened('/echo')).readyState"), 1);
}

#[test]
#[ignore = "needs chromium"]
fn the_server_receives_the_pages_close_code() {
    let (address, ends) = serve();
    let mut browser = Browser::start();
    // The answer that requires an upgrade serves as a page, too.
    let tab = browser.open(&format!("http://{address}/"), WINDOW);
    let cases =
        [("ws.close(4001, 'enough €')", 4001, "enough €"), ("ws.close()", 1005, ""), ("location.reload()", 1001, "")];
    for (close, code, reason) in cases {
        browser.evaluate(&tab, &format!("ws = new WebSocket('ws://{address}/'); ws.onopen = () => {{ {close} }}; 0"));
        let closed = ends.recv_timeout(PATIENCE).expect("it ends in time");
        assert_eq!((closed.code(), closed.reason()), (code, reason), "{close}");
    }
}

/// A server that reports the end of each connection that was opened.
fn serve() -> (SocketAddr, Receiver<Closed>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("the listener is bound");
    let (sender, ends) = mpsc::channel();
    thread::spawn(move || {
        for tcp in listener.incoming() {
            let (tcp, sender) = (tcp.expect("a connection"), sender.clone());
            // A browser may open connections before it needs them.
            thread::spawn(move || serve_one(tcp).map(|closed| drop(sender.send(closed))));
        }
    });
    (address, ends)
}

fn serve_one(mut tcp: TcpStream) -> Option<Closed> {
    let (mut buffer, mut output, mut ws) = ([0; 4096], Output::new(), Connection::server(Config::new()));
    let (mut was_open, mut end) = (false, None);
    while end.is_none() {
        let read = tcp.read(&mut buffer).ok()?;
        let mut input = Input::new(&mut buffer[..read]);
        while let Some(event) = if read == 0 { ws.receive_eof() } else { ws.receive(&mut input, &mut output) } {
            match event {
                Event::Request(request) => {
                    was_open = true;
                    ws.accept(request, &mut output);
                }
                Event::Closed(closed) => end = Some(closed),
                _ => {}
            }
        }
        output.write_to(&mut tcp).ok()?;
    }
    end.filter(|_| was_open)
}

#[test]
#[ignore = "needs chromium"]
fn messages_typed_in_one_tab_appear_in_another() {
    let chat = Chat::start(&["--tick", "200"]);
    let mut browser = Browser::start();
    let url = format!("http://{}/", chat.address);
    let ada = browser.open(&url, WINDOW);
    browser.type_into(&ada, "#name", "Ada Lovelace");
    let grace = browser.open(&url, WINDOW);
    browser.type_into(&grace, "#name", "Grace Hopper");
    for tab in [&ada, &grace] {
        browser.wait_for(tab, "document.querySelectorAll('#people li').length === 2");
        assert_eq!(browser.evaluate(tab, "document.getElementById('state').textContent"), "Open");
    }
    let conversation = [
        (&ada, "Is the engine ready?"),
        (&grace, "It compiles. Two warnings, both mine."),
        (&ada, "<img src=x onerror=document.title='owned'> is what the page makes of markup: text."),
        (&grace, "And whoever joins later sees the last hundred messages."),
        (&ada, "What if I lose the connection?"),
        (
            &grace,
            "The page comes back by itself, asks for what came after the last that it has seen, and you miss nothing.",
        ),
    ];
    for (n, (tab, text)) in conversation.iter().enumerate() {
        browser.type_into(tab, "#text", text);
        for tab in [&ada, &grace] {
            browser
                .wait_for(tab, &format!("document.querySelectorAll('#messages .message:not(.waiting)').length > {n}"));
            let shown = "[...document.querySelectorAll('#messages .message p')].pop().textContent";
            assert_eq!(browser.evaluate(tab, shown), *text);
        }
    }
    for tab in [&ada, &grace] {
        assert_eq!(browser.evaluate(tab, "document.querySelectorAll('#messages img').length"), 0);
        browser.wait_for(tab, "/^[0-9.]+ ms$/.test(document.getElementById('latency').textContent)");
        browser.wait_for(tab, "document.querySelectorAll('#prices path[d*=L]').length === 5");
    }
    // The new room is empty; back in the lobby, all messages are there, once each.
    let messages = "document.querySelectorAll('#messages .message').length";
    browser.type_into(&grace, "#new-room", "engine-room");
    browser.wait_for(&grace, "document.querySelector('#rooms [aria-current] .count').textContent === '1'");
    assert_eq!(browser.evaluate(&grace, messages), 0);
    browser.evaluate(&grace, "document.querySelectorAll('#rooms button')[1].click()");
    browser.wait_for(&grace, "document.querySelectorAll('#people li').length === 2");
    assert_eq!(browser.evaluate(&grace, messages), 6);

    // docs/chat.png is the first of these.
    for scheme in ["light", "dark"] {
        browser.prefer(&ada, scheme);
        let picture = BASE64_STANDARD.decode(browser.picture(&ada)).expect("base64");
        assert!(picture.starts_with(b"\x89PNG"));
        fs::write(format!("{}/chat-{scheme}.png", env!("CARGO_TARGET_TMPDIR")), picture).expect("a directory");
    }
    let phone = browser.open(&url, (390, 780));
    browser.type_into(&phone, "#name", "Katherine");
    browser.wait_for(&phone, "document.querySelectorAll('#messages .message').length === 6");
    let picture = BASE64_STANDARD.decode(browser.picture(&phone)).expect("base64");
    fs::write(format!("{}/chat-phone.png", env!("CARGO_TARGET_TMPDIR")), picture).expect("a directory");
}

#[test]
#[ignore = "needs chromium"]
fn the_page_reconnects_and_sends_waiting_messages() {
    let mut chat = Chat::start(&[]);
    let mut browser = Browser::start();
    let tab = browser.open(&format!("http://{}/", chat.address), WINDOW);
    browser.type_into(&tab, "#name", "Ada");
    browser.wait_for(&tab, "document.querySelectorAll('#people li').length === 1");
    browser.type_into(&tab, "#text", "before");
    browser.wait_for(&tab, "document.querySelectorAll('#messages .message:not(.waiting)').length === 1");

    chat.process.kill();
    browser.wait_for(&tab, "!document.getElementById('banner').hidden");
    assert_ne!(browser.evaluate(&tab, "document.getElementById('state').textContent"), "Open");
    browser.type_into(&tab, "#text", "while it was away");
    browser.wait_for(&tab, "document.querySelectorAll('#messages .waiting').length === 1");

    // Another process, with another secret and an empty history: the page logs in again with its name.
    let chat = Chat::start_on(&chat.address, &[]);
    browser.wait_for(&tab, "document.getElementById('banner').hidden");
    browser.wait_for(&tab, "document.querySelectorAll('#messages .message:not(.waiting)').length === 2");
    let (mut bob, welcome) = chat.join("Bob", "lobby");
    assert_eq!(texts(&welcome), ["while it was away"]);
    bob.say("welcome back");
    browser.wait_for(&tab, "[...document.querySelectorAll('#messages p')].pop().textContent === 'welcome back'");
}

#[test]
#[ignore = "needs chromium"]
fn own_messages_are_marked_and_rejections_shown_after_changing_rooms() {
    let chat = Chat::start(&[]);
    let mut browser = Browser::start();
    let tab = browser.open(&format!("http://{}/", chat.address), WINDOW);
    // The effect of pressing Escape twice.
    browser.evaluate(&tab, "document.getElementById('login').close()");
    browser.wait_for(&tab, "document.getElementById('login').open");
    browser.type_into(&tab, "#name", "  Ada ");
    browser.wait_for(&tab, "document.querySelectorAll('#people li').length === 1");
    // More messages than the rate limit allows, and a change of rooms before they are answered.
    let script = "const submit = (form, field, value) => {
          document.getElementById(field).value = value;
          document.getElementById(form).requestSubmit();
        };
        for (let n = 0; n < 30; n++) submit('say', 'text', n);
        submit('open-room', 'new-room', 'elsewhere');";
    browser.evaluate(&tab, &format!("(() => {{ {script} }})()"));
    browser.wait_for(&tab, "document.querySelector('#rooms [aria-current] .count')?.textContent === '1'");
    assert_eq!(browser.evaluate(&tab, "document.getElementById('room').textContent"), "elsewhere");
    browser.evaluate(&tab, "location.hash = '#lobby'");
    browser.wait_for(&tab, "document.querySelectorAll('.message').length === 30");
    browser.wait_for(&tab, "document.querySelectorAll('.message.waiting').length === 0");
    assert_ne!(browser.evaluate(&tab, "document.querySelectorAll('.message.refused').length"), 0);
    assert_eq!(browser.evaluate(&tab, "document.querySelectorAll('.message.mine').length"), 30);
}

#[test]
#[ignore = "needs chromium"]
fn a_message_that_arrives_twice_is_shown_once() {
    let chat = Chat::start(&[]);
    let mut browser = Browser::start();
    let tab = browser.open(&format!("http://{}/", chat.address), WINDOW);
    browser.type_into(&tab, "#name", "Ada");
    browser.wait_for(&tab, "document.querySelectorAll('#people li').length === 1");
    let (mut bob, _) = chat.join("Bob", "rust");
    bob.say("one");
    bob.next_broadcast();
    // Into a room, out of it and into it again before any answer: both welcomes contain all messages.
    let script = "const enter = room => {
          document.getElementById('new-room').value = room;
          document.getElementById('open-room').requestSubmit();
        };
        for (const room of ['rust', 'lobby', 'rust']) enter(room);";
    browser.evaluate(&tab, &format!("(() => {{ {script} }})()"));
    let shown = "[...document.querySelectorAll('.message:not(.waiting) p')].map(p => p.textContent).join()";
    bob.until_present(&["Ada", "Bob"]);
    bob.say("two");
    browser.wait_for(&tab, &format!("{shown}.endsWith('two')"));
    assert_eq!(browser.evaluate(&tab, shown), "one,two");

    // As if the message was sent over an old connection and over this one: the second is answered with "known",
    // possibly before the first is broadcast.
    let script = "const send = WebSocket.prototype.send;
        WebSocket.prototype.send = function(data) { send.call(this, data); send.call(this, data); };";
    browser.evaluate(&tab, &format!("(() => {{ {script} }})()"));
    browser.type_into(&tab, "#text", "three");
    bob.next(|message| message["text"] == "three");
    bob.say("four");
    browser.wait_for(&tab, &format!("{shown}.endsWith('four')"));
    assert_eq!(browser.evaluate(&tab, shown), "one,two,three,four");
}
