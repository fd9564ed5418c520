//! The rule in `Output`'s docs: who reads only while the output is below a limit holds little more than that, for a
//! peer that never reads.

use super::*;

const LIMIT: usize = 4 << 10;

/// How the driver reads, and what it adds to the output itself.
struct Driver {
    ws: Connection,
    output: Output,
    echoes: bool,
    sent: usize,
}

impl Driver {
    fn new(ws: Connection, echoes: bool) -> Self {
        Self { ws, output: Output::new(), echoes, sent: 0 }
    }

    /// Reads as long as the rule allows, and holds the output to it at every event. Returns whether the limit, and not
    /// the end of what the peer sends, stopped it.
    fn drive(&mut self, bytes: &mut [u8], read: usize) -> bool {
        for piece in bytes.chunks_mut(read) {
            if self.output.len() >= LIMIT {
                return true;
            }
            let most = LIMIT + 3 * piece.len() + 512;
            let mut input = Input::new(piece);
            while let Some(event) = self.ws.receive(&mut input, &mut self.output) {
                let before = self.output.len();
                match event {
                    Event::Text(text) if self.echoes => {
                        self.ws.send_text(&text, &mut self.output).expect("open");
                    }
                    Event::Binary(data) if self.echoes => {
                        self.ws.send_binary(&data, &mut self.output).expect("open");
                    }
                    _ => {}
                }
                self.sent += self.output.len() - before;
                let own = self.output.len() - self.sent;
                assert!(own <= most, "{own} bytes wait in reads of {read}, beside {} that were sent", self.sent);
            }
        }
        self.output.len() >= LIMIT
    }
}

/// No budget for pongs: the rule alone is to hold.
fn config() -> Config {
    Config::new().max_pending_pongs(u32::MAX)
}

/// Sends what `session` gives for both roles, in reads of every size; all of it calls for more than the limit.
fn flood(echoes: bool, session: impl Fn(Option<[u8; 4]>) -> Vec<u8>) {
    for read in [1, 2, 7, 100, 1500, 64 << 10] {
        for (ws, mask) in [(open_server(config()), Some(KEY)), (open_client_with(config()), None)] {
            let role = ws.role();
            let stopped = Driver::new(ws, echoes).drive(&mut session(mask), read);
            assert!(stopped, "{role:?}, in reads of {read}: the limit was reached");
        }
    }
}

/// A client's pongs are masked: an empty ping of 2 bytes calls for 6, the most that a byte can call for.
#[test]
fn pings_of_every_size() {
    for len in [0, 1, 2, 60, 124, 125] {
        flood(false, |mask| frame(true, Opcode::Ping, mask, &vec![b'p'; len]).repeat(10_000));
    }
    flood(false, |mask| (0..20_000).flat_map(|i| frame(true, Opcode::Ping, mask, &vec![b'p'; i % 126])).collect());
}

/// The bound is not idle: empty pings at a client take most of it.
#[test]
fn three_times_what_was_read() {
    let mut driver = Driver::new(open_client_with(config()), false);
    let mut pings = frame(true, Opcode::Ping, None, b"").repeat(10_000);
    // So that the last read begins just below the limit.
    assert!(!driver.drive(&mut pings[..LIMIT / 6 * 2], usize::MAX));
    assert!(driver.drive(&mut pings[..10_000], usize::MAX));
    assert!(driver.output.len() > LIMIT + 3 * 10_000 - 6, "{}", driver.output.len());
}

#[test]
fn messages_that_are_echoed() {
    for len in [0, 1, 125, 126, 5000] {
        flood(true, |mask| {
            let text = frame(true, Opcode::Text, mask, &vec![b't'; len]);
            [text, frame(true, Opcode::Binary, mask, &vec![0xff; len])].concat().repeat(5000 / (len / 10 + 1) + 4)
        });
    }
}

/// Each echo keeps the pongs before and after it apart, so that none takes another's place, whatever the budget.
#[test]
fn messages_and_pings_in_turn() {
    let session = |mask| {
        let text = frame(true, Opcode::Text, mask, b"t");
        [frame(true, Opcode::Ping, mask, b""), text, frame(true, Opcode::Ping, mask, &[7; 125])].concat().repeat(2000)
    };
    flood(true, session);
    for read in [1, 100, 64 << 10] {
        let ws = open_server(Config::new().max_pending_pongs(0));
        assert!(Driver::new(ws, true).drive(&mut session(Some(KEY)), read));
    }
}

/// What ends a connection is owed on top: a Close, or an HTTP response.
#[test]
fn a_fault_behind_the_pings() {
    let mut pings = frame(true, Opcode::Ping, Some(KEY), b"").repeat(LIMIT / 2 - 1);
    pings.extend([0xff; 6]);
    let mut driver = Driver::new(open_server(config()), false);
    driver.drive(&mut pings, usize::MAX);
    assert!(driver.ws.is_closed());

    let mut malformed = b"GET / HTTP/1.1\r\n\r\n".to_vec();
    let mut driver = Driver::new(Connection::server(config()), false);
    driver.drive(&mut malformed, usize::MAX);
    assert!(driver.ws.is_closed() && !driver.output.is_empty());
}
