//! [`Alarm`]: wakes a driver at its next deadline.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep, sleep_until};

/// Wakes a driver at its next deadline, or earlier: it is not set again for a later one, because most deadlines are
/// postponed before they are over.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whether the runtime will wake the driver.
    is_set: bool,
}

impl Alarm {
    /// `Ready` if the deadline is over. The waker must be the same in every call.
    pub(crate) fn poll(&mut self, deadline: Option<Instant>, waker: &Waker) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.is_elapsed() || deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
            self.is_set = false;
        }
        if self.is_set {
            return Poll::Pending;
        }
        // In a task without budget, the runtime would ignore the poll.
        self.is_set = has_budget_remaining();
        sleep.as_mut().poll(&mut Context::from_waker(waker))
    }
}
