//! The memory that 10,000 idle connections cost each server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use crate::servers::run;
use crate::{open, program, start};

#[test]
#[ignore = "opens 10,000 sockets: run it alone, with `ulimit -n 20000`"]
fn mio() {
    run("mio_server", |name| ten_thousand_idle_connections(name, 430));
}

#[test]
#[ignore = "opens 10,000 sockets: run it alone, with `ulimit -n 20000`"]
fn tokio() {
    run("tokio_server", |name| ten_thousand_idle_connections(name, 2048));
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "opens 10,000 sockets: run it alone, with `ulimit -n 20000`"]
fn io_uring() {
    run("io_uring_server", |name| ten_thousand_idle_connections(name, 512));
}

/// Prints the memory of a connection.
#[test]
#[ignore = "opens 10,000 sockets: run it alone, with `ulimit -n 20000`"]
fn own() {
    run("WS_DRIVER", |name| ten_thousand_idle_connections(name, usize::MAX));
}

fn ten_thousand_idle_connections(name: &str, at_most: usize) {
    const COUNT: usize = 10_000;
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 10100 && exec \"$0\" \"$@\""]).arg(program(name).get_program());
    let (program, address) = start(command, "127.0.0.1:0", &["--timeout", "600000"]);
    let echo = |mut tcp: &TcpStream| {
        // Long enough to be compressed.
        tcp.write_all(&[&b"\x81\xfe\x01\0\0\0\0\0"[..], &[b'x'; 256]].concat()).expect("the peer reads");
        let mut header = [0; 2];
        tcp.read_exact(&mut header).expect("the echo arrives");
        assert_eq!(header[0], 0xc1);
        tcp.read_exact(&mut vec![0; header[1].into()]).expect("the echo arrives");
    };
    let open_and_echo = || {
        let tcp = open(&address);
        echo(&tcp);
        tcp
    };
    // The memory that does not depend on the number of connections: code, buffers, the compressor.
    drop((0..100).map(|_| open_and_echo()).collect::<Vec<_>>());
    let before = program.resident().expect("/proc can be read");
    let peers: Vec<_> = (0..COUNT).map(|_| open_and_echo()).collect();
    let each = (program.resident().expect("/proc can be read") - before) * 1024 / COUNT;
    println!("{name}: {each} bytes for each of {COUNT} connections, beside {before} KiB");
    assert!(each <= at_most, "{name}: {each} bytes for a connection");
    peers.iter().step_by(100).for_each(echo);
}
