//! One test, or more, for each row of the conformance table (`rows.tsv`), each input run at every split point.
//!
//! A test names the rows it shows with `rows!` in its first line; `coverage.rs` counts them.

mod browser_closing;
mod browser_sending;
mod client_rejection;
mod client_request;
mod client_response;
mod close_codes;
mod closing;
mod control;
mod coverage;
#[cfg(feature = "deflate")]
mod deflate;
#[cfg(feature = "deflate")]
mod deflate_endings;
#[cfg(feature = "deflate")]
mod deflate_negotiation;
#[cfg(feature = "deflate")]
mod deflate_obeyed;
#[cfg(feature = "deflate")]
mod deflate_receiving;
#[cfg(feature = "deflate")]
mod deflate_sending;
#[cfg(feature = "deflate")]
mod deflate_shared;
#[cfg(feature = "deflate")]
mod deflate_unagreed;
mod endings;
mod every_end;
mod expect;
mod extended_connect;
mod extended_connect_answer;
mod faults;
mod folded;
mod fragments;
mod framing;
mod harness;
mod head_method;
mod http;
mod limits;
mod masking;
mod peers;
mod pong_budget;
mod received_close;
mod request;
mod request_identity;
mod server_answer;
mod server_request;
#[path = "../shared/mod.rs"]
mod shared;
mod start_line;
mod uri;
mod vectors;

/// Names the rows of the table that the test shows. Every id must be in the table.
macro_rules! rows {
    ($($id:literal),+ $(,)?) => {
        for id in [$($id),+] {
            assert!($crate::coverage::is_row(id), "no row {id}");
        }
    };
}
pub(crate) use rows;
