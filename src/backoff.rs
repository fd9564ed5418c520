//! [`Backoff`]: the delays before a client's attempts to reconnect.

use core::fmt;
use core::time::Duration;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};

/// The delays before a client's attempts to reconnect: random, and longer after each failure.
///
/// RFC 6455 §7.2.3: "The first reconnect attempt SHOULD be delayed by a random amount of time", and "subsequent
/// reconnect attempts SHOULD be delayed by increasingly longer amounts of time, using a method such as truncated binary
/// exponential backoff." Each delay is uniformly random between zero and a ceiling; the ceiling doubles with every
/// attempt, from [`base`](Self::base) to [`cap`](Self::cap). So clients that lost their server at the same time
/// reconnect at different times. A `Backoff` only returns durations: the caller waits.
///
/// # Examples
/// ```
/// use core::time::Duration;
/// use websocket_proto::Backoff;
///
/// // A seed is 32 bytes from the operating system's random source. With the same seed, all clients would reconnect
/// // at the same time.
/// let mut backoff = Backoff::new([7; 32])
///     .base(Duration::from_secs(2))
///     .cap(Duration::from_secs(300))
///     .reset_after(Duration::from_secs(60))
///     .max_retry_after(Duration::from_secs(600));
/// assert!(backoff.next_delay() <= Duration::from_secs(2));
/// assert!(backoff.next_delay() <= Duration::from_secs(4));
/// // The connection was open for an hour: the count is reset.
/// backoff.opened_for(Duration::from_secs(3600));
/// assert!(backoff.next_delay() <= Duration::from_secs(2));
/// ```
/// The delay after the last event, [`Closed`](crate::Event::Closed). `retry_after` is from the
/// [`Rejected`](crate::Event::Rejected) before it, if there was one:
/// ```
/// # use core::time::Duration;
/// # use websocket_proto::Backoff;
/// fn delay(retry_after: Option<Duration>, lasted: Duration, backoff: &mut Backoff) -> Duration {
///     backoff.opened_for(lasted);
///     backoff.next_delay_after(retry_after)
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
    /// A `Backoff` with the defaults, which the methods below state. Every client needs its own seed.
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

    /// Sets the ceiling of the first delay. Default 1 s.
    #[must_use]
    pub fn base(mut self, delay: Duration) -> Self {
        self.base = delay;
        self
    }

    /// Sets the ceiling of all delays. Default 60 s, at most 584 years.
    #[must_use]
    pub fn cap(mut self, delay: Duration) -> Self {
        self.cap = delay;
        self
    }

    /// Sets the longest delay that a server may ask for; a longer Retry-After is cut to it. Default 1 hour.
    #[must_use]
    pub fn max_retry_after(mut self, delay: Duration) -> Self {
        self.max_retry_after = delay;
        self
    }

    /// Sets how long a connection must be open for [`opened_for`](Self::opened_for) to reset the count. Default 10 s.
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
        // The high 64 bits of a random 64-bit number times `n` are uniformly distributed below `n`.
        let draw = (u128::from(self.rng.next_u64()) * (u128::from(ceiling) + 1)) >> 64;
        Duration::from_nanos(draw as u64)
    }

    /// The delay before the next attempt after a rejection with this
    /// [Retry-After](crate::handshake::Response::retry_after): that time, at most
    /// [`max_retry_after`](Self::max_retry_after), plus [`next_delay`](Self::next_delay), because the server may have
    /// rejected all clients at the same time. With `None` it is `next_delay`.
    pub fn next_delay_after(&mut self, retry_after: Option<Duration>) -> Duration {
        // RFC 9110 §10.2.3: "Servers send the "Retry-After" header field to indicate how long the user agent ought to
        // wait before making a follow-up request."
        let asked = retry_after.unwrap_or_default().min(self.max_retry_after);
        asked.saturating_add(self.next_delay())
    }

    /// Resets the count if a connection was open for at least [`reset_after`](Self::reset_after). Call it when a
    /// connection has ended. After a shorter time the count stays: a server that accepts connections and soon drops
    /// them has not recovered.
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
