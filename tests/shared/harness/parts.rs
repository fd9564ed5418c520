//! Reassembles messages from their parts, and checks the guarantees on parts.

use websocket_proto::Event;

/// The parts of a message so far.
pub struct Parts {
    /// The most bytes in one part; 0 if messages arrive whole.
    pub size: usize,
    /// The parts so far of an incomplete message.
    pub unfinished: Option<Event<'static>>,
}

impl Parts {
    pub fn new(size: usize) -> Self {
        Self { size, unfinished: None }
    }

    /// The event as if messages arrived whole: `None` for a part that is not the last.
    pub fn reassemble<'i>(&mut self, event: Event<'i>) -> Option<Event<'i>> {
        let (message, is_last) = match event {
            Event::TextPart { text, first, last } => {
                self.check(text.len(), first, last);
                let message = match self.unfinished.take() {
                    None => text.into_owned(),
                    Some(Event::Text(reassembled)) => reassembled.into_owned() + &text,
                    Some(other) => panic!("text in {other:?}"),
                };
                (Event::Text(message.into()), last)
            }
            Event::BinaryPart { data, first, last } => {
                self.check(data.len(), first, last);
                let message = match self.unfinished.take() {
                    None => data.into_owned(),
                    Some(Event::Binary(reassembled)) => [&reassembled[..], &data].concat(),
                    Some(other) => panic!("binary in {other:?}"),
                };
                (Event::Binary(message.into()), last)
            }
            Event::Text(_) | Event::Binary(_) if self.size > 0 => panic!("a message, and not in parts: {event:?}"),
            event => return Some(event),
        };
        if is_last {
            return Some(message);
        }
        self.unfinished = Some(message);
        None
    }

    fn check(&self, len: usize, first: bool, last: bool) {
        assert!(len <= self.size, "a part of {len} bytes, where {} are allowed", self.size);
        assert!(len > 0 || last, "a part without bytes");
        assert_eq!(first, self.unfinished.is_none());
    }
}
