//! [`Deflater`] and [`Inflater`]: zlib's raw DEFLATE streams, in memory from the global allocator.
//!
//! One of the three islands of unsafe code: the safe streams of zlib-rs panic without memory, and need `std` to allocate.
//! zlib's C interface takes the caller's allocator and reports a failure. Each stream makes one allocation, in `new`. This
//! file can be removed once zlib-rs has constructors that can fail, and its `rust-allocator` needs only `alloc`.

use alloc::alloc::{Layout, alloc, dealloc};
use alloc::boxed::Box;
use core::ffi::{c_int, c_uint, c_void};
use core::ptr::NonNull;

use libz_rs_sys::{
    Z_BLOCK, Z_BUF_ERROR, Z_DEFAULT_STRATEGY, Z_DEFLATED, Z_NO_FLUSH, Z_OK, Z_STREAM_END, Z_SYNC_FLUSH, alloc_func,
    deflate, deflateEnd, deflateInit2_, deflateReset, free_func, inflate, inflateEnd, inflateInit2_, inflateReset,
    z_stream, zlibVersion,
};

use crate::error::OutOfMemory;

/// The result of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// Bytes read from the input.
    pub(super) read: usize,
    /// Bytes written to the front of the output.
    pub(super) written: usize,
    pub(super) status: Status,
}

/// The stream after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Going,
    /// The stream has ended: a block had BFINAL set.
    Ended,
    /// The input is not DEFLATE.
    Broken,
}

/// The points at which a decompressor pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// At the end of the input or of the output.
    Never,
    /// Also at the end of a block.
    AtBlocks,
}

/// Compresses to raw DEFLATE.
pub(super) struct Deflater {
    /// INVARIANT: `deflateInit2_` made it, and its pointers to the input and the output are null.
    stream: z_stream,
}

impl Deflater {
    /// `level`: 0 to 9. `window_bits`: 9 to 15. `memory_level`: 1 to 9.
    pub(super) fn new(level: u8, window_bits: u8, memory_level: u8) -> Result<Self, OutOfMemory> {
        let mut stream = unmade();
        let (level, bits, memory_level) = (level.into(), c_int::from(window_bits), memory_level.into());
        // SAFETY: the stream has an allocator; the version is that of the library that is called.
        let code = unsafe {
            let version = zlibVersion();
            // A negative window size means raw DEFLATE, without zlib's header and checksum.
            deflateInit2_(
                &raw mut stream,
                level,
                Z_DEFLATED,
                -bits,
                memory_level,
                Z_DEFAULT_STRATEGY,
                version,
                STREAM_LEN,
            )
        };
        if code == Z_OK { Ok(Self { stream }) } else { Err(OutOfMemory) }
    }

    /// Compresses the input until the output is full; flushes to a byte boundary at the end of the input.
    pub(super) fn run(&mut self, input: &[u8], output: &mut [u8]) -> Call {
        // SAFETY: the invariant; `call` sets the stream's pointers to a readable slice and a writable one.
        call(&mut self.stream, input, output, |stream| unsafe { deflate(stream, Z_SYNC_FLUSH) })
    }

    /// Starts again with an empty window.
    pub(super) fn reset(&mut self) {
        // SAFETY: the invariant.
        unsafe { deflateReset(&raw mut self.stream) };
    }
}

impl Drop for Deflater {
    fn drop(&mut self) {
        // SAFETY: the invariant, and nothing uses the stream after this.
        unsafe { deflateEnd(&raw mut self.stream) };
    }
}

/// Decompresses raw DEFLATE.
pub(super) struct Inflater {
    /// INVARIANT: `inflateInit2_` made it, and its pointers to the input and the output are null.
    stream: z_stream,
}

impl Inflater {
    /// With a window of 32 KiB, the largest.
    pub(super) fn new() -> Result<Self, OutOfMemory> {
        let mut stream = unmade();
        // SAFETY: the stream has an allocator; the version is that of the library that is called.
        let code = unsafe { inflateInit2_(&raw mut stream, -15, zlibVersion(), STREAM_LEN) };
        if code == Z_OK { Ok(Self { stream }) } else { Err(OutOfMemory) }
    }

    /// Decompresses until the input is read, the output is full, or the stream pauses, ends or is broken.
    pub(super) fn run(&mut self, input: &[u8], output: &mut [u8], pause: Pause) -> Call {
        let flush = if pause == Pause::AtBlocks { Z_BLOCK } else { Z_NO_FLUSH };
        // SAFETY: the invariant; `call` sets the stream's pointers to a readable slice and a writable one.
        call(&mut self.stream, input, output, |stream| unsafe { inflate(stream, flush) })
    }

