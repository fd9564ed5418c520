use std::time::Duration;

use websocket_proto::Backoff;
use websocket_proto::handshake::Response;

/// The result of an attempt to connect.
pub(crate) enum End {
    /// No connection, or no response.
    Unreached,
    /// A response other than 101.
    Rejected(Response),
    /// How long the connection was open, and `Closed::code`.
    Closed(Duration, u16),
}

#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    After(Duration),
    Elsewhere(Duration),
    Never,
}

/// Decides when to reconnect. `restart` is the backoff after code 1012, `backoff` the one after all other ends.
pub(crate) fn next(end: &End, backoff: &mut Backoff, restart: &mut Backoff) -> Next {
    match end {
        End::Unreached => Next::After(backoff.next_delay()),
        End::Rejected(rejection) => match rejection.status() {
            // The same request would fail again: 301 and 302 name another URI in Location; 401 and 403 ask for
            // credentials.
            300..=499 if !matches!(rejection.status(), 408 | 429) && rejection.retry_after().is_none() => Next::Never,
            // The time that the server asks for, plus a random delay.
            _ => Next::After(backoff.next_delay_after(rejection.retry_after())),
        },
        End::Closed(lasted, code) => {
            backoff.opened_for(*lasted);
            match code {
                // The connection is no longer needed, or would end in the same way again.
                1000 | 1002 | 1003 | 1007..=1010 | 3000 | 3003 => Next::Never,
                1012 => Next::After(Duration::from_secs(5) + restart.next_delay()),
                1013 => Next::Elsewhere(backoff.next_delay()),
                _ => Next::After(backoff.next_delay()),
            }
        }
    }
}
