//! A cursor that reads decisions from bytes; after the last byte, every decision is zero.

pub struct Bytes<'d> {
    rest: &'d [u8],
}

impl<'d> Bytes<'d> {
    pub fn new(data: &'d [u8]) -> Self {
        Self { rest: data }
    }

    pub fn next(&mut self) -> Option<u8> {
        self.take(1).first().copied()
    }

    pub fn byte(&mut self) -> u8 {
        self.next().unwrap_or_default()
    }

    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// The next `count` bytes, or all remaining ones.
    pub fn take(&mut self, count: usize) -> &'d [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// A string with its length in front.
    pub fn string(&mut self) -> &'d [u8] {
        let len = self.byte();
        self.take(len.into())
    }

    pub fn rest(self) -> &'d [u8] {
        self.rest
    }
}
