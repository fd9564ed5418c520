//! [`Backoff`]: the delays before a client's attempts to reconnect.

use core::fmt;
use core::time::Duration;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};

use crate::handshake::Response;

/// The delays before a client's attempts to reconnect: random, and longer after each failure.
///
/// RFC 6455 §7.2.3: "The first reconnect attempt SHOULD be delayed by a random amount of time", and "subsequent
/// reconnect attempts SHOULD be delayed by increasingly longer amounts of time, using a method such as truncated binary
/// exponential backoff." Here each delay is drawn evenly from zero up to a ceiling, which doubles with every attempt,
/// from [`base`](Self::base) up to [`cap`](Self::cap). So clients that lost their server at the same time come back one
/// by one. It only returns durations: the caller waits.
///
/// # Examples
/// ```
/// use core::time::Duration;
/// use websocket_proto::Backoff;
///
/// // A seed is 32 bytes from the operating system's random source. With the same seed, all clients would come back at
/// // the same time.
/// let mut backoff = Backoff::new([7; 32])
///     .base(Duration::from_secs(2))
///     .cap(Duration::from_secs(300))
///     .reset_after(Duration::from_secs(60))
///     .max_retry_after(Duration::from_secs(600));
/// assert!(backoff.next_delay() <= Duration::from_secs(2));
/// assert!(backoff.next_delay() <= Duration::from_secs(4));
/// // Connected for an hour: the count starts again.
/// backoff.opened_for(Duration::from_secs(3600));
/// assert!(backoff.next_delay() <= Duration::from_secs(2));
/// ```
/// The delay after an event:
/// ```
/// # use core::time::Duration;
/// # use websocket_proto::{Backoff, Event};
/// fn delay(event: &Event<'_>, backoff: &mut Backoff) -> Option<Duration> {
///     match event {
///         Event::Rejected(refusal) => Some(backoff.next_delay_after(refusal)),
///         Event::Closed(_) => Some(backoff.next_delay()),
///         _ => None,
///     }
/// }
/// ```
pub struct Backoff {
    base: Duration,
    cap: Duration,
    max_retry_after: Duration,
    reset_after: Duration,
    /// Attempts since the count was reset.
    attempts: u32,
    rng: ChaCha20Rng,
}

/// # Constructors
impl Backoff {
    /// The defaults, which each method below states. Every client needs its own seed.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(60),
            max_retry_after: Duration::from_secs(3600),
            reset_after: Duration::from_secs(10),
            attempts: 0,
            rng: ChaCha20Rng::from_seed(seed),
        }
    }

    /// The first delay's ceiling. Default 1 s.
    #[must_use]
    pub fn base(mut self, delay: Duration) -> Self {
        self.base = delay;
        self
    }

    /// The ceiling of all delays. Default 60 s, at most 584 years.
    #[must_use]
    pub fn cap(mut self, delay: Duration) -> Self {
        self.cap = delay;
        self
    }

    /// The longest delay that a server may ask for: a longer Retry-After counts as this one. Default 1 hour.
    #[must_use]
    pub fn max_retry_after(mut self, delay: Duration) -> Self {
        self.max_retry_after = delay;
        self
    }

    /// The time that a connection must stay open for the count to be reset. Default 10 s.
    #[must_use]
    pub fn reset_after(mut self, span: Duration) -> Self {
        self.reset_after = span;
        self
    }
}

/// # Delays
impl Backoff {
    /// The delay before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        let factor = 1_u64.checked_shl(self.attempts).unwrap_or(u64::MAX);
        let ceiling = nanoseconds(self.base).saturating_mul(factor).min(nanoseconds(self.cap));
        self.attempts = self.attempts.saturating_add(1);
        // The high half of 64 random bits times `n` is an even draw from the numbers below `n`.
        let draw = (u128::from(self.rng.next_u64()) * (u128::from(ceiling) + 1)) >> 64;
        Duration::from_nanos(draw as u64)
    }

    /// The delay before the next attempt if the server rejected the last one: the time that
    /// [it asks for](Response::retry_after), at most [`max_retry_after`](Self::max_retry_after), plus the
    /// [next delay](Self::next_delay), because the server may have asked all clients at the same time.
    pub fn next_delay_after(&mut self, refusal: &Response) -> Duration {
        // RFC 9110 §10.2.3: "Servers send the "Retry-After" header field to indicate how long the user agent ought to
        // wait before making a follow-up request."
        let asked = refusal.retry_after().unwrap_or_default().min(self.max_retry_after);
        asked.saturating_add(self.next_delay())
    }

    /// Call it when a connection has ended, with the time that it was open. Resets the count if that was at least
    /// [`reset_after`](Self::reset_after): a server that accepts connections and drops them at once has not recovered.
    pub fn opened_for(&mut self, lasted: Duration) {
        if lasted >= self.reset_after {
            self.attempts = 0;
        }
    }
}

/// Does not show the random state.
impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backoff")
            .field("base", &self.base)
            .field("cap", &self.cap)
            .field("max_retry_after", &self.max_retry_after)
            .field("reset_after", &self.reset_after)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
