//! [`Heap`]: the rare state of a connection, in one allocation. An idle server without a subprotocol, a recycled buffer
//! or a compressor of its own has none.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::handshake::Handshake;
use crate::error::OutOfMemory;
use crate::event::Closed;
use crate::handshake::Response;
use crate::lazy::Lazy;
use crate::receiver::ReceiverState;
use crate::sender::SenderState;

#[derive(Debug, Default)]
pub(super) struct Heap {
    pub(super) receiver: ReceiverState,
    pub(super) sender: SenderState,
    pub(super) pending: Pending,
    pub(super) subprotocol: Option<Box<str>>,
    /// Message bytes that browser rules accepted and did not send.
    pub(super) unsent: u64,
}

/// The state that waits for the next phase or event: `Handshake` in the phase of that name, `EarlyData` or `None` while
/// frames are received, `Rejected` or `Closed` after that. One at a time, so that the heap stays small.
#[derive(Debug, Default)]
pub(super) enum Pending {
    #[default]
    None,
    /// Until the connection is open, or has failed to open.
    Handshake(Box<Handshake>),
    /// Until the early data is delivered.
    EarlyData(Box<EarlyData>),
    /// Client: a rejection that is reported before the end.
    Rejected(Box<(Response, Closed)>),
    /// From the moment when the end is known. A clean one stays after it was reported.
    Closed(Closed),
}

/// Bytes received before a decision. They become input once the connection is open.
#[derive(Debug)]
pub(super) struct EarlyData {
    bytes: Vec<u8>,
    /// The first `delivered` bytes are delivered.
    delivered: usize,
}

impl Heap {
    fn is_empty(&self) -> bool {
        let Self { receiver, sender, pending, subprotocol, unsent } = self;
        // The likeliest first.
        sender.is_empty()
            && receiver.is_empty()
            && matches!(pending, Pending::None)
            && subprotocol.is_none()
            && *unsent == 0
    }

    /// Frees the memory of messages in both directions.
    pub(super) fn free_memory(&mut self) {
        self.receiver.free_memory();
        self.sender.free_memory();
    }

    /// Frees everything that a closed connection no longer needs. `pending` stays.
    pub(super) fn release(&mut self, pending: Pending) {
        // The WebSocket API's `protocol` does not change after the handshake, nor does `bufferedAmount` fall.
        let Self { subprotocol, unsent, .. } = core::mem::take(self);
        *self = Self { pending, subprotocol, unsent, ..Self::default() };
    }

    pub(super) fn handshake(&self) -> Option<&Handshake> {
        if let Pending::Handshake(handshake) = &self.pending { Some(handshake) } else { None }
    }

    pub(super) fn handshake_mut(&mut self) -> Option<&mut Handshake> {
        if let Pending::Handshake(handshake) = &mut self.pending { Some(handshake) } else { None }
    }

    /// The handshake, which is over.
    pub(super) fn take_handshake(&mut self) -> Option<Box<Handshake>> {
        match core::mem::take(&mut self.pending) {
            Pending::Handshake(handshake) => Some(handshake),
            other => {
                self.pending = other;
                None
            }
        }
    }

    pub(super) fn has_early_data(&self) -> bool {
        matches!(self.pending, Pending::EarlyData(_))
    }

    /// The early data, to be put back if some is left.
    pub(super) fn take_early_data(&mut self) -> Option<Box<EarlyData>> {
        match core::mem::take(&mut self.pending) {
            Pending::EarlyData(early_data) => Some(early_data),
            other => {
                self.pending = other;
                None
            }
        }
    }

    /// The end, if it is known.
    pub(super) fn closed(&self) -> Option<&Closed> {
        if let Pending::Closed(closed) = &self.pending { Some(closed) } else { None }
    }
}

/// Frees the allocation if nothing is in it.
#[inline]
pub(super) fn free_if_empty(heap: &mut Option<Box<Heap>>) {
    #[inline(never)]
    fn free(heap: &mut Option<Box<Heap>>) {
        heap.take_if(|heap| heap.is_empty());
    }

    if heap.is_some() {
        free(heap);
    }
}

impl EarlyData {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, delivered: 0 }
    }

    /// The bytes that are not delivered yet.
    pub(super) fn rest(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.delivered..).unwrap_or_default()
    }

    /// Counts all but the last `count` bytes as delivered. Frees delivered bytes once they are more than half, so that
    /// each byte moves at most once.
    pub(super) fn keep_last(&mut self, count: usize) {
        self.delivered = self.bytes.len().saturating_sub(count);
        if self.delivered > count {
            self.bytes = self.bytes.split_off(self.delivered);
            self.delivered = 0;
        }
    }
}

macro_rules! lend_part {
    ($part:ident: $Part:ty) => {
        impl Lazy<$Part> for Option<Box<Heap>> {
            #[inline]
            fn get(&self) -> Option<&$Part> {
                self.as_ref().map(|heap| &heap.$part)
            }

            #[inline]
            fn get_mut(&mut self) -> Option<&mut $Part> {
                self.as_mut().map(|heap| &mut heap.$part)
            }

            #[inline]
            fn get_or_make(&mut self) -> Result<&mut $Part, OutOfMemory> {
                Lazy::<Heap>::get_or_make(self).map(|heap| &mut heap.$part)
            }
        }
    };
}

lend_part!(receiver: ReceiverState);
lend_part!(sender: SenderState);
