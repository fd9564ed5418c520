//! A feed of invented prices, the same for all clients.

use std::f64::consts::TAU;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use websocket_proto::PreparedMessage;

use crate::messages::ToPage;

const SYMBOLS: [(&str, f64); 5] =
    [("ACME", 128.4), ("GLOBEX", 57.15), ("INITECH", 9.82), ("HOOLI", 342.6), ("UMBRELLA", 21.37)];

/// Starts the feed. The receiver has only the latest prices: a slow client gets fewer, and never old ones.
pub(crate) fn start(every: Duration) -> watch::Receiver<PreparedMessage> {
    let (sender, receiver) = watch::channel(now());
    tokio::spawn(async move {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            if sender.send(now()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn now() -> PreparedMessage {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let prices: Vec<_> =
        SYMBOLS.iter().zip(1..).map(|(&(symbol, base), n)| (symbol, price(base, f64::from(n), time))).collect();
    PreparedMessage::text(&ToPage::Prices { prices: &prices }.json())
}

/// The sum of a few waves over time, so that all nodes have the same prices without communication.
fn price(base: f64, n: f64, time: f64) -> f64 {
    let waves = [(0.024, 311.0), (0.013, 47.0), (0.008, 11.0), (0.006, 3.7), (0.004, 1.3)];
    let swing: f64 =
        waves.iter().map(|(height, period)| height * (TAU * time / (period * (1.0 + 0.17 * n)) + n).sin()).sum();
    (base * (1.0 + swing) * 100.0).round() / 100.0
}
