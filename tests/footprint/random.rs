//! Random sessions of everything that a peer can send, with random limits, for peers that read some bytes.

use super::attacks::{attack, mask};
use super::peer::{Backlog, Noise, READERS};
use super::*;

#[test]
fn random_sessions_stay_within_the_bound() {
    let mut open = 0;
    for seed in 1..=300_u64 {
        let mut noise = Noise(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let role = if noise.below(2) == 0 { Role::Server } else { Role::Client };
        let config = config(&mut noise);
        let mut bytes = Vec::new();
        if role == Role::Server {
            bytes.extend(request(&mut noise));
        }
        let mut in_message = false;
        for _ in 0..noise.below(60) {
            bytes.extend(next_frame(&mut noise, mask(role), &mut in_message));
        }
        let reader = READERS[noise.below(READERS.len())];
        let outcome = attack(&config, role, || {
            let mut backlog = Backlog::of(reader);
            let mut ws = match role {
                Role::Server => Connection::server(config.clone()),
                Role::Client => open_client_answered(config.clone(), answer(&config), &mut backlog.output),
            };
            drive(&mut ws, &mut bytes, &mut backlog, &mut noise);
            ws.counters()
        });
        open += usize::from(outcome.result.received.message_bytes > 0);
    }
    assert!(open > 60, "{open} sessions had messages");
}

fn config(noise: &mut Noise) -> Config {
    let config = Config::new()
        .max_head_size([200, 1000, 8000][noise.below(3)])
        .max_headers([10, 100, 1000][noise.below(3)])
        .max_message_size([0, 100, 4000, 100_000][noise.below(4)])
        .max_pending_pong_bytes([0, 100, 2000][noise.below(3)]);
    let config = if noise.below(3) == 0 { config.part_size(noise.below(2000)) } else { config };
    #[cfg(feature = "deflate")]
    if noise.below(2) == 0 {
        return config.deflate(websocket_proto::Deflate::new());
    }
    config
}

/// Extensions that the client with this configuration has offered.
#[cfg(feature = "deflate")]
fn answer(config: &Config) -> &'static str {
    // The client's offer shows whether the configuration compresses.
    let with_deflate = ClientRequest::new("ws://localhost/").upgrade(config, [0; 16]);
    let offers = with_deflate.is_ok_and(|handshake| handshake.headers().get("Sec-WebSocket-Extensions").is_some());
    if offers { deflate::ANSWER } else { "" }
}

#[cfg(not(feature = "deflate"))]
fn answer(_: &Config) -> &'static str {
    ""
}

/// A request with some additional headers, mostly an acceptable one.
fn request(noise: &mut Noise) -> Vec<u8> {
    let lines: String = (0..noise.below(4)).map(|_| some_lines(noise)).collect();
    let request = String::from_utf8(request_with(&lines)).expect("text");
    request.replace("localhost", &"h".repeat(1 + noise.below(300))).into_bytes()
}

fn some_lines(noise: &mut Noise) -> String {
    let count = noise.below(60);
    match noise.below(6) {
        0 => "a:\r\n".repeat(count),
        1 => format!("X: {}\r\n", "x".repeat(10 * count)),
        2 => {
            let names: Vec<String> = (0..=count).map(|n| n.to_string()).collect();
            format!("Sec-WebSocket-Protocol: {}\r\n", names.join(","))
        }
        3 => format!("Sec-WebSocket-Extensions: e{}\r\n", ";p,e".repeat(count)),
        4 => "Sec-WebSocket-Extensions: e;p=1\r\n".repeat(count),
        _ => "Sec-WebSocket-Extensions: permessage-deflate\r\n".to_owned(),
    }
}

/// A frame, mostly one that is valid here.
fn next_frame(noise: &mut Noise, mask: Option<[u8; 4]>, in_message: &mut bool) -> Vec<u8> {
    if noise.below(3) == 0 {
        return frame(true, Opcode::Ping, mask, &vec![b'p'; noise.below(126)]).repeat(noise.below(20));
    }
    let fin = noise.below(3) == 0;
    let opcode = match noise.below(2) {
        _ if *in_message => Opcode::Continuation,
        0 => Opcode::Text,
        _ => Opcode::Binary,
    };
    let most = [1, 100, 3000, 30_000][noise.below(4)];
    let len = noise.below(most);
    let next = if noise.below(8) == 0 && !*in_message {
        compressed_frame(fin, opcode, mask, len.min(1500))
    } else {
        frame(fin, opcode, mask, &vec![b'x'; len])
    };
    *in_message = !fin;
    next
}

/// A frame that inflates to a hundred times its size, where compression is negotiated.
#[cfg(feature = "deflate")]
fn compressed_frame(fin: bool, opcode: Opcode, mask: Option<[u8; 4]>, len: usize) -> Vec<u8> {
    let mut frame = frame(fin, opcode, mask, &shared::compression::bomb(100 * len));
    frame[0] |= 0x40;
    frame
}

#[cfg(not(feature = "deflate"))]
fn compressed_frame(fin: bool, opcode: Opcode, mask: Option<[u8; 4]>, len: usize) -> Vec<u8> {
    frame(fin, opcode, mask, &vec![b'x'; len])
}

/// Reads of any length; the request is accepted at once or later.
fn drive(ws: &mut Connection, mut bytes: &mut [u8], backlog: &mut Backlog, noise: &mut Noise) {
    let (mut asked, longest) = (None, [3, 100, 5000][noise.below(3)]);
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at_mut((1 + noise.below(longest)).min(bytes.len()));
        bytes = rest;
        let mut input = Input::new(piece);
        while let Some(event) = ws.receive(&mut input, &mut backlog.output) {
            if let Event::Request(request) = event {
                let _ = request.extensions();
                asked = Some(request);
            }
            backlog.note();
        }
        if noise.below(10) == 0
            && let Some(request) = asked.take()
        {
            ws.accept(request, &mut backlog.output);
        }
        backlog.take();
    }
}
