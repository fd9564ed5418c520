//! The loop of a task, for streams of messages that are sinks too.

use futures_util::future::poll_immediate;
use futures_util::{Sink, SinkExt, Stream, StreamExt};

use crate::error::{Error, Result};

/// Echoes the messages that are data. Their echoes are flushed when no further message is ready.
pub async fn echo<W, M, E>(mut ws: W, is_data: impl Fn(&M) -> bool) -> Result<()>
where
    W: Stream<Item = std::result::Result<M, E>> + Sink<M, Error = E> + Unpin,
    Error: From<E>,
{
    loop {
        let next = if let Some(next) = poll_immediate(ws.next()).await {
            next
        } else {
            ws.flush().await?;
            ws.next().await
        };
        let Some(message) = next.transpose()? else { return Ok(()) };
        if is_data(&message) {
            ws.feed(message).await?;
        }
    }
}
