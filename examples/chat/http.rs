//! Plain HTTP, on the one port there is: the page's three files and the login. One answer, then the
//! connection is closed.

use std::io;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::messages::clean_name;
use crate::token::Tokens;

/// More than browsers send.
const MAX_HEAD: usize = 16 << 10;

/// A name in JSON.
const MAX_BODY: usize = 1 << 10;

/// Nothing is loaded from elsewhere, nothing inline runs, and no other site's page may frame this one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Reads a request's head, with its empty line; returns what came behind it.
pub(crate) async fn read_head(tcp: &mut TcpStream, head: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    loop {
        // The end may lie across two reads.
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

/// Answers a request whose head, and perhaps more, has been read.
pub(crate) async fn serve(tcp: &mut TcpStream, head: &[u8], mut body: Vec<u8>, tokens: &Tokens) -> io::Result<()> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut headers);
    if request.parse(head).is_err() {
        return answer(tcp, "400 Bad Request", "text/plain", "malformed HTTP\n").await;
    }
    let path = request.path.unwrap_or_default().split('?').next().unwrap_or_default();
    match (request.method.unwrap_or_default(), path) {
        ("GET", "/") => answer(tcp, "200 OK", "text/html", include_str!("page.html")).await,
        ("GET", "/page.css") => answer(tcp, "200 OK", "text/css", include_str!("page.css")).await,
        ("GET", "/page.js") => answer(tcp, "200 OK", "text/javascript", include_str!("page.js")).await,
        ("POST", "/login") => {
            let length = header(&request, "Content-Length").and_then(|length| length.parse().ok()).unwrap_or(0);
            if length > MAX_BODY {
                return answer(tcp, "413 Content Too Large", "text/plain", "a name is shorter\n").await;
            }
            while body.len() < length {
                if tcp.read_buf(&mut body).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            let Some(token) = log_in(&body, tokens) else {
                let rule = "a name has 1 to 24 letters, digits, spaces or . _ - '\n";
                return answer(tcp, "400 Bad Request", "text/plain", rule).await;
            };
            answer(tcp, "200 OK", "text/plain", &token).await
        }
        ("GET" | "POST", _) => answer(tcp, "404 Not Found", "text/plain", "there is nothing here\n").await,
        _ => answer(tcp, "405 Method Not Allowed", "text/plain", "GET, or POST to /login\n").await,
    }
}

/// A token for the name in the body. Here a password would be asked for.
fn log_in(body: &[u8], tokens: &Tokens) -> Option<String> {
    #[derive(Deserialize)]
    struct Login {
        name: String,
    }
    let login: Login = serde_json::from_slice(body).ok()?;
    Some(tokens.issue(&clean_name(&login.name)?))
}

fn header<'h>(request: &httparse::Request<'_, 'h>, name: &str) -> Option<&'h str> {
    let header = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    str::from_utf8(header.value).ok()
}

async fn answer(tcp: &mut TcpStream, status: &str, media_type: &str, body: &str) -> io::Result<()> {
    let allow = if status.starts_with("405") { "Allow: GET, POST\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {media_type}; charset=utf-8\r\nContent-Length: {}\r\n{allow}\
         Content-Security-Policy: {POLICY}\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n",
        body.len()
    );
    tcp.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await
}
