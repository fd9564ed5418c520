//! RFC 6455 §5.1, §5.3 and §10.3: the masked frames, their keys, and the algorithm.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use websocket_proto::frame::{FrameHeader, Opcode};
use websocket_proto::handshake::request_key;
use websocket_proto::mask::{apply_mask, rotate_key};
use websocket_proto::{
    ClientRequest, CloseCode, Config, Connection, Input, MessageKind, Output, PreparedMessage, Role, State, Timeout,
};

use crate::faults::open;
use crate::harness::{
    KEY, binary, client, drain, every_cut, feed, frame, frames, from_peer_of, header, hex, response_to, server, text,
};
use crate::rows;
use crate::shared::wired::ROLES;

/// One frame of each kind that a connection can send, including answers to its peer, from three connections: the first
/// is closed by its peer, the second closes, the third fails.
fn every_kind_of_frame_sent(mut connections: [Connection; 3]) -> [Vec<(FrameHeader, Vec<u8>)>; 3] {
    let [ws, closing, failing] = &mut connections;
    let (role, mut output) = (ws.role(), Output::new());
    ws.send_text("text", &mut output).unwrap();
    ws.send_binary(b"binary", &mut output).unwrap();
    ws.send_text_uncompressed("as it is", &mut output).unwrap();
    ws.send_bytes(MessageKind::Binary, vec![7; 1 << 14].into(), &mut output).unwrap();
    ws.send_prepared(&PreparedMessage::text(&"prepared".repeat(10)), &mut output).unwrap();
    for (part, fin) in [("first", false), ("", false), ("last", true)] {
        ws.send_fragment(MessageKind::Text, part.as_bytes(), fin, &mut output).unwrap();
    }
    ws.ping(b"ping", &mut output).unwrap();
    ws.pong(b"unsolicited", &mut output).unwrap();
    let mut sent = drain(&mut output);
    sent.extend(feed(ws, [from_peer_of(role, &[(0x89, b"answered"), (0x88, b"\x03\xe8")]).as_slice()]).output);
    closing.close(CloseCode::GOING_AWAY, "close", &mut output);
    let closed = drain(&mut output);
    // A reserved bit that no extension defines.
    let failed = feed(failing, [from_peer_of(role, &[(0x91, b"")]).as_slice()]).output;
    [sent, closed, failed].map(|bytes| frames(&bytes))
}

/// The opcodes of these frames.
const EVERYTHING: [&[u8]; 3] = [&[1, 2, 1, 2, 1, 1, 0, 0, 9, 10, 10, 8], &[8], &[8]];

/// The payloads of these frames, without compression.
fn payloads(role: Role) -> [Vec<Vec<u8>>; 3] {
    let connections = [(); 3].map(|()| open(role, &Config::new()));
    every_kind_of_frame_sent(connections).map(|frames| frames.into_iter().map(|(_, payload)| payload).collect())
}

#[test]
fn a_client_masks_every_frame_and_a_server_none() {
    rows!("6455-5.1-1", "6455-5.1-4", "6455-5.2-2", "6455-5.3-1", "6455-5.5.1-5", "6455-6.1-6");
    for role in ROLES {
        let sent = every_kind_of_frame_sent([(); 3].map(|()| open(role, &Config::new())));
        let opcodes =
            sent.each_ref().map(|sent| sent.iter().map(|(header, _)| header.opcode as u8).collect::<Vec<_>>());
        assert_eq!(opcodes, EVERYTHING);
        for (header, payload) in sent.into_iter().flatten() {
            assert_eq!(header.mask.is_some(), role == Role::Client, "{header:?} {payload:x?}");
            assert_eq!(header.rsv, 0, "{header:?}");
        }
    }
    // The unmasked payloads are equal.
    assert!(payloads(Role::Client) == payloads(Role::Server));
    let mut timed_out = client();
    let mut output = Output::new();
    timed_out.time_out(Timeout::KeepAlive, &mut output);
    let [(close, _)] = &frames(&drain(&mut output))[..] else { panic!("one Close") };
    assert!(close.opcode == Opcode::Close && close.mask.is_some());
}

