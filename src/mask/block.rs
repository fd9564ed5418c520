//! [`Block`]: octets that are loaded, combined and stored at once, in one register or several.

/// SAFETY of every method: the processor has the registers, and `size_of::<Self>()` octets can be read or written at
/// the address.
pub(super) trait Block: Copy {
    /// The key, repeated.
    unsafe fn repeat(key: [u8; 4]) -> Self;
    /// From any address.
    unsafe fn load(from: *const u8) -> Self;
    /// To any address.
    unsafe fn store(self, to: *mut u8);
    unsafe fn xor(self, other: Self) -> Self;
    unsafe fn or(self, other: Self) -> Self;
    unsafe fn is_ascii(self) -> bool;
}

/// The widest register that every processor of the architecture has. Targets without an operating system may lack SSE.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
pub(super) type Wide = core::arch::x86_64::__m128i;
#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
pub(super) type Wide = u128;

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl Block for $integer {
            #[inline(always)]
            unsafe fn repeat(key: [u8; 4]) -> Self {
                Self::from(u32::from_ne_bytes(key)) * (Self::MAX / Self::from(u32::MAX))
            }

            #[inline(always)]
            unsafe fn load(from: *const u8) -> Self {
                // SAFETY: the trait's.
                unsafe { from.cast::<Self>().read_unaligned() }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut u8) {
                // SAFETY: the trait's.
                unsafe { to.cast::<Self>().write_unaligned(self) }
            }

            #[inline(always)]
            unsafe fn xor(self, other: Self) -> Self {
                self ^ other
            }

            #[inline(always)]
            unsafe fn or(self, other: Self) -> Self {
                self | other
            }

            #[inline(always)]
            unsafe fn is_ascii(self) -> bool {
                self & (Self::MAX / 0xff * 0x80) == 0
            }
        }
    )*};
}

integers!(u32, u64);
#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
integers!(u128);

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86_64 {
    use core::arch::x86_64::{
        __m128i, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi32, _mm_storeu_si128, _mm_xor_si128,
    };
    #[cfg(feature = "std")]
    use core::arch::x86_64::{
        __m256i, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi32, _mm256_storeu_si256,
        _mm256_xor_si256,
    };

    use super::Block;

    macro_rules! register {
        ($register:ty: $repeat:ident, $load:ident, $store:ident, $xor:ident, $or:ident, $high_bits:ident) => {
            impl Block for $register {
                #[inline(always)]
                unsafe fn repeat(key: [u8; 4]) -> Self {
                    // SAFETY: the trait's, as for all of these.
                    unsafe { $repeat(i32::from_ne_bytes(key)) }
                }

                #[inline(always)]
                unsafe fn load(from: *const u8) -> Self {
                    // SAFETY: the trait's.
                    unsafe { $load(from.cast()) }
                }

                #[inline(always)]
                unsafe fn store(self, to: *mut u8) {
                    // SAFETY: the trait's.
                    unsafe { $store(to.cast(), self) }
                }

                #[inline(always)]
                unsafe fn xor(self, other: Self) -> Self {
                    // SAFETY: the trait's.
                    unsafe { $xor(self, other) }
                }

                #[inline(always)]
                unsafe fn or(self, other: Self) -> Self {
                    // SAFETY: the trait's.
                    unsafe { $or(self, other) }
                }

                #[inline(always)]
                unsafe fn is_ascii(self) -> bool {
                    // SAFETY: the trait's.
                    unsafe { $high_bits(self) == 0 }
                }
            }
        };
    }

    register!(__m128i: _mm_set1_epi32, _mm_loadu_si128, _mm_storeu_si128, _mm_xor_si128, _mm_or_si128, _mm_movemask_epi8);
    #[cfg(feature = "std")]
    register!(
        __m256i: _mm256_set1_epi32, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_xor_si256, _mm256_or_si256,
        _mm256_movemask_epi8
    );
}

/// Several registers, in order.
impl<B: Block, const N: usize> Block for [B; N] {
    #[inline(always)]
    unsafe fn repeat(key: [u8; 4]) -> Self {
        // SAFETY: the trait's, as for all of these.
        [unsafe { B::repeat(key) }; N]
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the trait's.
        core::array::from_fn(|at| unsafe { B::load(from.add(at * size_of::<B>())) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        for (at, block) in self.into_iter().enumerate() {
            // SAFETY: the trait's.
            unsafe { block.store(to.add(at * size_of::<B>())) }
        }
    }

    #[inline(always)]
    unsafe fn xor(mut self, other: Self) -> Self {
        for (own, other) in self.iter_mut().zip(other) {
            // SAFETY: the trait's.
            *own = unsafe { own.xor(other) };
        }
        self
    }

    #[inline(always)]
    unsafe fn or(mut self, other: Self) -> Self {
        for (own, other) in self.iter_mut().zip(other) {
            // SAFETY: the trait's.
            *own = unsafe { own.or(other) };
        }
        self
    }

    #[inline(always)]
    unsafe fn is_ascii(self) -> bool {
        // SAFETY: the trait's.
        self.into_iter().all(|block| unsafe { block.is_ascii() })
    }
}
