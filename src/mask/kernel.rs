//! The XOR of masking, in the processor's widest registers, with a look at each octet's high bit on the way.

use alloc::vec::Vec;

use super::block::{Block, Wide};
use super::rotate_key;
use crate::frame::EncodedHeader;

/// XORs `bytes` with `key` in place. Returns whether they are ASCII now.
#[inline]
pub(crate) fn mask(key: [u8; 4], bytes: &mut [u8]) -> bool {
    let at = bytes.as_mut_ptr();
    // SAFETY: both are the same `len` octets, which are borrowed to be written.
    unsafe { xor(key, at, at, bytes.len()) }
}

/// Appends `bytes`, XORed with `key`. Returns whether what was appended is ASCII.
#[inline]
pub(crate) fn append_masked(key: [u8; 4], bytes: &[u8], out: &mut Vec<u8>) -> bool {
    out.reserve(bytes.len());
    let place = out.spare_capacity_mut().as_mut_ptr().cast();
    // SAFETY: `len` octets to read, and as many to write that were just reserved and nobody else knows of.
    let is_ascii = unsafe { xor_call(key, bytes.as_ptr(), place, bytes.len()) };
    // SAFETY: that many were reserved, and written.
    unsafe { out.set_len(out.len() + bytes.len()) };
    is_ascii
}

/// Appends a header and `payload`, XORed with `key`.
#[inline]
pub(crate) fn append_frame(header: &EncodedHeader, key: [u8; 4], payload: &[u8], out: &mut Vec<u8>) {
    let (padded, header) = (header.padded(), header.as_ref().len());
    out.reserve(padded.len() + payload.len());
    let place: *mut u8 = out.spare_capacity_mut().as_mut_ptr().cast();
    // SAFETY: both fit into what was just reserved and nobody else knows of, and all of it up to the new length is
    // written: the payload begins where the header ends, over what pads that.
    unsafe {
        place.cast::<[u8; 16]>().write(*padded);
        xor_call(key, payload.as_ptr(), place.add(header), payload.len());
        out.set_len(out.len() + header + payload.len());
    }
}

// INVARIANT of all below: `len` octets can be read at `from` and written at `to`, which are the same or do not overlap.

#[inline]
unsafe fn xor(key: [u8; 4], from: *const u8, to: *mut u8, len: usize) -> bool {
    // SAFETY: the invariant, and `len` is as each needs it.
    unsafe {
        match len {
            WIDER.. => xor_long(key, from, to, len),
            32.. => xor_blocks::<[Wide; 2]>(key, from, to, len),
            16.. => xor_blocks::<Wide>(key, from, to, len),
            8.. => xor_blocks::<u64>(key, from, to, len),
            4.. => xor_blocks::<u32>(key, from, to, len),
            _ => xor_octets(key, from, to, len),
        }
    }
}

#[inline(never)]
unsafe fn xor_call(key: [u8; 4], from: *const u8, to: *mut u8, len: usize) -> bool {
    // SAFETY: the invariant.
    unsafe { xor(key, from, to, len) }
}

/// From so many octets on, wider registers are worth asking for.
const WIDER: usize = 256;

#[inline(never)]
unsafe fn xor_long(key: [u8; 4], from: *const u8, to: *mut u8, len: usize) -> bool {
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2; the invariant.
        return unsafe { xor_avx2(key, from, to, len) };
    }
    // SAFETY: the invariant; `len` is more than a block.
    unsafe { xor_blocks::<[Wide; 4]>(key, from, to, len) }
}

#[cfg(all(feature = "std", target_arch = "x86_64"))]
#[target_feature(enable = "avx2")]
unsafe fn xor_avx2(key: [u8; 4], from: *const u8, to: *mut u8, len: usize) -> bool {
    // SAFETY: the invariant; `len` is more than a block.
    unsafe { xor_blocks::<[core::arch::x86_64::__m256i; 4]>(key, from, to, len) }
}

/// In blocks, of which `len` makes at least one. The last block is loaded before anything is stored, and stored last,
/// over what overlaps it: so odd octets need no loop, and no store crosses the end, behind which the next header would
/// wait for it.
#[inline(always)]
unsafe fn xor_blocks<B: Block>(key: [u8; 4], from: *const u8, to: *mut u8, len: usize) -> bool {
    // SAFETY: each block from `at` on, and the last one, lie within `len`.
    unsafe {
        let last_at = len - size_of::<B>();
        let last = B::load(from.add(last_at)).xor(B::repeat(rotate_key(key, last_at)));
        let (key, mut seen, mut at) = (B::repeat(key), last, 0);
        while at < last_at {
            let block = B::load(from.add(at)).xor(key);
            block.store(to.add(at));
            seen = seen.or(block);
            at += size_of::<B>();
        }
        last.store(to.add(last_at));
        seen.is_ascii()
    }
}

#[inline(always)]
unsafe fn xor_octets(key: [u8; 4], from: *const u8, to: *mut u8, len: usize) -> bool {
    let mut seen = 0;
    for (at, key) in key.into_iter().enumerate().take(len) {
        // SAFETY: `at` is below `len`.
        unsafe {
            let octet = from.add(at).read() ^ key;
            to.add(at).write(octet);
            seen |= octet;
        }
    }
    seen.is_ascii()
}
