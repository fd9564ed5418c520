//! [`Backoff`]: how long a client waits before it connects again. To wait, and to connect, is the caller's.

use core::fmt;
use core::time::Duration;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};

use crate::handshake::Response;

/// The delays between a client's attempts to connect: random, and growing with each failure.
///
/// RFC 6455 §7.2.3: "The first reconnect attempt SHOULD be delayed by a random amount of time", and "subsequent
/// reconnect attempts SHOULD be delayed by increasingly longer amounts of time, using a method such as truncated binary
/// exponential backoff." Here each delay is drawn evenly from zero up to a ceiling, which doubles with every attempt,
/// from [`base`](Self::base) up to [`cap`](Self::cap). So clients that lost their server at once come back one by one.
///
/// It has no clock and waits for nothing: it says how long to.
///
/// # Examples
/// ```
/// use core::time::Duration;
/// use websocket_proto::Backoff;
///
/// // A seed is 32 bytes from the operating system's random source: the same one for all clients would have them all
/// // come back at once.
/// let mut backoff = Backoff::new([7; 32])
///     .base(Duration::from_secs(2))
///     .cap(Duration::from_secs(300))
///     .reset_after(Duration::from_secs(60))
///     .max_retry_after(Duration::from_secs(600));
/// assert!(backoff.next_delay() <= Duration::from_secs(2));
/// assert!(backoff.next_delay() <= Duration::from_secs(4));
/// // Connected, for an hour: the count starts anew.
/// backoff.opened_for(Duration::from_secs(3600));
/// assert!(backoff.next_delay() <= Duration::from_secs(2));
/// ```
/// What to do with an event:
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
    /// Attempts since the count started.
    attempts: u32,
    rng: ChaCha20Rng,
}

/// # Making one
impl Backoff {
    /// The defaults, which every method below states, with a seed of their own for every client.
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

    /// The ceiling of all delays. Default 60 s. Beyond 584 years it is that long.
    #[must_use]
    pub fn cap(mut self, delay: Duration) -> Self {
        self.cap = delay;
        self
    }

    /// The longest that a server may ask to wait: beyond it, a Retry-After counts as this long. Default 1 hour.
    #[must_use]
    pub fn max_retry_after(mut self, delay: Duration) -> Self {
        self.max_retry_after = delay;
        self
    }

    /// How long a connection has to stay open for the count to start anew. Default 10 s.
    #[must_use]
    pub fn reset_after(mut self, span: Duration) -> Self {
        self.reset_after = span;
        self
    }
}

/// # Using it
impl Backoff {
    /// How long to wait before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        let factor = 1_u64.checked_shl(self.attempts).unwrap_or(u64::MAX);
        let ceiling = nanoseconds(self.base).saturating_mul(factor).min(nanoseconds(self.cap));
        self.attempts = self.attempts.saturating_add(1);
        // The high half of the product of 64 random bits and a number is an even draw from what is below the number.
        let draw = (u128::from(self.rng.next_u64()) * (u128::from(ceiling) + 1)) >> 64;
        Duration::from_nanos(draw as u64)
    }

    /// How long to wait before the next attempt if the server refused the last one: as long as
    /// [it asks](Response::retry_after), within [`max_retry_after`](Self::max_retry_after), and the
    /// [next delay](Self::next_delay) on top of it, because it may have asked everybody at once.
    pub fn next_delay_after(&mut self, refusal: &Response) -> Duration {
        // RFC 9110 §10.2.3: "Servers send the "Retry-After" header field to indicate how long the user agent ought to
        // wait before making a follow-up request."
        let asked = refusal.retry_after().unwrap_or_default().min(self.max_retry_after);
        asked.saturating_add(self.next_delay())
    }

    /// Notes how long a connection was open, when it has ended. The count starts anew if that was at least
    /// [`reset_after`](Self::reset_after): a server that accepts and drops at once is not yet well.
    pub fn opened_for(&mut self, lasted: Duration) {
        if lasted >= self.reset_after {
            self.attempts = 0;
        }
    }
}

/// Says nothing of what will be drawn.
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
