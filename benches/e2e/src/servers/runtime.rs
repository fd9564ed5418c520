//! A tokio runtime with one thread, and a task per connection.

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

use crate::error::Result;

/// Serves every connection with `echo`, until an error of the listener.
pub fn run<F>(listener: std::net::TcpListener, echo: fn(TcpStream) -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (tcp, _) = listener.accept().await?;
            tcp.set_nodelay(true)?;
            tokio::spawn(echo(tcp));
        }
    })
}
