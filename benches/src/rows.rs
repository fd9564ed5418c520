//! The rows, and the target of each: the ratio of our time to the best peer's in the same run.

use crate::content::Content;
use crate::content::Content::{Ascii, Binary, Cjk, Json};
use crate::work::Task::{Decode, DecodeFragments, Deflate, Echo, EncodeClient, EncodeServer, Handshake, Inflate};
use crate::work::{READ, Reads, Task, Work, Writes};

/// A row's work and its target.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub work: Work,
    pub target: Option<f64>,
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// All rows, in the order of the table.
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |task: Task, content: Content, size: usize, reads: Reads, target: Option<f64>| {
        rows.push(Row { work: Work { task, content, size, reads, writes: Writes::Batches }, target });
    };
    let whole = Reads::UpTo(READ);

    let sizes = [16, 125, KIB, 16 * KIB, MIB];
    let targets = [
        (Binary, [0.20, 0.30, 0.70, 1.00, 0.90]),
        (Ascii, [0.20, 0.25, 0.60, 0.90, 0.85]),
        (Cjk, [0.45, 0.60, 0.80, 1.00, 1.00]),
    ];
    for (content, targets) in targets {
        for (size, target) in sizes.into_iter().zip(targets) {
            add(Decode, content, size, whole, Some(target));
        }
    }
    for content in [Binary, Ascii, Cjk] {
        for size in sizes {
            add(Decode, content, size, Reads::UpTo(1500), None);
        }
    }
    let byte_by_byte = [(Binary, 125, 1.00), (Ascii, 125, 1.00), (Ascii, KIB, 1.00), (Cjk, 125, 1.50)];
    for (content, size, target) in byte_by_byte {
        add(Decode, content, size, Reads::UpTo(1), Some(target));
    }
    for (size, target) in [(125, 0.30), (KIB, 0.60), (16 * KIB, 0.85)] {
        add(Decode, Ascii, size, Reads::Random, Some(target));
    }
    for (content, target) in [(Binary, 0.65), (Ascii, 0.60), (Cjk, 0.85)] {
        add(DecodeFragments, content, KIB, whole, Some(target));
    }
    for (size, target) in sizes.into_iter().zip([0.80, 0.90, 0.95, 0.95, 1.00]) {
        add(EncodeServer, Binary, size, whole, Some(target));
    }
    for (size, target) in sizes.into_iter().zip([1.00, 0.95, 0.90, 0.95, 0.80]) {
        add(EncodeClient, Binary, size, whole, Some(target));
    }
    for (size, target) in sizes.into_iter().zip([0.20, 0.35, 0.65, 0.95, 0.95]) {
        add(Echo, Ascii, size, whole, Some(target));
    }
    for size in [16 * KIB, MIB] {
        add(Echo, Binary, size, whole, Some(0.95));
    }
    for size in [KIB, 16 * KIB] {
        add(Echo, Cjk, size, Reads::Random, Some(0.95));
    }
    add(Handshake, Ascii, crate::handshake::REQUEST_LEN, Reads::UpTo(crate::handshake::REQUEST_LEN), Some(0.65));
    for task in [Deflate, Inflate] {
        for size in [KIB, 16 * KIB] {
            add(task, Json, size, whole, Some(1.00));
        }
    }
    for task in [EncodeServer, EncodeClient] {
        for size in [16, 125, KIB, 16 * KIB] {
            let work = Work { task, content: Binary, size, reads: whole, writes: Writes::Each };
            rows.push(Row { work, target: None });
        }
    }
    rows
}
