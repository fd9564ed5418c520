//! Messages to send, in batches.

use crate::content::Payload;
use crate::work::Work;

/// A row's messages, in a contender's own type.
pub struct Batches<M> {
    messages: Vec<M>,
    size: usize,
    next: usize,
}

impl<M> Batches<M> {
    pub fn new(work: &Work, form: impl FnMut(Payload) -> M) -> Self {
        Self { messages: work.payloads().into_iter().map(form).collect(), size: work.batch(), next: 0 }
    }

    /// The number of batches for at least `messages` messages, and the number of messages in them.
    pub fn count(&self, messages: usize) -> (usize, usize) {
        (messages.div_ceil(self.size), messages.next_multiple_of(self.size))
    }

    /// The next batch; after the last one, the first.
    pub fn next(&mut self) -> &mut [M] {
        let start = self.next;
        let end = start + self.size;
        self.next = end % self.messages.len();
        &mut self.messages[start..end]
    }
}
