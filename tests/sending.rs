//! The fast path of sending: without a limit on the output, messages are sent without checks. The bytes, the results and
//! the counters are those of a connection whose limit is never reached.

use std::sync::LazyLock;

use bytes::Buf;
use proptest::prelude::*;
use websocket_proto::handshake::Negotiated;
use websocket_proto::{CloseCode, Config, Connection, MessageKind, Output, Role};

#[derive(Clone, Copy, Debug)]
enum Step {
    Text(usize),
    Binary(usize),
    Fragment {
        len: usize,
        fin: bool,
    },
    Ping(usize),
    /// Writes so many thousandths of what waits.
    Write(usize),
    /// Continues with another output.
    Exchange,
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Around each bound of the lengths: of the header, of the blocks that are copied, of the fast path.
    let len = || {
        let bound = prop::sample::select(&[0, 4, 8, 16, 32, 125, 127, 255, 256, 1024, 65_535][..]);
        prop_oneof![0..300_usize, (bound, 0..3_usize).prop_map(|(bound, more)| bound + more)]
    };
    let step = prop_oneof![
        4 => len().prop_map(Step::Text),
        4 => len().prop_map(Step::Binary),
        1 => (len(), any::<bool>()).prop_map(|(len, fin)| Step::Fragment { len, fin }),
        1 => (0..126_usize).prop_map(Step::Ping),
        2 => (0..1001_usize).prop_map(Step::Write),
        1 => Just(Step::Exchange),
    ];
    (prop::collection::vec(step, 0..60), prop::collection::vec(Just(Step::Close), 0..2), any::<prop::sample::Index>())
        .prop_map(|(mut steps, close, at)| {
            for close in close {
                steps.insert(at.index(steps.len() + 1), close);
            }
            steps
        })
}

struct Sender {
    ws: Connection,
    outputs: [Output; 2],
}

impl Sender {
    fn new(role: Role, config: Config) -> Self {
        let ws = Connection::upgraded(role, Negotiated::default(), config, [7; 32]);
        Self { ws, outputs: [Output::new(), Output::new()] }
    }

    /// Everything that can be seen of a step.
    fn step(&mut self, step: Step) -> impl PartialEq + std::fmt::Debug + use<> {
        static TEXT: LazyLock<String> = LazyLock::new(|| ('!'..='~').cycle().take(70_000).collect());
        let text = &*TEXT;
        let (ws, [output, other]) = (&mut self.ws, &mut self.outputs);
        let result = match step {
            Step::Text(len) => ws.send_text(&text[..len], output),
            Step::Binary(len) => ws.send_binary(&text.as_bytes()[..len], output),
            Step::Fragment { len, fin } => ws.send_fragment(MessageKind::Binary, &text.as_bytes()[..len], fin, output),
            Step::Ping(len) => ws.ping(&text.as_bytes()[..len], output),
            Step::Write(share) => {
                output.advance(output.len() * share / 1000);
                Ok(())
            }
            Step::Exchange => {
                std::mem::swap(output, other);
                Ok(())
            }
            Step::Close => {
                ws.close(CloseCode::NORMAL_CLOSURE, "", output);
                Ok(())
            }
        };
        (result, output.chunk().to_vec(), ws.counters(), ws.state())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_fast_path_sends_what_the_checked_path_sends(steps in steps()) {
        for role in [Role::Server, Role::Client] {
            let mut fast = Sender::new(role, Config::new());
            let mut checked = Sender::new(role, Config::new().max_output(u32::MAX as usize - 1));
            for &step in &steps {
                prop_assert_eq!(fast.step(step), checked.step(step), "{:?}", step);
            }
        }
    }
}
