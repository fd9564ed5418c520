//! [`Queue`]: messages that arrived while the application was sending.

use std::collections::VecDeque;

use crate::message::Message;

/// From this many bytes on, nothing more is read until the application receives.
const LIMIT: usize = 256 << 10;

/// Messages that arrived while the application was sending, in order.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    messages: VecDeque<Message>,
    bytes: usize,
}

impl Queue {
    pub(crate) fn push(&mut self, message: Message) {
        self.bytes += cost(&message);
        self.messages.push_back(message);
    }

    pub(crate) fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= cost(&message);
        if self.messages.is_empty() {
            self.messages = VecDeque::new();
        }
        Some(message)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= LIMIT
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }
}

/// The payload, and the memory that a message takes beside it.
fn cost(message: &Message) -> usize {
    message.payload().len() + size_of::<Message>() + 32
}
