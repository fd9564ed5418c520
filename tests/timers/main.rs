//! Timers over hours of simulated time: a pair of endpoints, a scripted peer, and random schedules against a model.

mod clocks;
mod pair;
mod schedule;
mod scripted;
#[path = "../shared/mod.rs"]
mod shared;
mod world;
