use std::time::Duration;

use websocket_proto::Backoff;
use websocket_proto::handshake::Response;

/// How an attempt ended.
pub(crate) enum End {
    /// There was no connection, or no answer on it.
    Unreached,
    /// A response that was not 101.
    Refused(Response),
    /// The connection was open for this long; `Closed::code`.
    Closed(Duration, u16),
}

#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    After(Duration),
    Elsewhere(Duration),
    Never,
}

/// `backoff` for most, `restart` for 1012.
pub(crate) fn next(end: &End, backoff: &mut Backoff, restart: &mut Backoff) -> Next {
    match end {
        End::Unreached => Next::After(backoff.next_delay()),
        End::Refused(refusal) => match refusal.status() {
            // 301 and 302 name another place in Location; 401 and 403 want what was not there.
            300..=499 if !matches!(refusal.status(), 408 | 429) && refusal.retry_after().is_none() => Next::Never,
            // As long as the server asks, and a random while on top.
            _ => Next::After(backoff.next_delay_after(refusal.retry_after())),
        },
        End::Closed(lasted, code) => {
            backoff.opened_for(*lasted);
            match code {
                // It is done, or would only be told the same again.
                1000 | 1002 | 1003 | 1007..=1010 | 3000 | 3003 => Next::Never,
                1012 => Next::After(Duration::from_secs(5) + restart.next_delay()),
                1013 => Next::Elsewhere(backoff.next_delay()),
                _ => Next::After(backoff.next_delay()),
            }
        }
    }
}