    /// Starts again with an empty window.
    pub(super) fn reset(&mut self) {
        // SAFETY: the invariant.
        unsafe { inflateReset(&raw mut self.stream) };
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        // SAFETY: the invariant, and nothing uses the stream after this.
        unsafe { inflateEnd(&raw mut self.stream) };
    }
}

// SAFETY: a stream owns the memory behind its pointers and uses it only in methods with `&mut self`. It may be moved, as the
// streams in zlib-rs's safe types are: its memory has no pointer back to it.
unsafe impl Send for Deflater {}
// SAFETY: as above.
unsafe impl Sync for Deflater {}
// SAFETY: as above.
unsafe impl Send for Inflater {}
// SAFETY: as above.
unsafe impl Sync for Inflater {}

#[expect(clippy::cast_possible_wrap, reason = "a struct of a hundred bytes")]
const STREAM_LEN: c_int = size_of::<z_stream>() as c_int;

/// A stream with an allocator and nothing else.
fn unmade() -> z_stream {
    z_stream { zalloc: Some(allocate as alloc_func), zfree: Some(free as free_func), ..z_stream::default() }
}

/// Lends the slices to the stream during `run`.
#[inline]
fn call(stream: &mut z_stream, input: &[u8], output: &mut [u8], run: impl FnOnce(&mut z_stream) -> c_int) -> Call {
    // A slice longer than `c_uint::MAX` takes several calls.
    let most = |len| c_uint::try_from(len).unwrap_or(c_uint::MAX);
    let (readable, writable) = (most(input.len()), most(output.len()));
    (stream.next_in, stream.avail_in) = (input.as_ptr(), readable);
    (stream.next_out, stream.avail_out) = (output.as_mut_ptr(), writable);
    let code = run(stream);
    let (read, written) = (readable - stream.avail_in, writable - stream.avail_out);
    (stream.next_in, stream.avail_in) = (core::ptr::null(), 0);
    (stream.next_out, stream.avail_out) = (core::ptr::null_mut(), 0);
    let status = match code {
        // Z_BUF_ERROR: no input or no room. That is not a fault.
        Z_OK | Z_BUF_ERROR => Status::Going,
        Z_STREAM_END => Status::Ended,
        _ => Status::Broken,
    };
    Call { read: read as usize, written: written as usize, status }
}

/// The layout of an allocation for zlib: the size, then the memory for zlib, which does not pass the size to `zfree`.
fn layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(size.checked_add(size_of::<usize>())?, align_of::<usize>()).ok()
}

/// zlib's `zalloc`: null if there is no memory.
#[expect(clippy::cast_ptr_alignment, reason = "the layout has the alignment of a `usize`")]
extern "C" fn allocate(_: *mut c_void, items: c_uint, size: c_uint) -> *mut c_void {
    let size = (items as usize).checked_mul(size as usize);
    let Some((size, layout)) = size.and_then(|size| Some((size, layout(size)?))) else { return core::ptr::null_mut() };
    // SAFETY: the layout is at least as long as a `usize`.
    let Some(start) = NonNull::new(unsafe { alloc(layout) }.cast::<usize>()) else { return core::ptr::null_mut() };
    // SAFETY: the allocation is aligned for a `usize` and longer than one.
    unsafe {
        start.write(size);
        start.add(1).as_ptr().cast()
    }
}

/// zlib's `zfree`.
///
/// # Safety
/// The pointer is null, or `allocate` returned it and it was not freed.
unsafe extern "C" fn free(_: *mut c_void, pointer: *mut c_void) {
    let Some(pointer) = NonNull::new(pointer.cast::<usize>()) else { return };
    // SAFETY: `allocate` returned it, so that its size is before it, and it was allocated with the layout for that.
    unsafe {
        let start = pointer.sub(1);
        if let Some(layout) = layout(start.read()) {
            dealloc(start.as_ptr().cast(), layout);
        }
    }
}

