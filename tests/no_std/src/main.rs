//! A server and a client that compress, and two sessions, in a program without std: core, alloc, and an allocator and a
//! panic handler of its own. If a dependency used std, a second panic handler would be linked, and the build would fail. The exit status
//! is 0 if the messages arrived.
#![no_std]
#![no_main]

extern crate alloc;

#[path = "../../../src/guide/recipes/no_std.rs"]
mod recipe;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::{RefCell, UnsafeCell};
use core::ffi::c_int;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use core::time::Duration;

use bytes::Buf;
use websocket_proto::{
    ClientRequest, CloseCode, Config, Connection, Deflate, DeflateParameter, Event, Input, Output, Session,
    SessionConfig, Timeouts,
};

// The C library's functions, because it also starts this program.
#[link(name = "c")]
unsafe extern "C" {
    fn exit(status: c_int) -> !;
}

/// Allocates the next bytes of a static array, and frees nothing.
struct Bump {
    memory: UnsafeCell<[u8; 4 << 20]>,
    used: AtomicUsize,
}

// SAFETY: each byte of the memory is given out once.
unsafe impl Sync for Bump {}

// SAFETY: the returned memory is inside the array, aligned, and was not returned before.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (start, size) = (self.memory.get().cast::<u8>(), size_of_val(&self.memory));
        let needed = layout.size() + layout.align();
        let used = self.used.fetch_add(needed, Relaxed);
        if used + needed > size {
            return core::ptr::null_mut();
        }
        let next = start.wrapping_add(used);
        next.wrapping_add(next.align_offset(layout.align()))
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Bump = Bump { memory: UnsafeCell::new([0; 4 << 20]), used: AtomicUsize::new(0) };

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: `exit` accepts any status.
    unsafe { exit(101) }
}

// core and alloc are compiled to unwind, which never happens here, and refer to this symbol of std's.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() {}

#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    if run().and_then(|()| sessions()).is_some() { 0 } else { 1 }
}

fn run() -> Option<()> {
    let deflate = Deflate::new().window_bits(9).memory_level(1).server_max_window_bits(DeflateParameter::Require);
    let config = Config::new().deflate(deflate.peer_window_bits(9));
    let (mut to_server, mut to_client) = (Output::new(), Output::new());
    let request = ClientRequest::new("ws://example.com/");
    let mut client = Connection::client(&request, config.clone(), [7; 32], &mut to_server).ok()?;
    let mut server = Connection::server(config);
    let Some(Event::Request(request)) = server.receive(&mut Input::new(&mut taken(&mut to_server)), &mut to_client)
    else {
        return None;
    };
    server.accept(request, &mut to_client);
    let text = "a message that repeats itself, a message that repeats itself, a message that repeats itself";
    server.send_text(text, &mut to_client).ok()?;
    let mut read = taken(&mut to_client);
    let mut input = Input::new(&mut read);
    if !matches!(client.receive(&mut input, &mut to_server), Some(Event::Open(_))) || !client.uses_deflate() {
        return None;
    }
    let Some(Event::Text(received)) = client.receive(&mut input, &mut to_server) else { return None };
    client.send_text(&received, &mut to_server).ok()?;
    client.close(CloseCode::NORMAL_CLOSURE, "", &mut to_server);
    let mut read = taken(&mut to_server);
    if read.first() != Some(&0xc1) || read.len() > text.len() {
        return None;
    }
    let mut input = Input::new(&mut read);
    let echoed = server.receive(&mut input, &mut to_client) == Some(Event::Text(text.into()));
    let closed =
        matches!(server.receive(&mut input, &mut to_client), Some(Event::Closed(closed)) if closed.code() == 1000);
    (echoed && closed).then_some(())
}

fn taken(output: &mut Output) -> Vec<u8> {
    output.copy_to_bytes(output.remaining()).to_vec()
}

/// One direction of a transport; `is_over` once its sending side is shut down.
#[derive(Default)]
struct Direction {
    bytes: VecDeque<u8>,
    is_over: bool,
}

struct End<'p> {
    incoming: &'p RefCell<Direction>,
    outgoing: &'p RefCell<Direction>,
}

impl recipe::Transport for End<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let mut incoming = self.incoming.borrow_mut();
        let count = incoming.bytes.len().min(buffer.len());
        for (slot, byte) in buffer.iter_mut().zip(incoming.bytes.drain(..count)) {
            *slot = byte;
        }
        (count > 0 || incoming.is_over).then_some(count)
    }

    /// Has room for 100 bytes.
    fn write(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut outgoing = self.outgoing.borrow_mut();
        let accepted = bytes.len().min(100 - outgoing.bytes.len());
        outgoing.bytes.extend(&bytes[..accepted]);
        Some(accepted)
    }

    fn shut_down(&mut self) {
        self.outgoing.borrow_mut().is_over = true;
    }
}

/// Two sessions, by the guide's recipe: a message longer than the transport, and an orderly end.
fn sessions() -> Option<()> {
    let seconds = Duration::from_secs;
    let config = SessionConfig::none().timeouts(Timeouts::none().closing(seconds(9))).grace(seconds(2));
    let (mut request, text) = (Output::new(), "long ".repeat(100));
    let client =
        Connection::client(&ClientRequest::new("ws://example.com/"), Config::new(), [7; 32], &mut request).ok()?;
    let mut client = Session::new(Duration::ZERO, client, config);
    client.parts().1.append(&mut request);
    let mut server = Session::new(Duration::ZERO, Connection::server(Config::new()), config);
    let (there, back) = (RefCell::default(), RefCell::default());
    let mut at_client = End { incoming: &back, outgoing: &there };
    let mut at_server = End { incoming: &there, outgoing: &back };
    let (mut buffer, mut output, mut echoes, mut ends) = ([0; 64], Output::new(), 0, 0);
    let (mut of_client, mut of_server) = (0, 0);
    let (mut is_client_over, mut is_server_over) = (false, false);
    for _ in 0..1000 {
        let at_event = |event: Event<'_>, ws: &mut Connection, output: &mut Output| match event {
            Event::Open(_) => drop(ws.send_text(&text, output)),
            Event::Text(echo) => {
                echoes += usize::from(*echo == *text);
                ws.close(CloseCode::NORMAL_CLOSURE, "", output);
            }
            Event::Closed(closed) => ends += usize::from(closed.was_clean()),
            _ => {}
        };
        if !is_client_over {
            let most = &mut of_client;
            let turn =
                recipe::turn(Duration::ZERO, &mut client, &mut at_client, most, &mut buffer, &mut output, at_event);
            is_client_over = turn.is_none();
        }
        let at_event = |event: Event<'_>, ws: &mut Connection, output: &mut Output| match event {
            Event::Request(request) => ws.accept(request, output),
            Event::Text(text) => drop(ws.send_text(&text, output)),
            Event::Closed(closed) => ends += usize::from(closed.was_clean()),
            _ => {}
        };
        if !is_server_over {
            let most = &mut of_server;
            let turn =
                recipe::turn(Duration::ZERO, &mut server, &mut at_server, most, &mut buffer, &mut output, at_event);
            is_server_over = turn.is_none();
        }
    }
    ((echoes, ends) == (1, 2) && is_client_over && is_server_over).then_some(())
}
