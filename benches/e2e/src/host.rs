//! Describes the machine, for the head of a table.

use std::net::{TcpListener, TcpStream};

use socket2::SockRef;

use crate::error::Result;

/// The processor, the kernel, and TCP's congestion control on loopback.
pub fn describe() -> Result<String> {
    Ok(format!("{}, Linux {}, TCP with {}", processor(), kernel(), congestion_control()?))
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or("an unknown processor".into(), |(_, name)| name.trim().into())
}

fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.split(['-', '+']).next().unwrap_or_default().trim().into()
}

/// It decides when bytes leave a socket, even on loopback. A route can override the system's.
fn congestion_control() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let tcp = TcpStream::connect(listener.local_addr()?)?;
    let name = SockRef::from(&tcp).tcp_congestion()?;
    Ok(String::from_utf8_lossy(&name).trim_end_matches('\0').into())
}
