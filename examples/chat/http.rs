//! Plain HTTP on the same port: the page's three files and the login. Sends one answer, then closes the connection.

use std::borrow::Cow;
use std::io;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::messages::clean_name;
use crate::token::Tokens;

/// The limit on a request's head; browsers send less.
const MAX_HEAD: usize = 16 << 10;

/// The limit on content, enough for a name in JSON.
const MAX_BODY: usize = 1 << 10;

/// Nothing is loaded from other servers, no inline script runs, and no other site's page may frame this one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Reads a request's head with its empty line; returns the bytes after it. A head that is too large is `InvalidData`.
pub(crate) async fn read_head(tcp: &mut TcpStream, head: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    loop {
        // The empty line may begin in an earlier read.
        let searched = head.len().saturating_sub(3);
        if tcp.read_buf(head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = head[searched..].windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            return Ok(head.split_off(searched + end + 4));
        }
        if head.len() > MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// Answers a request after its head, and perhaps more, was read.
pub(crate) async fn serve(tcp: &mut TcpStream, head: &[u8], early_data: Vec<u8>, tokens: &Tokens) -> io::Result<()> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut headers);
    let answer = match request.parse(head) {
        Ok(_) => respond(tcp, &request, early_data, tokens).await?,
        Err(_) => Answer::bad_request("malformed HTTP\n"),
    };
    answer.write(tcp, request.method == Some("HEAD")).await
}

async fn respond(
    tcp: &mut TcpStream,
    request: &httparse::Request<'_, '_>,
    early_data: Vec<u8>,
    tokens: &Tokens,
) -> io::Result<Answer> {
    // RFC 9112 §3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that
    // lacks a Host header field and to any request message that contains more than one Host header field line".
    if values(request, "Host").count() != 1 {
        return Ok(Answer::bad_request("not one Host\n"));
    }
    let length = match content_length(request) {
        Ok(length) => length,
        Err(rejection) => return Ok(rejection),
    };
    let method = request.method.unwrap_or_default();
    Ok(match (method, request.path.unwrap_or_default().split('?').next().unwrap_or_default()) {
        // RFC 9110 §9.3.1: content here has no meaning, "and might lead some implementations to reject the request and
        // close the connection because of its potential as a request smuggling attack".
        ("GET" | "HEAD", _) if length > 0 => Answer::bad_request("content that means nothing\n"),
        // RFC 9110 §9.1: "All general-purpose servers MUST support the methods GET and HEAD."
        ("GET" | "HEAD", "/") => Answer::page("text/html", include_str!("page.html")),
        ("GET" | "HEAD", "/page.css") => Answer::page("text/css", include_str!("page.css")),
        ("GET" | "HEAD", "/page.js") => Answer::page("text/javascript", include_str!("page.js")),
        ("POST", "/login") => match read_content(tcp, early_data, length).await? {
            Ok(content) => log_in(&content, tokens),
            Err(rejection) => rejection,
        },
        (_, "/login") => Answer::not_allowed("POST"),
        (_, "/" | "/page.css" | "/page.js") => Answer::not_allowed("GET, HEAD"),
        _ => Answer::new("404 Not Found", "there is nothing here\n"),
    })
}

/// The length of a request's content, or the answer that rejects it: RFC 9112 §6.3. A message whose length two parsers
/// understand differently can smuggle requests.
fn content_length(request: &httparse::Request<'_, '_>) -> Result<usize, Answer> {
    let mut codings = elements(request, "Transfer-Encoding").peekable();
    let mut lengths = elements(request, "Content-Length");
    if codings.peek().is_some() {
        return Err(transfer_coded(codings, lengths.next().is_some()));
    }
    // 7: "If this is a request message and none of the above are true, then the message body length is zero".
    let Some(length) = lengths.next() else { return Ok(0) };
    // 5: "If a message is received without Transfer-Encoding and with an invalid Content-Length header field, then the
    // message framing is invalid and the recipient MUST treat it as an unrecoverable error, unless the field value can
    // be successfully parsed as a comma-separated list (Section 5.6.1 of [HTTP]), all values in the list are valid, and
    // all values in the list are the same".
    let is_valid = !length.is_empty() && length.iter().all(u8::is_ascii_digit) && lengths.all(|other| other == length);
    let length = str::from_utf8(length).ok().filter(|_| is_valid);
    // More digits than a `usize` holds are too large in any case.
    length
        .map(|digits| digits.parse().unwrap_or(usize::MAX))
        .ok_or(Answer::bad_request("Content-Length is no length\n"))
}

