//! [`Lazy`]: a place for state that an idle connection does not have.

use alloc::boxed::Box;

use crate::deflate::try_box;
use crate::error::OutOfMemory;

/// A place for a `T`, which is allocated when it is first needed.
///
/// A connection keeps the rare state of its receiver and of its sender in one allocation, and lends each its place.
pub(crate) trait Lazy<T> {
    /// The state, if it is allocated.
    fn get(&self) -> Option<&T>;

    /// The state, if it is allocated.
    fn get_mut(&mut self) -> Option<&mut T>;

    /// The state, allocated now if it was not.
    fn get_or_make(&mut self) -> Result<&mut T, OutOfMemory>;
}

impl<T: Default> Lazy<T> for Option<Box<T>> {
    #[inline]
    fn get(&self) -> Option<&T> {
        self.as_deref()
    }

    #[inline]
    fn get_mut(&mut self) -> Option<&mut T> {
        self.as_deref_mut()
    }

    #[inline]
    fn get_or_make(&mut self) -> Result<&mut T, OutOfMemory> {
        if self.is_none() {
            *self = Some(try_box(T::default())?);
        }
        self.as_deref_mut().ok_or(OutOfMemory)
    }
}
