//! The harness, the fake upstreams and what tests share.

pub mod fakes;
