//! Upstreams of our own: ordinary HTTP servers with state and scripted faults.
//!
//! Each can be started inside a test or by hand from its binary. What tests ask of them lies under
//! `/_fake/`, without authentication, and as methods of the handle.

pub mod connectwise;
mod faults;
pub mod github;
pub mod mail;
pub mod object_store;
pub mod oidc;
mod server;
pub mod sink;
pub mod vault;

pub use connectwise::FakeConnectWise;
pub use faults::{Effect, Fault};
pub use github::FakeGithub;
pub use mail::MailSink;
pub use object_store::ObjectStore;
pub use oidc::OidcProvider;
pub use sink::FakeSink;
pub use vault::FakeVault;
