use websocket_proto::{Connection, Fragments, Output, SendError};

/// The size of a fragment; the next one is sent when fewer bytes than this wait.
const FRAGMENT: usize = 64 << 10;

pub(crate) fn message(film: &[u8]) -> Fragments<'_> {
    Fragments::binary(film, FRAGMENT)
}

/// Puts the next fragments into the output when few bytes wait. Call it once per turn of the loop.
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
