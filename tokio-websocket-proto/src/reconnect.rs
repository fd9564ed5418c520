//! [`Reconnect`]: connects, and after the end of each connection connects again.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use websocket_proto::handshake::Response;
use websocket_proto::{Backoff, ClientRequest};

use crate::client::{Client, IntoClientRequest, seed};
use crate::error::Error;
use crate::transport::Transport;
use crate::websocket::WebSocket;

/// Connects, and connects again whenever it is called: after delays that grow with each failure (RFC 6455 §7.2.3).
///
/// # Examples
/// A client that follows its server through restarts. It asks for what it missed itself:
/// ```no_run
/// use tokio_websocket_proto::{Client, CloseCode, Error, Message, Reconnect};
///
/// async fn follow(url: &str) -> Result<(), Error> {
///     let mut reconnect = Reconnect::new(Client::new(), url);
///     loop {
///         let (mut ws, _) = reconnect.connect().await?;
///         while let Some(Ok(message)) = ws.recv().await {
///             match message {
///                 Message::Text(text) => println!("{text}"),
///                 Message::Close(Some(frame)) if frame.code == CloseCode::NORMAL_CLOSURE => return Ok(()),
///                 _ => {}
///             }
///         }
///     }
/// }
/// ```
pub struct Reconnect {
    client: Client,
    request: ClientRequest,
    backoff: Option<Backoff>,
    /// When the last connection opened.
    opened: Option<Instant>,
    /// When to try again.
    retry_at: Option<Instant>,
}

impl Reconnect {
    /// A helper that has not connected.
    pub fn new(client: Client, request: impl IntoClientRequest) -> Self {
        let request = request.into_client_request();
        Self { client, request, backoff: None, opened: None, retry_at: None }
    }

    /// Sets the delays. Default: those of [`Backoff::new`], with a random seed.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// Connects: the first time at once, later after a delay. Tries again after each failure that may pass. The last
    /// connection counts as open until this call.
    ///
    /// May be dropped at any time: the next call goes on with the delay.
    ///
    /// # Errors
    /// An invalid request, or a rejection that the same request would get again: with a status from 300 to 499, except
    /// 408 and 429, and without Retry-After.
    pub async fn connect(&mut self) -> Result<(WebSocket<Transport>, Response), Error> {
        if let Some(opened) = self.opened.take() {
            let backoff = self.delays()?;
            backoff.opened_for(opened.elapsed());
            self.retry_at = Some(Instant::now() + backoff.next_delay());
        }
        loop {
            if let Some(at) = self.retry_at {
                sleep_until(at).await;
            }
            match self.client.connect(&self.request).await {
                Ok(open) => {
                    self.opened = Some(Instant::now());
                    return Ok(open);
                }
                Err(error) if is_permanent(&error) => return Err(error),
                Err(error) => {
                    let delay = self.delays()?.next_delay_after(retry_after(&error));
                    self.retry_at = Some(Instant::now() + delay);
                }
            }
        }
    }

    fn delays(&mut self) -> Result<&mut Backoff, Error> {
        let backoff = match self.backoff.take() {
            Some(backoff) => backoff,
            None => Backoff::new(seed()?),
        };
        Ok(self.backoff.insert(backoff))
    }
}

/// Whether the same request would fail in the same way.
fn is_permanent(error: &Error) -> bool {
    match error {
        Error::Request(_) => true,
        // 301 and 302 name another URL in Location; 401 and 403 ask for credentials.
        Error::Rejected(response) => {
            let status = response.status();
            (300..=499).contains(&status) && !matches!(status, 408 | 429) && response.retry_after().is_none()
        }
        _ => false,
    }
}

fn retry_after(error: &Error) -> Option<Duration> {
    match error {
        Error::Rejected(response) => response.retry_after(),
        _ => None,
    }
}

impl fmt::Debug for Reconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnect").field("client", &self.client).finish_non_exhaustive()
    }
}
