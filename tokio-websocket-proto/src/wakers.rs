//! [`Wakers`]: wakes the tasks of both halves, because a transport remembers one waker per direction.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

/// The half of a connection that a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Receiver,
    Sender,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Receiver => Self::Sender,
            Self::Sender => Self::Receiver,
        }
    }
}

/// The wakers of the tasks that wait. As a waker, wakes all of them.
#[derive(Debug, Default)]
pub(crate) struct Wakers([Mutex<Option<Waker>>; 2]);

impl Wakers {
    /// Call it before the transport is polled: it may become ready at once, on another thread.
    pub(crate) fn register(&self, side: Side, cx: &Context<'_>) {
        let mut waker = self.waker(side);
        match &mut *waker {
            Some(waker) => waker.clone_from(cx.waker()),
            empty => *empty = Some(cx.waker().clone()),
        }
    }

    pub(crate) fn wake(&self, side: Side) {
        let waker = mem::take(&mut *self.waker(side));
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn is_waiting(&self, side: Side) -> bool {
        self.waker(side).is_some()
    }

    fn waker(&self, side: Side) -> std::sync::MutexGuard<'_, Option<Waker>> {
        let [receiver, sender] = &self.0;
        let waker = if side == Side::Receiver { receiver } else { sender };
        waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.as_ref().wake(Side::Receiver);
        self.as_ref().wake(Side::Sender);
    }
}