/// Rejects a transfer coding, which this server never accepts, with the status that RFC 9112 has for each case.
fn transfer_coded<'h>(codings: impl Iterator<Item = &'h [u8]>, has_length: bool) -> Answer {
    let is_chunked: Vec<bool> = codings.map(|coding| coding.eq_ignore_ascii_case(b"chunked")).collect();
    match &is_chunked[..] {
        // §6.3, 3: "Such a message might indicate an attempt to perform request smuggling (Section 11.2) or response
        // splitting (Section 11.1) and ought to be handled as an error."
        _ if has_length => Answer::bad_request("Transfer-Encoding and Content-Length\n"),
        // §6.3: "A server MAY reject a request that contains a message body but not a Content-Length by responding with
        // 411 (Length Required)."
        [true] => Answer::new("411 Length Required", "Content-Length, please\n"),
        // §6.1: "A server that receives a request message with a transfer coding it does not understand SHOULD respond
        // with 501 (Not Implemented)."
        [others @ .., true] if !others.contains(&true) => Answer::new("501 Not Implemented", "no such coding\n"),
        // §6.3, 4: "If a Transfer-Encoding header field is present in a request and the chunked transfer coding is not
        // the final encoding, the message body length cannot be determined reliably; the server MUST respond with the
        // 400 (Bad Request) status code and then close the connection."
        _ => Answer::bad_request("content without an end\n"),
    }
}

/// Reads the content; `content` has the bytes received with the head. Only one request is answered, so nothing may
/// follow it.
async fn read_content(tcp: &mut TcpStream, mut content: Vec<u8>, length: usize) -> io::Result<Result<Vec<u8>, Answer>> {
    if length > MAX_BODY {
        return Ok(Err(Answer::new("413 Content Too Large", "a name is shorter\n")));
    }
    while content.len() < length {
        // Room for one byte more than the content.
        content.reserve(length + 1 - content.len());
        if tcp.read_buf(&mut content).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let has_more = content.len() > length || matches!(tcp.try_read(&mut [0]), Ok(1..));
    Ok(if has_more { Err(Answer::bad_request("more than Content-Length\n")) } else { Ok(content) })
}

/// A token for the name in the content. A real login would ask for a password here.
fn log_in(content: &[u8], tokens: &Tokens) -> Answer {
    #[derive(Deserialize)]
    struct Login {
        name: String,
    }
    let login = serde_json::from_slice(content).ok();
    match login.and_then(|login: Login| clean_name(&login.name)) {
        Some(name) => Answer::new("200 OK", tokens.issue(&name)),
        None => Answer::bad_request("a name has 1 to 24 letters, digits, spaces or . _ - '\n"),
    }
}

/// The values of all headers called `name`.
fn values<'r>(request: &'r httparse::Request<'_, '_>, name: &'r str) -> impl Iterator<Item = &'r [u8]> {
    let named = request.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    named.map(|header| header.value)
}

/// The list elements in all headers called `name`, also empty ones, without the white space around them.
fn elements<'r>(request: &'r httparse::Request<'_, '_>, name: &'r str) -> impl Iterator<Item = &'r [u8]> {
    let elements = values(request, name).flat_map(|value| value.split(|&byte| byte == b','));
    elements.map(<[u8]>::trim_ascii)
}

/// The answer to a request; after it the connection is closed.
struct Answer {
    status: &'static str,
    media_type: &'static str,
    /// A header line, or empty.
    allow: String,
    body: Cow<'static, str>,
}

impl Answer {
    fn new(status: &'static str, body: impl Into<Cow<'static, str>>) -> Self {
        Self { status, media_type: "text/plain", allow: String::new(), body: body.into() }
    }

    fn page(media_type: &'static str, page: &'static str) -> Self {
        Self { media_type, ..Self::new("200 OK", page) }
    }

    fn bad_request(why: &'static str) -> Self {
        Self::new("400 Bad Request", why)
    }

    /// RFC 9110 §15.5.6: "The origin server MUST generate an Allow header field in a 405 response".
    fn not_allowed(methods: &str) -> Self {
        Self { allow: format!("Allow: {methods}\r\n"), ..Self::new("405 Method Not Allowed", "not by this method\n") }
    }

    /// RFC 9110 §9.3.2: HEAD gets the same headers as GET, with its Content-Length, and no content.
    async fn write(&self, tcp: &mut TcpStream, is_to_head: bool) -> io::Result<()> {
        let Self { status, media_type, allow, body } = self;
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {media_type}; charset=utf-8\r\nContent-Length: {}\r\n{allow}\
             Content-Security-Policy: {POLICY}\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n",
            body.len()
        );
        let content = if is_to_head { "" } else { body };
        tcp.write_all(&[head.as_bytes(), content.as_bytes()].concat()).await
    }
}
