//! Receives: turns results of the [`Receiver`](crate::receiver::Receiver) and the handshake into events, answers and
//! state transitions.

use alloc::vec::Vec;

use super::Connection;
use super::handshake::Progress;
use super::heap::Pending;
use super::state::Phase;
use crate::error::Fault;
use crate::event::Event;
use crate::input::Input;
use crate::output::Output;
use crate::receiver::Received;

/// # Receive
impl Connection {
    /// Receives bytes that were read from the transport, and returns the next event; `None` when every byte is
    /// consumed. Answers to the peer (a response, a pong, a Close) are added to `output`.
    ///
    /// Call it until it returns `None`. After [`Event::Closed`] it consumes every input and returns `None`. An input
    /// [from an empty read](Input::from_read) ends the stream, as [`receive_eof`](Self::receive_eof) does.
    ///
    /// # Backpressure
    /// Read more from the transport only while [`output.len()`](Output::len) is below a limit of your choice.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the caller gets the event in registers; rare cases are calls")]
    pub fn receive<'i>(&mut self, input: &mut Input<'i>, output: &mut Output) -> Option<Event<'i>> {
        if self.fast_path {
            if let Some(event) = self.receiver.take_message(&mut self.heap, input) {
                return Some(event);
            }
            return self.receive_rest(input, output);
        }
        self.receive_slow(input, output)
    }

    /// Ends the connection because its stream has ended: the peer closed the transport, reading or writing failed, or
    /// you stop waiting.
    ///
    /// Call it until it returns `None`. Nothing more is sent.
    pub fn receive_eof(&mut self) -> Option<Event<'static>> {
        // Delivers early data first. The answers to it cannot be sent: restoring the sender leaves them uncounted.
        let sender = self.sender.clone();
        let undelivered = self.receive_any(&mut Input::default(), &mut Output::new());
        self.sender = sender;
        if undelivered.is_some() {
            return undelivered;
        }
        self.on_eof();
        self.report_end()
    }

    /// Gives back the buffer of an owned message, to reassemble the next one in it.
    ///
    /// Messages are owned if they are split over several reads or fragments; parts are owned only if they are
    /// compressed. Without this method, each such message costs an allocation, and an idle connection keeps none. With
    /// it, the connection keeps the buffer, whatever its size, in addition to
    /// [`Config::max_memory`](crate::Config::max_memory). Ignored while a message is reassembled.
    ///
    /// # Examples
    /// ```
    /// # use std::borrow::Cow;
    /// # use websocket_proto::{Connection, Event};
    /// fn done_with(event: Event<'_>, ws: &mut Connection) {
    ///     match event {
    ///         Event::Binary(Cow::Owned(data)) => ws.recycle(data),
    ///         Event::Text(Cow::Owned(text)) => ws.recycle(text.into_bytes()),
    ///         _ => {}
    ///     }
    /// }
    /// ```
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        let is_reassembling = self.receiver.is_reassembling_whole(&self.heap);
        if !is_reassembling && self.receives_frames() && buffer.capacity() > 0 {
            self.heap().receiver.recycle(buffer);
        }
    }
}

