//! [`Output`] between a connection and a writer that takes any number of bytes.

mod shared;

use std::io::{self, ErrorKind, Write};

use bytes::{Buf, Bytes};
use shared::handshake::REQUEST;
use shared::wired::{self, receive};
use websocket_proto::{ClientRequest, Config, Connection, Event, Input, MessageKind, Output, Role};

/// A masked ping with the key 0.
fn ping(byte: u8) -> [u8; 7] {
    [0x89, 0x81, 0, 0, 0, 0, byte]
}

/// An open server that coalesces pongs as soon as one waits, and its drained output.
fn server() -> (Connection, Output) {
    let (mut ws, mut output) = (Connection::server(Config::new().max_pending_pong_bytes(0)), Output::new());
    receive(&mut ws, REQUEST, &mut output);
    output.advance(output.len());
    (ws, output)
}

/// An open client.
fn client() -> Connection {
    wired::open(Role::Client, Config::new(), Config::new()).0
}

/// A writer that takes at most `most` bytes a call, and first fails with the errors in `failures`.
struct Writer {
    most: usize,
    written: Vec<u8>,
    failures: Vec<ErrorKind>,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(kind) = self.failures.pop() {
            return Err(kind.into());
        }
        let taken = bytes.len().min(self.most);
        self.written.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn partial_writes_keep_the_order() {
    for most in 1..=60 {
        let (mut ws, mut output) = server();
        let mut writer = Writer { most, written: Vec::new(), failures: Vec::new() };
        let mut expected = Vec::new();
        for round in 0..50_u8 {
            ws.send_binary(&vec![round; usize::from(round)], &mut output).unwrap();
            expected.extend([0x82, round]);
            expected.extend(vec![round; usize::from(round)]);
            // Each call takes some bytes; the rest stays ahead of the next message.
            let taken = output.chunk().len().min(most);
            writer.written.extend_from_slice(&output.chunk()[..taken]);
            output.advance(taken);
        }
        let left = output.len();
        assert_eq!(output.write_to(&mut writer).unwrap(), left);
        assert!(output.is_empty() && writer.written == expected, "{most} bytes at a time");
    }
}

#[test]
fn a_failed_write_loses_no_bytes() {
    let (mut ws, mut output) = server();
    ws.send_text("hello", &mut output).unwrap();
    let mut writer = Writer { most: 3, written: Vec::new(), failures: vec![ErrorKind::WouldBlock] };
    assert_eq!(output.write_to(&mut writer).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(output.len(), 7);
    writer.failures = vec![ErrorKind::BrokenPipe, ErrorKind::Interrupted];
    assert_eq!(output.write_to(&mut writer).unwrap_err().kind(), ErrorKind::BrokenPipe);
    writer.most = 0;
    assert_eq!(output.write_to(&mut writer).unwrap_err().kind(), ErrorKind::WriteZero);
    writer.most = 3;
    assert_eq!(output.write_to(&mut writer).unwrap(), 7);
    assert_eq!(writer.written, b"\x81\x05hello");
}

/// A driver for TCP and TLS uses one of two writers through a pointer.
#[test]
fn a_writer_may_be_a_trait_object() {
    let (mut ws, mut output) = server();
    ws.send_text("hello", &mut output).unwrap();
    ws.send_bytes(MessageKind::Binary, Bytes::from(vec![7; 16 << 10]), &mut output).unwrap();
    let mut written = Vec::new();
    let transport: &mut dyn Write = &mut written;
    assert_eq!(output.write_to(transport).unwrap(), 7 + 4 + (16 << 10));
    assert!(output.is_empty() && written.starts_with(b"\x81\x05hello\x82\x7e\x40\x00\x07"));
}

/// A socket that is full after some bytes is not an error.
#[test]
fn a_full_socket_is_no_error_after_some_bytes() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.0.min(bytes.len()) {
                0 => Err(ErrorKind::WouldBlock.into()),
                taken => {
                    self.0 -= taken;
                    Ok(taken)
                }
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (mut ws, mut output) = server();
    ws.send_text("hello", &mut output).unwrap();
    assert_eq!(output.write_to(&mut Full(4)).unwrap(), 4);
    assert_eq!(output.chunk(), b"llo");
}

/// Vectored writes are for payloads kept by reference: bytes in one buffer take one plain write.
#[test]
fn adjacent_frames_take_one_write() {
    struct Plain(Vec<Vec<u8>>);
    impl Write for Plain {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
            panic!("{} slices", slices.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (mut ws, mut output) = server();
    ws.send_text("one", &mut output).unwrap();
    ws.send_text("two", &mut output).unwrap();
    let mut writer = Plain(Vec::new());
    assert_eq!(output.write_to(&mut writer).unwrap(), 10);
    assert_eq!(writer.0, [b"\x81\x03one\x81\x03two"]);
}

#[test]
fn append_moves_everything_and_keeps_the_order() {
    let (mut ws, mut output) = server();
    let mut backlog = Output::new();
    for text in ["one", "two", "three"] {
        ws.send_text(text, &mut output).unwrap();
        backlog.append(&mut output);
        assert!(output.is_empty());
    }
    assert_eq!(backlog.chunk(), b"\x81\x03one\x81\x03two\x81\x05three");
    backlog.append(&mut Output::new());
    assert_eq!(backlog.len(), 17);
}

/// Over the budget, a waiting pong is replaced by the next, also in a backlog; a partly written one never is.
#[test]
fn an_appended_pong_is_replaced_only_before_it_is_partly_written() {
    let (mut ws, mut output) = server();
    let mut backlog = Output::new();
    ws.send_binary(b"data", &mut backlog).unwrap();
    receive(&mut ws, &ping(1), &mut output);
    backlog.append(&mut output);
    receive(&mut ws, &ping(2), &mut backlog);
    assert_eq!(backlog.chunk(), b"\x82\x04data\x8a\x01\x02");

    let (mut ws, mut output) = server();
    let mut backlog = Output::new();
    ws.send_binary(b"data", &mut backlog).unwrap();
    receive(&mut ws, &ping(1), &mut output);
    output.advance(1);
    backlog.append(&mut output);
    receive(&mut ws, &ping(2), &mut backlog);
    assert_eq!(backlog.chunk(), b"\x82\x04data\x01\x01\x8a\x01\x02");
}

#[test]
fn advancing_past_the_end_empties_the_output() {
    let mut output = Output::new();
    Connection::client(&ClientRequest::new("ws://localhost/"), Config::new(), [0; 32], &mut output).unwrap();
    output.advance(usize::MAX);
    assert_eq!((output.len(), output.remaining(), output.chunk()), (0, 0, b"".as_slice()));
}

/// However a stream is cut, a read adds at most three times its bytes plus 512 to the output, as `Output` documents; it
/// may add three times its bytes.
#[test]
fn the_output_added_by_a_read_is_bounded() {
    let pings = b"\x89\x00".repeat(1000);
    let mut output = Output::new();
    receive(&mut client(), &pings, &mut output);
    assert_eq!(output.len(), 3 * pings.len(), "a masked pong has 6 bytes");

    let longest_ping = [&[0x89, 0x7d][..], &[7; 125]].concat();
    let masked_ping = [&[0x89, 0x80 | 0x7d, 1, 2, 3, 4][..], &[7; 125]].concat();
    let from_server = [&b"\x88\x00"[..], b"\xff\xff", b"\x81\x01\xff"].map(|end| [&longest_ping, end].concat());
    let from_client = [&b"\x88\x80\0\0\0\0"[..], b"\xff\xff"].map(|end| [&masked_ping, end].concat());
    let requests = [
        b"\0".to_vec(),
        b"POST / HTTP/1.1\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        REQUEST.iter().map(|byte| if *byte == b'3' { b'2' } else { *byte }).collect(),
    ];
    let open_server = || server().0;
    check_every_cut(client, &from_server);
    check_every_cut(open_server, &from_client);
    check_every_cut(|| Connection::server(Config::new()), &requests);
    check_every_cut(|| Connection::server(Config::new().max_head_size(10)), &[REQUEST.to_vec()]);
}

fn check_every_cut(open: impl Fn() -> Connection, streams: &[Vec<u8>]) {
    for stream in streams {
        for (before, read) in (0..stream.len()).map(|at| stream.split_at(at)) {
            let (mut ws, mut output) = (open(), Output::new());
            receive(&mut ws, before, &mut output);
            let waiting = output.len();
            receive(&mut ws, read, &mut output);
            let added = output.len() - waiting;
            assert!(added <= 3 * read.len() + 512, "{added} for {read:x?} after {before:x?}");
        }
        let mut output = Output::new();
        receive(&mut open(), stream, &mut output);
        assert!(!output.is_empty(), "{stream:x?} has an answer");
    }
}

/// Pings sent before the 101 count in the first read after the request was accepted, when they are answered.
#[test]
fn the_output_added_by_early_data_is_bounded() {
    let (mut ws, mut output) = (Connection::server(Config::new()), Output::new());
    let Some(Event::Request(request)) = ws.receive(&mut Input::new(&mut REQUEST.to_vec()), &mut output) else {
        panic!("no request");
    };
    let pings: Vec<u8> = (0..1000).flat_map(|_| ping(7)).collect();
    receive(&mut ws, &pings, &mut output);
    assert!(output.is_empty());
    ws.accept(request, &mut output);
    let waiting = output.len();
    receive(&mut ws, b"", &mut output);
    let added = output.len() - waiting;
    assert!(added >= 1000 && added <= 3 * pings.len() + 512, "{added}");
}

/// A server's output with small frames, payloads by reference in any places, and counted messages.
fn mixed(pattern: u32) -> (Connection, Output) {
    let (mut ws, mut output) = server();
    for bit in 0..6 {
        let payload = vec![bit; 1000 * usize::from(bit) + 16_384];
        match pattern >> (2 * bit) & 3 {
            0 => ws.send_binary(&payload[..usize::from(bit) * 50], &mut output).unwrap(),
            1 => ws.send_bytes(MessageKind::Binary, Bytes::from(payload), &mut output).unwrap(),
            2 => drop(receive(&mut ws, &ping(bit), &mut output)),
            _ => output.advance(7),
        }
    }
    (ws, output)
}

/// Chunks that are taken and bytes that are written give the stream of an output of which no chunk is taken. No chunk is
/// copied, and messages can be sent in between.
#[test]
fn taken_chunks_are_the_waiting_bytes() {
    for pattern in 0..1 << 12 {
        let ((_, mut expected), (mut ws, mut output)) = (mixed(pattern), mixed(pattern));
        let mut bytes = expected.copy_to_bytes(expected.remaining()).to_vec();
        let mut taken = Vec::new();
        for round in 0.. {
            let (first, address, len) = (output.chunk().to_vec(), output.chunk().as_ptr(), output.len());
            let chunk = output.take_chunk();
            assert!(chunk == first && (chunk.is_empty() || chunk.as_ptr() == address), "{pattern:#x} {round}");
            assert_eq!(output.len(), len - chunk.len());
            taken.extend_from_slice(&chunk);
            if round == 1 {
                // A pong, a message, and a payload by reference are the next bytes.
                let before = output.len();
                receive(&mut ws, &ping(9), &mut output);
                ws.send_binary(b"between", &mut output).unwrap();
                ws.send_bytes(MessageKind::Binary, Bytes::from(vec![8; 20_000]), &mut output).unwrap();
                bytes.extend(b"\x8a\x01\x09\x82\x07between\x82\x7e\x4e\x20");
                bytes.extend(vec![8; 20_000]);
                assert_eq!(output.len(), before + 3 + 9 + 4 + 20_000);
            } else if round == 2 {
                let written = output.len().min(5);
                taken.extend_from_slice(&output.copy_to_bytes(written));
            }
            if chunk.is_empty() && round > 2 {
                break;
            }
        }
        assert!(output.is_empty() && taken == bytes, "{pattern:#x}");
    }
}

/// Pongs in a chunk that was taken are written: a later ping is answered after them.
#[test]
fn pongs_in_a_taken_chunk_are_not_replaced() {
    let (mut ws, mut output) = server();
    receive(&mut ws, &ping(1), &mut output);
    assert_eq!(output.take_chunk(), &b"\x8a\x01\x01"[..]);
    receive(&mut ws, &[ping(2), ping(3)].concat(), &mut output);
    assert_eq!(output.take_chunk(), &b"\x8a\x01\x03"[..]);
}

/// `bufferedAmount` counts what was not taken.
#[test]
fn a_taken_chunk_is_not_buffered() {
    let config = Config::new().browser_rules(true);
    let mut ws = wired::open(Role::Client, config, Config::new()).0;
    let mut output = Output::new();
    ws.send_binary(&[1; 300], &mut output).unwrap();
    assert_eq!(output.buffered_amount(), 300);
    assert_eq!(output.take_chunk().len(), 308);
    assert_eq!(output.buffered_amount(), 0);
    ws.send_binary(&[1; 30], &mut output).unwrap();
    assert_eq!(output.buffered_amount(), 30);
}
