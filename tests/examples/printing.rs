//! The examples print a peer's text in one line, without characters that control a terminal.

#[path = "../../examples/shared/printable.rs"]
mod printable;

use std::collections::HashSet;
use std::io::{BufRead, Write};
use std::net::TcpStream;

use printable::Printable;

use crate::{REQUEST, accept, client, listening, serve_once};

fn printed(text: &str) -> String {
    Printable(text).to_string()
}

/// Reverses the escaping.
fn read_back(line: &str) -> String {
    let mut pieces = line.split(r"\u{");
    let mut text = pieces.next().expect("the escape has a first character").to_owned();
    for piece in pieces {
        let (digits, rest) = piece.split_once('}').expect("an escape ends");
        text.push(u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).expect("a character"));
        text.push_str(rest);
    }
    text
}

/// Unicode's general categories Cc, Zl and Zp, and its property `Bidi_Control`.
#[test]
fn only_control_characters_and_line_breaks_are_escaped() {
    let controls = ('\0'..='\x1f').chain('\x7f'..='\u{9f}');
    let separators = "\u{2028}\u{2029}".chars();
    let bidirectional =
        "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
    let obeyed: HashSet<char> = controls.chain(separators).chain(bidirectional.chars()).collect();
    assert_eq!(obeyed.len(), 65 + 2 + 12);
    for c in '\0'..=char::MAX {
        let line = printed(&c.to_string());
        if obeyed.contains(&c) {
            assert_eq!(line, format!("\\u{{{:x}}}", u32::from(c)));
        } else {
            assert_eq!(line, c.to_string(), "{c:?}");
        }
    }
}

#[test]
fn ordinary_text_is_printed_unchanged() {
    for text in [
        "",
        "hello, world",
        "Grüße, Żółw, 世界, 한글, नमस्ते, שלום, مرحبا",
        "\u{1f980} \u{1f469}\u{200d}\u{1f52c} \u{1f1e9}\u{1f1ea} e\u{301} می\u{200c}خواهم",
        r#"{"a":"b\nc","d":'\\',"e":"\u00e9"} C:\users\u \u \ "#,
        "\u{a0}\u{3000}\u{fffd}",
    ] {
        assert_eq!(printed(text), text);
    }
    assert_eq!(printed(&"x€".repeat(100_000)), "x€".repeat(100_000));
}

#[test]
fn escaping_can_be_reversed() {
    for text in [
        "x\nCLOSED 1000",
        "\r\n",
        "\x1b[2J\x1b]0;title\x07",
        "a\u{9b}31mb\u{85}c\x7f",
        "\u{202e}txt.exe\u{2069}",
        r"\u{a}",
        r"\\u{a}",
        "\\\n",
        "\\u\n{a}",
        r"\u{",
        "é\u{2028}é",
        "\\u{\u{1b}}",
    ] {
        let line = printed(text);
        assert_eq!(read_back(&line), text, "{line}");
        assert!(!line.contains(char::is_control) && line.lines().count() == 1, "{line:?}");
    }
    assert_eq!(printed("x\nCLOSED 1000"), r"x\u{a}CLOSED 1000");
    assert_eq!(printed(r"\u{a}"), r"\u{5c}u{a}");
}

#[test]
fn the_interop_server_prints_a_reason_in_one_line() {
    let (_server, address, mut lines) = listening("interop_server", &[]);
    let mut tcp = TcpStream::connect(address).expect("the server listens");
    tcp.write_all(&[REQUEST, b"\x88\x8c\0\0\0\0\x0f\xa0x\nclosed 1"].concat()).expect("the peer reads");
    let mut line = String::new();
    lines.read_line(&mut line).expect("it says how the connection ended");
    assert_eq!(line, "closed 4000 x\\u{a}closed 1\n");
}

/// No reason, message, reason phrase or body adds a line or reaches the terminal unescaped.
#[test]
fn the_client_prints_the_servers_text_escaped() {
    let url = serve_once(|request, tcp| {
        accept(request, tcp);
        tcp.write_all(b"\x82\x0dx\nCLOSED 1000\x81\x0dx\nCLOSED 1000\x88\x0e\x0f\xa0\nCLOSED 1000")
            .expect("the peer reads");
    });
    let expected = vec!["OPEN".into(), "MSG binary 13".into(), "MSG text 13".into(), "CLOSED 4000".into()];
    assert_eq!(client(&url, &[]), (expected, true));
    for response in [
        "HTTP/1.1 403 Not\u{9b}31m\u{2028}OPEN\r\nContent-Length: 5\r\n\r\n\nOPEN",
        "HTTP/1.1 403 a\x1b[2J\r\nContent-Length: 5\r\n\r\n\nOPEN",
        "HTTP/1.1 302 Found\r\nLocation: \u{202e}\u{9b}\r\n\r\n",
        "HTTP/1.1 101 \u{202e}\r\nUpgrade: \u{9b}2J\r\n\r\n",
    ] {
        let (lines, succeeded) = client(&serve_once(move |_, tcp| tcp.write_all(response.as_bytes()).unwrap()), &[]);
        assert!(!succeeded && lines.len() == 1 && lines[0].starts_with("FAILED "), "{lines:?}");
        assert_eq!(printed(&lines[0]), lines[0]);
    }
}
