//! [`Crowd`]: which peers do what.

use crate::content::Random;

/// Whether a peer's request offers permessage-deflate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Plain,
    Deflate,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Plain, Self::Deflate];
}

/// The keys of all peers, in the order in which they connect: first those without compression, then those with it.
///
/// Each connects to a random slot of the server's table, like peers that come after others left. So neighbours in time
/// are not neighbours in memory.
pub struct Crowd(Vec<u32>);

impl Crowd {
    pub fn new(count: usize) -> Self {
        let (mut keys, mut random): (Vec<_>, _) = ((0..count as u32).collect(), Random(1));
        for last in (1..count).rev() {
            keys.swap(last, random.below(last + 1));
        }
        Self(keys)
    }

    pub fn all(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|key| *key as usize)
    }

    /// The peers of a kind: half of all.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = usize> {
        let (plain, deflate) = self.0.split_at(self.0.len() / 2);
        let half = if kind == Kind::Plain { plain } else { deflate };
        half.iter().map(|key| *key as usize)
    }

    /// The peers of a kind that talk: one in a hundred.
    pub fn talkers(&self, kind: Kind) -> impl Iterator<Item = usize> {
        self.of(kind).take(self.0.len() / 200)
    }

    /// The peers of a kind whose transports are full for a while: one in twenty, none of them a talker.
    pub fn slow(&self, kind: Kind) -> impl Iterator<Item = usize> {
        self.of(kind).skip(self.0.len() / 200).take(self.0.len() / 40)
    }

    pub fn all_talkers(&self) -> impl Iterator<Item = usize> {
        Kind::ALL.into_iter().flat_map(|kind| self.talkers(kind))
    }

    pub fn all_slow(&self) -> impl Iterator<Item = usize> {
        Kind::ALL.into_iter().flat_map(|kind| self.slow(kind))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}
