//! Pins the thread to a processor, and reads the thread's clock.

use std::mem;

/// Pins the thread to the last processor, which has the fewest interrupts and other programs. Returns its number, or
/// the error.
pub fn pin() -> Result<usize, std::io::Error> {
    // SAFETY: `cpu_set_t` is a plain bit mask, of which zero is the empty one; both calls get its size.
    unsafe {
        let size = mem::size_of::<libc::cpu_set_t>();
        let mut allowed: libc::cpu_set_t = mem::zeroed();
        if libc::sched_getaffinity(0, size, &raw mut allowed) != 0 {
            return Err(std::io::Error::last_os_error());
        }
        let last = (0..libc::CPU_SETSIZE as usize).rev().find(|cpu| libc::CPU_ISSET(*cpu, &allowed)).unwrap_or(0);
        let mut only: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(last, &mut only);
        if libc::sched_setaffinity(0, size, &raw const only) != 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(last)
    }
}

/// The model name of the processor.
pub fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or("an unknown processor".into(), |(_, name)| name.trim().into())
}

/// The CPU time of this thread, in nanoseconds.
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a `timespec`.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "every Linux has this clock");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
