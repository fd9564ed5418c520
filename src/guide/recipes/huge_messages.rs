use websocket_proto::{Connection, Fragments, Output, SendError};

/// How long the fragments are, and how little may wait before the next.
const FRAGMENT: usize = 64 << 10;

pub(crate) fn message(film: &[u8]) -> Fragments<'_> {
    Fragments::binary(film, FRAGMENT)
}

/// Once a turn of the loop: puts the next fragments into the output when little waits.
pub(crate) fn send_some(
    message: &mut Fragments<'_>,
    ws: &mut Connection,
    output: &mut Output,
) -> Result<(), SendError> {
    while output.len() < FRAGMENT && !message.is_finished() {
        message.send_next(ws, output)?;
    }
    Ok(())
}