#[cfg(feature = "deflate")]
#[test]
fn compressed_frames_are_masked() {
    rows!("6455-5.1-1", "6455-5.1-4", "6455-6.1-6");
    for role in ROLES {
        let wish = websocket_proto::Deflate::new().threshold(0);
        let sent = every_kind_of_frame_sent([(); 3].map(|()| crate::deflate::agreed(role, &wish, "")));
        let opcodes =
            sent.each_ref().map(|sent| sent.iter().map(|(header, _)| header.opcode as u8).collect::<Vec<_>>());
        assert_eq!(opcodes, EVERYTHING);
        let compressed = sent.iter().flatten().filter(|(header, _)| header.rsv == 4).count();
        // All messages except the one sent uncompressed.
        assert_eq!(compressed, 5, "{sent:x?}");
        assert!(sent.iter().flatten().all(|(header, _)| header.mask.is_some() == (role == Role::Client)), "{sent:x?}");
    }
}

/// The values drawn from a client's seed: the nonce of its request, and then the key of each frame.
fn keys_sent(
    config: &Config,
    seed: [u8; 32],
    send: impl Fn(&mut Connection, &mut Output) -> usize,
) -> (String, Vec<[u8; 4]>) {
    let mut output = Output::new();
    let request = ClientRequest::new("ws://server.example.com/chat");
    let mut client = Connection::client(&request, config.clone(), seed, &mut output).unwrap();
    let request = String::from_utf8(drain(&mut output)).unwrap();
    let offered = header(&request, "Sec-WebSocket-Extensions").is_some();
    let agreed = if offered { "Sec-WebSocket-Extensions: permessage-deflate\r\n" } else { "" };
    let mut response = response_to(&request, agreed);
    assert!(client.receive(&mut Input::new(&mut response), &mut output).is_some());
    assert_eq!(client.state(), State::Open);
    let count = send(&mut client, &mut output);
    let keys: Vec<_> = frames(&drain(&mut output)).iter().map(|(header, _)| header.mask.unwrap()).collect();
    assert_eq!(keys.len(), count);
    (header(&request, "Sec-WebSocket-Key").unwrap().to_owned(), keys)
}

/// Sends a frame of each kind, the Close last; returns the number of frames, each of which draws a key.
fn send_one_of_each(client: &mut Connection, output: &mut Output) -> usize {
    client.send_text("", output).unwrap();
    client.send_text_uncompressed("x", output).unwrap();
    client.send_binary_uncompressed(&vec![0; 70_000], output).unwrap();
    client.send_bytes(MessageKind::Binary, vec![0; 20_000].into(), output).unwrap();
    client.send_prepared(&PreparedMessage::text("prepared"), output).unwrap();
    client.send_fragment(MessageKind::Binary, b"one", false, output).unwrap();
    client.send_fragment(MessageKind::Binary, b"", false, output).unwrap();
    client.send_fragment(MessageKind::Binary, b"two", true, output).unwrap();
    client.ping(b"", output).unwrap();
    client.pong(b"unsolicited", output).unwrap();
    let mut pinged = [frame(Role::Server, 0x89, b"answered"), frame(Role::Server, 0x89, b"")].concat();
    let mut pinged = Input::new(&mut pinged);
    while client.receive(&mut pinged, output).is_some() {}
    client.close(CloseCode::NORMAL_CLOSURE, "", output);
    13
}

/// Each frame draws four bytes of the stream, and nothing else draws any.
#[test]
fn every_frame_has_a_key_of_its_own_from_a_csprng() {
    rows!("6455-5.3-2", "6455-5.3-3", "6455-5.3-4", "6455-10.3-1", "6455-4.1-r7", "6455-4.1-r8");
    let seed = std::array::from_fn(|i| i as u8 * 7);
    let mut stream = ChaCha20Rng::from_seed(seed);
    // The handshake's nonce is drawn first.
    let mut nonce = [0; 16];
    stream.fill_bytes(&mut nonce);
    let expected: Vec<[u8; 4]> = (0..13).map(|_| stream.next_u32().to_le_bytes()).collect();
    let configs = [
        Config::new(),
        #[cfg(feature = "deflate")]
        Config::new().deflate(websocket_proto::Deflate::new().threshold(0)),
    ];
    for config in configs {
        let (request, keys) = keys_sent(&config, seed, send_one_of_each);
        assert_eq!((request.as_bytes(), &keys), (&request_key(nonce)[..], &expected));
        let (other_request, other_keys) = keys_sent(&config, [1; 32], send_one_of_each);
        assert_ne!(request, other_request);
        assert!(keys.iter().all(|key| !other_keys.contains(key)));
    }
    // The payload has no influence on the keys.
    let same_frames = |data: &'static [u8]| {
        move |ws: &mut Connection, out: &mut Output| {
            (0..6).for_each(|_| ws.send_binary(data, out).unwrap());
            6
        }
    };
    assert_eq!(keys_sent(&Config::new(), seed, same_frames(&[0; 64])).1, expected[..6]);
    assert_eq!(keys_sent(&Config::new(), seed, same_frames(b"chosen to look like HTTP")).1, expected[..6]);
}

