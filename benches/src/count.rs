//! Counts instructions per message with callgrind. The counts are the same in every run, so small differences show.

use std::env;
use std::process::Command;

use crate::aligned::Aligned;
use crate::contender::Contender;
use crate::contenders::Kind;
use crate::report::{print_head, print_row};
use crate::rows::{Row, rows};
use crate::socket::Socket;
use crate::tape::tape;
use crate::work::{READ, Reads, Task, Work};

/// The name of a pseudo-contender that only reads and writes the bytes of a row.
const BARE: &str = "socket";

/// Prints a table with the instructions per message for each row and contender, without those for reading and writing
/// the bytes.
pub fn print(rows: &[Row], contenders: &[(Kind, Box<dyn Contender>)]) {
    print_head("instructions a message", contenders);
    for row in rows {
        let bare = instructions(row, BARE);
        let can = |by: &dyn Contender| by.start(&row.work, Socket::new(tape(&row.work), row.work.reads)).is_some();
        let cells =
            contenders.iter().map(|(_, by)| can(&**by).then(|| format!("{:.1}", instructions(row, by.name()) - bare)));
        print_row(&row.work.to_string(), cells);
    }
}

/// Runs in the process that callgrind counts: handles `messages` messages of the row, or a few more, and prints the
/// number.
pub fn once(row: &str, name: &str, messages: &str, contenders: &[(Kind, Box<dyn Contender>)]) {
    let row = rows().into_iter().find(|candidate| candidate.work.to_string() == row).expect("a row's name");
    let messages = messages.parse().expect("a number");
    let socket = Socket::new(tape(&row.work), row.work.reads);
    if name == BARE {
        println!("{}", bare(&row.work, &socket, messages));
        return;
    }
    let by = contenders.iter().find(|(_, by)| by.name() == name).expect("a contender's name");
    let mut run = by.1.start(&row.work, socket).expect("one that can do this");
    println!("{}", run.run(messages));
}

/// The instructions per message, without those at the start. Measured over whole tapes, so that reads cut messages at
/// the same places.
fn instructions(row: &Row, name: &str) -> f64 {
    let round = if row.work.reads == Reads::UpTo(1) { 64 } else { row.work.payloads().len() };
    // Enough rounds to make differences between starts negligible.
    let rounds = (ENOUGH / (round * row.work.size.max(1))).max(1);
    let (few, many) = (collected(row, name, round), collected(row, name, (1 + rounds) * round));
    (many.instructions as f64 - few.instructions as f64) / (many.messages - few.messages) as f64
}

/// The minimum of payload bytes to measure.
const ENOUGH: usize = 1 << 20;

struct Collected {
    messages: u64,
    instructions: u64,
}

fn collected(row: &Row, name: &str, messages: usize) -> Collected {
    let this = env::current_exe().expect("the path of this program");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(this)
        .args(["--once", &row.work.to_string(), name, &messages.to_string()])
        .output()
        .expect("valgrind is installed");
    let (handled, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let instructions = log.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    match (handled.trim().parse(), instructions) {
        (Ok(messages), Some(instructions)) => Collected { messages, instructions },
        _ => panic!("{name} at {}: {log}", row.work),
    }
}

/// Reads the bytes of `messages` messages, and makes a contender's writes: equal in bytes and number.
fn bare(work: &Work, socket: &Socket, messages: usize) -> usize {
    let mut buffer = Aligned::new(READ.max(work.size));
    let mut unread = socket.tape_len() * messages / work.payloads().len();
    while unread > 0 {
        unread = unread.saturating_sub(socket.read(&mut buffer[..READ]));
    }
    let batch = match work.task {
        Task::EncodeServer | Task::EncodeClient => work.batch() * work.size,
        Task::Echo => READ,
        _ => return messages,
    };
    let mut unwritten = messages * work.size;
    while unwritten > 0 {
        let count = unwritten.min(batch);
        socket.write(&buffer[..count]);
        unwritten -= count;
    }
    messages
}
