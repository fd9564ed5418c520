use websocket_proto::{CloseCode, Connection, Output, PreparedMessage, SendError};

/// Sends a message to each connection in a room, given with its output.
pub(crate) fn broadcast<'r>(
    message: &PreparedMessage,
    room: impl IntoIterator<Item = (&'r mut Connection, &'r mut Output)>,
) {
    for (ws, output) in room {
        if ws.send_prepared(message, output) == Err(SendError::Full) {
            // A Close is sent however many bytes wait.
            ws.close(CloseCode::TRY_AGAIN_LATER, "you read too slowly", output);
        }
    }
}