/// A Close that the application did not ask for has a key of its own: a reply, after a fault, after a timeout.
#[test]
fn each_close_has_a_key_of_its_own() {
    rows!("6455-5.3-2", "6455-5.5.1-5");
    let hear = |bytes: &'static [u8]| {
        move |client: &mut Connection, output: &mut Output| {
            client.send_text("before", output).unwrap();
            let mut bytes = bytes.to_vec();
            while client.receive(&mut Input::new(&mut bytes), output).is_some() {}
            2
        }
    };
    let time_out = |client: &mut Connection, output: &mut Output| {
        client.send_text("before", output).unwrap();
        client.time_out(Timeout::KeepAlive, output);
        2
    };
    let answered = keys_sent(&Config::new(), [5; 32], hear(b"\x88\x02\x03\xe8")).1;
    assert!(answered[0] != answered[1]);
    assert_eq!(keys_sent(&Config::new(), [5; 32], hear(b"\x83\x00")).1, answered);
    assert_eq!(keys_sent(&Config::new(), [5; 32], time_out).1, answered);
}

/// A sent frame is final: its length and bytes do not change, and its key is not used again.
#[test]
fn a_sent_fragment_never_changes() {
    rows!("6455-10.3-2");
    let (mut ws, mut output) = (client(), Output::new());
    let (mut sent, mut keys): (Vec<u8>, Vec<_>) = (Vec::new(), Vec::new());
    for part in [b"one".as_slice(), b"two two", b"", b"three"] {
        ws.send_fragment(MessageKind::Binary, part, false, &mut output).unwrap();
        let now = bytes::Buf::chunk(&output).to_vec();
        assert!(now.starts_with(&sent), "a later fragment changed an earlier one");
        let (header, payload) = frames(&now[sent.len()..]).pop().unwrap();
        assert_eq!((header.payload_len as usize, payload.as_slice()), (part.len(), part));
        assert!(!keys.contains(&header.mask), "a key was used twice");
        keys.push(header.mask);
        sent = now;
    }
}

/// Octet `i` of the payload is `XORed` with octet `i mod 4` of the key, over any cut and at any alignment.
#[test]
fn a_mask_continues_across_cuts() {
    rows!("6455-5.3-5");
    let plain: Vec<u8> = (0..4099_u32).map(|i| (i * 31 % 251) as u8).collect();
    let masked = frame(Role::Client, 0x82, &plain);
    let header_len = masked.len() - plain.len();
    for (i, octet) in masked[header_len..].iter().enumerate() {
        assert_eq!(*octet, plain[i] ^ KEY[i % 4]);
    }
    for chunk in 1..=67 {
        assert!(feed(&mut server(), masked.chunks(chunk)).events == [binary(&plain)], "reads of {chunk}");
        for align in 0..64 {
            let mut buffer = [vec![0; align], plain.clone()].concat();
            let mut key = KEY;
            for piece in buffer[align..].chunks_mut(chunk) {
                apply_mask(key, piece);
                key = rotate_key(key, piece.len());
            }
            assert!(buffer[align..] == masked[header_len..], "chunks of {chunk}, alignment {align}");
        }
    }
}

#[test]
fn a_key_of_zeros_is_accepted() {
    rows!("6455-5.3-6");
    assert_eq!(every_cut(server, &hex("81 85 00 00 00 00 48 65 6c 6c 6f")).events, [text("Hello")]);
}
