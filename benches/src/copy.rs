//! Copies bytes in place of a read or a write. Avoids `memcpy`: for large copies glibc uses `rep movsb`, which on some
//! processors runs at a sixteenth of its speed if the offset in the page is a few bytes larger at the destination than
//! at the source. Then results would depend on the addresses of buffers.

/// Copies `from` to `to`, which has the same length.
#[inline]
pub fn copy(from: &[u8], to: &mut [u8]) {
    assert_eq!(from.len(), to.len());
    match from.len() {
        0 => {}
        1 => to[0] = from[0],
        2..=3 => ends::<2>(from, to),
        4..=7 => ends::<4>(from, to),
        8..=15 => ends::<8>(from, to),
        16..=31 => ends::<16>(from, to),
        32..=63 => ends::<32>(from, to),
        64..=127 => ends::<64>(from, to),
        _ => blocks(from, to),
    }
}

/// Copies at least 128 bytes.
#[inline]
fn blocks(from: &[u8], to: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { avx2(from, to) };
    }
    to.copy_from_slice(from);
}

/// Copies blocks of 128 bytes with unaligned loads and stores; the last block may overlap the previous one.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(from: &[u8], to: &mut [u8]) {
    use std::arch::x86_64::{__m256i, _mm256_loadu_si256, _mm256_storeu_si256};

    let len = from.len().min(to.len());
    let (source, target) = (from.as_ptr(), to.as_mut_ptr());
    let block = |at: usize| {
        for offset in [0, 32, 64, 96] {
            debug_assert!(at + 128 <= len);
            // SAFETY: the 128 bytes from `at` on are in both slices: every call has `at + 128 <= len`.
            unsafe {
                let bytes = _mm256_loadu_si256(source.add(at + offset).cast::<__m256i>());
                _mm256_storeu_si256(target.add(at + offset).cast::<__m256i>(), bytes);
            }
        }
    };
    let mut at = 0;
    while at + 128 <= len {
        block(at);
        at += 128;
    }
    if at < len && len >= 128 {
        block(len - 128);
    }
}

/// Copies the first and the last `N` bytes, which may overlap.
#[inline]
fn ends<const N: usize>(from: &[u8], to: &mut [u8]) {
    let last = from.len() - N;
    to[..N].copy_from_slice(&from[..N]);
    to[last..].copy_from_slice(&from[last..]);
}
