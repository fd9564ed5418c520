//! `wss`, with a certificate made when the test starts.
#![cfg(feature = "rustls")]

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::spawn;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_websocket_proto::tokio_rustls::{self, TlsConnector};
use tokio_websocket_proto::{Client, CloseCode, Config, Deflate, Error, Message, Server};

/// A server for one connection, which echoes; its URL, and a connector that trusts it.
async fn server() -> (String, TlsConnector) {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(certificate.signing_key.serialize_pem().as_bytes()).expect("a key");
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.cert.der().clone()], key).expect("they fit");
    let mut roots = RootCertStore::empty();
    roots.add(certificate.cert.der().clone()).expect("a certificate");
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (tcp, _) = listener.accept().await.expect("a connection");
        let Ok(tls) = acceptor.accept(tcp).await else { return };
        let mut ws = Server::new().config(compressed()).accept(tls).await.expect("a handshake");
        while let Some(message) = ws.recv().await {
            let message = message.expect("no error");
            if message.is_data() {
                ws.feed(message).await.expect("the connection is open");
            }
        }
    });
    (format!("wss://localhost:{port}/"), Arc::new(client).into())
}

fn compressed() -> Config {
    Config::new().deflate(Deflate::new())
}

#[tokio::test]
async fn messages_go_through_tls() {
    let (url, connector) = server().await;
    let (mut ws, _) = Client::new().config(compressed()).tls(connector).connect(url).await.expect("a handshake");
    assert!(ws.get_ref().tls().is_some());
    // More than TLS buffers: parts of it wait, unflushed.
    for message in [Message::from("hello"), Message::from((0..=255).cycle().take(1 << 20).collect::<Vec<u8>>())] {
        ws.send(message.clone()).await.expect("the connection is open");
        assert!(ws.recv().await.expect("an echo").expect("no error") == message);
    }
    ws.close(CloseCode::NORMAL_CLOSURE, "").await.expect("a clean end, close_notify included");
}

/// Both halves in tasks of their own, over TLS.
#[tokio::test]
async fn halves_work_over_tls() {
    let (url, connector) = server().await;
    let (ws, _) = Client::new().config(compressed()).tls(connector).connect(url).await.expect("a handshake");
    let (mut sender, mut receiver) = ws.split();
    let sending = spawn(async move {
        for number in 0..50_u8 {
            sender.send(vec![number; 100_000]).await.expect("the connection is open");
        }
        sender
    });
    for number in 0..50_u8 {
        let message = receiver.recv().await.expect("an echo").expect("no error");
        assert!(message == Message::from(vec![number; 100_000]));
    }
    let mut sender = sending.await.expect("no panic");
    let (closed, last) = tokio::join!(sender.close(CloseCode::NORMAL_CLOSURE, ""), receiver.recv());
    closed.expect("a clean end");
    assert!(matches!(last, Some(Ok(Message::Close(Some(_))))));
}

/// The platform does not trust the certificate.
#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_an_error() {
    let (url, _) = server().await;
    let result = Client::new().connect(url).await.map(drop);
    assert!(matches!(result, Err(Error::Connect(_))), "{result:?}");
}
