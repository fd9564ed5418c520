//! Owned events, to compare with.

use websocket_proto::Event;

pub fn text(text: &str) -> Event<'static> {
    Event::Text(text.to_owned().into())
}

pub fn binary(data: &[u8]) -> Event<'static> {
    Event::Binary(data.to_vec().into())
}

pub fn ping(data: &[u8]) -> Event<'static> {
    Event::Ping(data.to_vec().into())
}

pub fn pong(data: &[u8]) -> Event<'static> {
    Event::Pong(data.to_vec().into())
}
