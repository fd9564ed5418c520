//! Stand-ins without the feature `deflate`: permessage-deflate is never negotiated, so a value of most of these types
//! never exists.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::error::OutOfMemory;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AgreedParameters {}

#[derive(Debug)]
pub(crate) enum Compressor {}

#[derive(Debug)]
pub(crate) enum Decompressor {}

#[derive(Debug, Default)]
pub(crate) struct Codecs {
    pub(crate) compressor: Option<Box<Compressor>>,
    pub(crate) decompressor: Option<Box<Decompressor>>,
}

pub(crate) type SharedCodecs = Option<Box<Codecs>>;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Step {
    pub(crate) read: usize,
    pub(crate) written: usize,
    pub(crate) is_broken: bool,
}

impl AgreedParameters {
    pub(crate) fn threshold(self) -> usize {
        match self {}
    }

    pub(crate) fn own_takeover(self) -> bool {
        match self {}
    }

    pub(crate) fn peer_takeover(self) -> bool {
        match self {}
    }

    pub(crate) fn is_shared(self) -> bool {
        match self {}
    }
}

impl Codecs {
    #[expect(clippy::unnecessary_wraps, reason = "as with the feature")]
    pub(crate) fn shared(place: &mut SharedCodecs) -> Result<&mut Self, OutOfMemory> {
        Ok(place.get_or_insert_default())
    }
}

impl Compressor {
    pub(crate) fn new(agreed: AgreedParameters) -> Result<Self, OutOfMemory> {
        match agreed {}
    }

    pub(crate) fn most(_: usize) -> usize {
        0
    }

    pub(crate) fn serves(&self, _: AgreedParameters) -> bool {
        match *self {}
    }

    pub(crate) fn compress(&mut self, _: &[u8], _: bool, _: &mut Vec<u8>) -> Result<(), OutOfMemory> {
        match *self {}
    }

    pub(crate) fn reset(&mut self) {
        match *self {}
    }
}

impl Decompressor {
    pub(crate) fn new() -> Result<Self, OutOfMemory> {
        Err(OutOfMemory)
    }

    pub(crate) fn push(&mut self, _: &[u8], _: &mut [u8]) -> Step {
        match *self {}
    }

    pub(crate) fn is_full(&self) -> bool {
        match *self {}
    }

    pub(crate) fn expected_len(&self, _: usize) -> usize {
        match *self {}
    }

    pub(crate) fn finish(&mut self, _: bool) -> bool {
        match *self {}
    }

    pub(crate) fn restart(&mut self) {
        match *self {}
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as with the feature")]
pub(crate) fn try_box<T>(value: T) -> Result<Box<T>, OutOfMemory> {
    Ok(Box::new(value))
}