impl Connection {
    /// Continues if the fast path returns no event: at the end of the input, in an incomplete message, or with a frame
    /// for the full parser.
    #[inline(never)]
    fn receive_rest<'i>(&mut self, input: &mut Input<'i>, output: &mut Output) -> Option<Event<'i>> {
        if input.is_empty() && self.receiver.is_between_frames() {
            self.free_heap_if_unused();
            return self.end_of_input(input);
        }
        self.refresh_fast_path();
        self.receive_slow(input, output)
    }

    /// Receives any input without the fast path.
    #[inline(never)]
    fn receive_slow<'i>(&mut self, input: &mut Input<'i>, output: &mut Output) -> Option<Event<'i>> {
        if !self.receiver.is_reassembling() {
            self.receive_any(input, output)
        } else if self.receiver.append_plain_byte(&mut self.heap, input) {
            None
        } else {
            self.receive_more(input, output)
        }
    }

    /// Receives more bytes of the message that is being reassembled.
    #[inline(never)]
    fn receive_more<'i>(&mut self, input: &mut Input<'i>, output: &mut Output) -> Option<Event<'i>> {
        let (receiver, heap) = (&mut self.receiver, &mut self.heap);
        if receiver.append_byte(heap, input) || receiver.append_short_read(heap, input) {
            None
        } else {
            self.continue_message(input, output)
        }
    }

    /// Receives more bytes of the message that is being reassembled, and the bytes after the message.
    #[inline(never)]
    fn continue_message<'i>(&mut self, input: &mut Input<'i>, output: &mut Output) -> Option<Event<'i>> {
        let finished = match self.receiver.continue_message(&mut self.heap, input) {
            Ok(true) => self.receiver.finish_message(&mut self.heap),
            Ok(false) if input.is_empty() && self.receiver.is_reassembling() => return self.end_of_input(input),
            Ok(false) => return self.receive_any(input, output),
            Err(fault) => Err(fault),
        };
        match finished {
            Ok(_) if self.discards_messages() => self.receive_any(input, output),
            Ok(event) => {
                // The next byte starts a message. No early data remains: while some does, the receiver is between
                // frames.
                self.set_fast_path(true);
                Some(event)
            }
            Err(fault) => Some(self.fail(fault, input, output)),
        }
    }

    /// Receives any input, in any state.
    #[inline(never)]
    fn receive_any<'i>(&mut self, input: &mut Input<'i>, output: &mut Output) -> Option<Event<'i>> {
        let event = match self.phase {
            Phase::Handshake => self.receive_handshake(input, output),
            Phase::Open | Phase::CloseSent => {
                let event = self.receive_early_data(output);
                if event.is_some() { event } else { self.receive_frames(input, output) }
            }
            Phase::Draining | Phase::Ended | Phase::Reported => None,
        };
        if event.is_some() {
            self.refresh_fast_path();
            return event;
        }
        // Only without an event: recycling the buffer of an event would allocate the heap again.
        self.free_heap_if_unused();
        self.refresh_fast_path();
        if !self.receives_frames() && self.phase != Phase::Handshake {
            // RFC 6455 §5.5.1, §7.1.7: everything after a Close, or after the connection was failed, is discarded.
            input.consume_all();
        }
        let event = self.report_end();
        if event.is_some() { event } else { self.end_of_input(input) }
    }

    /// Every byte is consumed: the stream ends here, or more bytes will follow.
    #[inline]
    fn end_of_input(&mut self, input: &Input<'_>) -> Option<Event<'static>> {
        if input.is_end() { self.receive_eof() } else { None }
    }

    fn receive_handshake<'i>(&mut self, input: &mut Input<'i>, output: &mut Output) -> Option<Event<'i>> {
        match self.heap.as_mut()?.handshake_mut()?.receive(input)? {
            Progress::Request(request) => return Some(Event::Request(request)),
            Progress::Opened(response, negotiated) => {
                self.on_opened(negotiated);
                return Some(Event::Open(response));
            }
            Progress::Rejected(rejection) => self.on_rejected_by_server(rejection),
            Progress::Invalid(error) => self.on_handshake_error(error, output),
        }
        self.report_end()
    }

    /// Receives bytes that arrived before the request was accepted.
    fn receive_early_data(&mut self, output: &mut Output) -> Option<Event<'static>> {
        let mut early_data = self.heap.as_mut()?.take_early_data()?;
        let mut input = Input::new(early_data.rest());
        let event = self.receive_frames(&mut input, output).map(Event::into_owned);
        let remaining = input.len();
        if remaining > 0 && self.receives_frames() {
            early_data.keep_last(remaining);
            self.heap().pending = Pending::EarlyData(early_data);
        }
        event
    }

    /// Receives frames, and answers control frames.
    fn receive_frames<'i>(&mut self, input: &mut Input<'i>, output: &mut Output) -> Option<Event<'i>> {
        while self.receives_frames() {
            let received = match self.receiver.receive(&mut self.heap, input, output.codecs()) {
                Ok(received) => received?,
                Err(fault) => return Some(self.fail(fault, input, output)),
            };
            return match received {
                Received::Message(_) if self.discards_messages() => continue,
                Received::Message(event) => Some(event),
                Received::Ping(payload) => {
                    // RFC 6455 §5.5.3: "A Pong frame sent in response to a Ping frame must have identical "Application
                    // data" as found in the message body of the Ping frame being replied to."
                    let budget = self.max_pending_pong_bytes as usize;
                    self.sender.write_pong(&payload, budget, &mut self.heap, output);
                    Some(Event::Ping(payload))
                }
                Received::Pong(payload) => Some(Event::Pong(payload)),
                Received::Close(payload) => match self.on_close_received(&payload, output) {
                    Ok(event) => event,
                    Err(error) => Some(self.fail(error.into(), input, output)),
                },
            };
        }
        None
    }

    /// Fails the connection and discards the input after the fault.
    #[cold]
    fn fail(&mut self, fault: Fault, input: &mut Input<'_>, output: &mut Output) -> Event<'static> {
        input.consume_all();
        self.on_error(fault, output)
    }
}
