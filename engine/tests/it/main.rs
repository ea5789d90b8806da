//! Behaviour of the engine, module by module.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

//C
//F
mod hostile;
//I
//M
mod paths;
//R
//U
//S
mod support;
//T
