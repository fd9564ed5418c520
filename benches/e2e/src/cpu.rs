//! Processors to pin to, the CPU time of a process, and the limit on open files.

use std::io;
use std::mem;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// The processor of the server and that of the generator.
#[derive(Clone, Copy, Debug)]
pub struct Processors {
    pub server: usize,
    pub generator: usize,
}

impl Processors {
    /// The last processor, which has the fewest interrupts and other programs, for the server, and the one before for
    /// the generator. Both are the same if there is only one. Pins this thread.
    pub fn choose() -> io::Result<Self> {
        let allowed = allowed()?;
        let mut last = allowed.iter().rev();
        let server = *last.next().ok_or(io::ErrorKind::NotFound)?;
        let generator = *last.next().unwrap_or(&server);
        pin(generator)?;
        Ok(Self { server, generator })
    }

    /// Starts a server on its processor. It ends with this process, however that ends.
    pub fn start_server(&self, command: &mut Command) -> io::Result<Child> {
        let server = self.server;
        // SAFETY: the child only makes system calls, and allocates nothing, before it becomes the server.
        unsafe {
            command.pre_exec(move || {
                check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
                pin(server)
            });
        }
        command.spawn()
    }
}

/// The processors that this thread may run on.
fn allowed() -> io::Result<Vec<usize>> {
    // SAFETY: `cpu_set_t` is a plain bit mask, of which zero is the empty one; the call gets its size.
    let set = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        check(libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set))?;
        set
    };
    // SAFETY: every number is below the size of the set.
    Ok((0..libc::CPU_SETSIZE as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect())
}

fn pin(cpu: usize) -> io::Result<()> {
    // SAFETY: as in `allowed`.
    check(unsafe {
        let mut only: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(cpu, &mut only);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const only)
    })
}

/// The CPU time of all threads of a process, user and system, in nanoseconds.
pub fn time_of(process: u32) -> io::Result<u64> {
    let (mut clock, mut time) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
    // SAFETY: both pointers are to values of the right type.
    unsafe {
        let error = libc::clock_getcpuclockid(process as libc::pid_t, &raw mut clock);
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        check(libc::clock_gettime(clock, &raw mut time))?;
    }
    Ok(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Raises the limit on open files to what is allowed. Child processes inherit it.
pub fn allow_open_files(count: usize) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a value of the right type.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    if limit.rlim_max < count as libc::rlim_t {
        return Err(io::Error::other(format!("{count} open files are needed, {} are allowed", limit.rlim_max)));
    }
    // SAFETY: the pointer is to a value of the right type.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
