use websocket_proto::{CloseCode, Connection, Output, PreparedMessage, SendError};

/// Sends a message to everybody in a room: to each connection, with what waits to be written for it.
pub(crate) fn broadcast<'r>(
    message: &PreparedMessage,
    room: impl IntoIterator<Item = (&'r mut Connection, &'r mut Output)>,
) {
    for (ws, output) in room {
        if ws.send_prepared(message, output) == Err(SendError::Full) {
            // A Close is owed to the peer and goes out whatever waits.
            ws.close(CloseCode::TRY_AGAIN_LATER, "you read too slowly", output);
        }
    }
}
