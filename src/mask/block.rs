//! So many octets at a time: what fits a register, or several of them.

/// Octets that are loaded, XORed and stored at once, from and to any address.
pub(super) trait Block: Copy {
    /// The key, over and over.
    fn repeat(key: [u8; 4]) -> Self;
    unsafe fn load(from: *const u8) -> Self;
    unsafe fn store(self, to: *mut u8);
    fn xor(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn is_ascii(self) -> bool;
}

/// What every processor of the kind has.
#[cfg(target_arch = "x86_64")]
pub(super) type Wide = core::arch::x86_64::__m128i;
#[cfg(not(target_arch = "x86_64"))]
pub(super) type Wide = u128;

macro_rules! integer {
    ($($integer:ty),*) => {$(
        impl Block for $integer {
            #[inline(always)]
            fn repeat(key: [u8; 4]) -> Self {
                Self::from(u32::from_ne_bytes(key)) * (Self::MAX / Self::from(u32::MAX))
            }

            #[inline(always)]
            unsafe fn load(from: *const u8) -> Self {
                // SAFETY: the caller's.
                unsafe { from.cast::<Self>().read_unaligned() }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut u8) {
                // SAFETY: the caller's.
                unsafe { to.cast::<Self>().write_unaligned(self) }
            }

            #[inline(always)]
            fn xor(self, other: Self) -> Self {
                self ^ other
            }

            #[inline(always)]
            fn or(self, other: Self) -> Self {
                self | other
            }

            #[inline(always)]
            fn is_ascii(self) -> bool {
                self & Self::repeat([0x80; 4]) == 0
            }
        }
    )*};
}

integer!(u32, u64);
#[cfg(not(target_arch = "x86_64"))]
integer!(u128);

impl<B: Block, const N: usize> Block for [B; N] {
    #[inline(always)]
    fn repeat(key: [u8; 4]) -> Self {
        [B::repeat(key); N]
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the caller's.
        core::array::from_fn(|at| unsafe { B::load(from.add(at * size_of::<B>())) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        for (at, block) in self.into_iter().enumerate() {
            // SAFETY: the caller's.
            unsafe { block.store(to.add(at * size_of::<B>())) }
        }
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        core::array::from_fn(|at| self[at].xor(other[at]))
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        core::array::from_fn(|at| self[at].or(other[at]))
    }

    #[inline(always)]
    fn is_ascii(self) -> bool {
        self.iter().all(|block| block.is_ascii())
    }
}

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use super::Block;
    use core::arch::x86_64::*;

    impl Block for __m128i {
        #[inline(always)]
        fn repeat(key: [u8; 4]) -> Self {
            // SAFETY: every x86-64 has SSE2; so below.
            unsafe { _mm_set1_epi32(i32::from_ne_bytes(key)) }
        }
        #[inline(always)]
        unsafe fn load(from: *const u8) -> Self {
            unsafe { _mm_loadu_si128(from.cast()) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut u8) {
            unsafe { _mm_storeu_si128(to.cast(), self) }
        }
        #[inline(always)]
        fn xor(self, other: Self) -> Self {
            unsafe { _mm_xor_si128(self, other) }
        }
        #[inline(always)]
        fn or(self, other: Self) -> Self {
            unsafe { _mm_or_si128(self, other) }
        }
        #[inline(always)]
        fn is_ascii(self) -> bool {
            unsafe { _mm_movemask_epi8(self) == 0 }
        }
    }

    impl Block for __m256i {
        #[inline(always)]
        fn repeat(key: [u8; 4]) -> Self {
            unsafe { _mm256_set1_epi32(i32::from_ne_bytes(key)) }
        }
        #[inline(always)]
        unsafe fn load(from: *const u8) -> Self {
            unsafe { _mm256_loadu_si256(from.cast()) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut u8) {
            unsafe { _mm256_storeu_si256(to.cast(), self) }
        }
        #[inline(always)]
        fn xor(self, other: Self) -> Self {
            unsafe { _mm256_xor_si256(self, other) }
        }
        #[inline(always)]
        fn or(self, other: Self) -> Self {
            unsafe { _mm256_or_si256(self, other) }
        }
        #[inline(always)]
        fn is_ascii(self) -> bool {
            unsafe { _mm256_movemask_epi8(self) == 0 }
        }
    }
}