/// Like `Box::new`, but reports a failed allocation.
pub(crate) fn try_box<T>(value: T) -> Result<Box<T>, OutOfMemory> {
    const { assert!(size_of::<T>() > 0, "the allocator is not asked for nothing") };
    // SAFETY: the size is not zero.
    let place = NonNull::new(unsafe { alloc(Layout::new::<T>()) }.cast::<T>()).ok_or(OutOfMemory)?;
    // SAFETY: the allocation is new, has the layout of `T`, and is from the allocator to which the box returns it.
    unsafe {
        place.write(value);
        Ok(Box::from_raw(place.as_ptr()))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use proptest::collection::vec as list;
    use proptest::prelude::*;
    use zlib_rs::{DeflateConfig, DeflateFlush, Inflate, InflateFlush};

    use super::*;

    /// Bytes with repetitions at short and long distances.
    fn content() -> impl Strategy<Value = Vec<u8>> {
        list((list(0..9u8, 1..40), 1..200usize), 0..12)
            .prop_map(|pieces| pieces.into_iter().flat_map(|(piece, times)| piece.repeat(times)).collect())
    }

    proptest! {
        /// Writes and reads the same bytes as the safe streams of zlib-rs.
        #[test]
        fn compressing_agrees_with_its_safe_twin(
            (level, bits, memory) in (0..10u8, 9..16u8, 1..10u8),
            messages in list((content(), any::<bool>()), 1..4),
            // zlib.h: "make sure that avail_out is greater than six to avoid repeated flush markers".
            room in 7..500usize,
        ) {
            let mut ours = Deflater::new(level, bits, memory).unwrap();
            let mut twin = zlib_rs::Deflate::new_with_config(DeflateConfig {
                level: level.into(),
                window_bits: -i32::from(bits),
                mem_level: memory.into(),
                ..DeflateConfig::default()
            });
            for (message, reset) in messages {
                let mut rest = &message[..];
                loop {
                    let (mut place, mut other) = (vec![0; room], vec![0; room]);
                    let call = ours.run(rest, &mut place);
                    let (read, written) = (twin.total_in(), twin.total_out());
                    twin.compress(rest, &mut other, DeflateFlush::SyncFlush).unwrap();
                    let (read, written) = (twin.total_in() - read, twin.total_out() - written);
                    prop_assert_eq!((call.read as u64, call.written as u64, call.status), (read, written, Status::Going));
                    prop_assert_eq!(&place[..call.written], &other[..call.written]);
                    rest = &rest[call.read..];
                    if rest.is_empty() && call.written < room {
                        break;
                    }
                }
                if reset {
                    ours.reset();
                    twin.reset();
                }
            }
        }

        /// Valid and mutated streams are decompressed as by the safe streams of zlib-rs.
        #[test]
        fn decompressing_agrees_with_its_safe_twin(
            message in content(),
            change: Option<(usize, u8)>,
            (step, room) in (1..300usize, 1..500usize),
            pause in any::<bool>(),
        ) {
            let mut compressed = vec![0; message.len() + 64];
            let written = Deflater::new(6, 12, 5).unwrap().run(&message, &mut compressed).written;
            compressed.truncate(written);
            if let Some((at, byte)) = change {
                let at = at % compressed.len();
                compressed[at] = byte;
            }
            let (pause, flush) =
                if pause { (Pause::AtBlocks, InflateFlush::Block) } else { (Pause::Never, InflateFlush::NoFlush) };
            let (mut ours, mut twin) = (Inflater::new().unwrap(), Inflate::new(false, 15));
            let mut rest = &compressed[..];
            loop {
                let (mut place, mut other) = (vec![0; room], vec![0; room]);
                let input = &rest[..step.min(rest.len())];
                let call = ours.run(input, &mut place, pause);
                let (read, written) = (twin.total_in(), twin.total_out());
                let status = match twin.decompress(input, &mut other, flush) {
                    Ok(zlib_rs::Status::StreamEnd) => Status::Ended,
                    Ok(_) => Status::Going,
                    Err(_) => Status::Broken,
                };
                let (read, written) = (twin.total_in() - read, twin.total_out() - written);
                prop_assert_eq!((call.read as u64, call.written as u64, call.status), (read, written, status));
                // Behind what it says, zlib may write what it likes.
                prop_assert_eq!(&place[..call.written], &other[..call.written]);
                rest = &rest[call.read..];
                if status == Status::Broken || call.read == 0 && call.written == 0 {
                    break;
                }
                if status == Status::Ended {
                    ours.reset();
                    twin.reset(false);
                }
            }
        }
    }

    #[test]
    fn sizes_that_no_allocation_can_have_are_refused() {
        assert!(layout(usize::MAX).is_none() && layout(isize::MAX as usize).is_none());
        assert_eq!(layout(1).map(|layout| layout.size()), Some(1 + size_of::<usize>()));
    }
}
