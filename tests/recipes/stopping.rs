//! The recipes in a process that is stopped past a deadline, as by a debugger, Ctrl-Z, or a suspended machine.

use std::env;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use websocket_proto::{Role, Timeouts};

use crate::alone;
use crate::driven::{App, BLOCKING, COMPLETION, Driver, EVENT_LOOP, NO_STD, SESSION, TOKIO};
use crate::peers::Peer;
use crate::shared::frames::frame;
use crate::shared::program::Program;

const RECIPES: [(&str, Driver); 6] = [
    ("blocking", BLOCKING),
    ("event_loop", EVENT_LOOP),
    ("session", SESSION),
    ("completion", COMPLETION),
    ("no_std", NO_STD),
    ("tokio", TOKIO),
];

/// The environment of [`a_recipe_serves`]: which recipe, and the address to connect to.
const RECIPE: &str = "WS_RECIPE";
const ADDRESS: &str = "WS_ADDRESS";

/// Long enough to stop a process in time, even on a busy machine.
const SPAN: Duration = Duration::from_secs(3);

/// The deadline has passed, and the pong waits in the socket.
#[test]
fn a_pong_counts_although_the_process_was_stopped_past_its_deadline() {
    let test = env::current_exe().expect("a test has a path");
    alone(|| {
        thread::scope(|scope| {
            // Repeated, because not every order of the wakeups shows the fault.
            for (name, driver) in RECIPES.iter().cycle().take(4 * RECIPES.len()) {
                let mut command = Command::new(&test);
                command.args(["--ignored", "--exact", "stopping::a_recipe_serves"]).env(RECIPE, name);
                scope.spawn(move || stop_past_the_pong(name, driver, command));
            }
        });
    });
}

fn stop_past_the_pong(name: &str, driver: &Driver, mut command: Command) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("the listener is bound");
    let child = command.env(ADDRESS, address.to_string()).stdout(Stdio::null()).spawn();
    let server = Program(child.expect("the test can be run"));
    let (tcp, _) = listener.accept().expect("the recipe connects");
    let mut peer = Peer::open(driver, tcp, Role::Client);
    let mut ping = [0; 10];
    peer.stream.read_exact(&mut ping).expect("a ping comes");
    server.signal("STOP");
    peer.stream.write_all(&frame(Role::Client, 0x8a, &ping[2..])).expect("the socket has room");
    thread::sleep(SPAN.mul_f32(1.3));
    server.signal("CONT");
    peer.stream.read_exact(&mut ping).expect("another frame comes");
    assert_eq!(ping[0], 0x89, "{name}: the next ping, not a Close, follows a pong: {ping:x?}");
}

/// Serves one peer.
#[test]
#[ignore = "another test runs it as a process"]
fn a_recipe_serves() {
    let (Ok(recipe), Ok(address)) = (env::var(RECIPE), env::var(ADDRESS)) else { return };
    let (_, driver) = RECIPES.iter().find(|(name, _)| *name == recipe).expect("the recipe exists");
    let tcp = TcpStream::connect(address).expect("the other process listens");
    (driver.drive)(tcp, Role::Server, App::default(), Timeouts::new().keep_alive(SPAN, SPAN));
}
