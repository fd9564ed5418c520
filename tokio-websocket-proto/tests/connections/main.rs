//! Both ends of a connection, over a pipe in memory: under load, with dropped futures, and with peers that stop.

mod dropped;
mod frozen;
mod limits;
mod pairs;
mod pushing;
