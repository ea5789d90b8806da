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
pub mod shelf;
pub mod sink;
pub mod vault;

pub use connectwise::FakeConnectWise;
pub use faults::{Effect, Fault};
pub use github::FakeGithub;
pub use mail::MailSink;
pub use object_store::ObjectStore;
pub use oidc::OidcProvider;
pub use shelf::FakeShelf;
pub use sink::FakeSink;
pub use vault::FakeVault;

/// The Python that has the packages of the tests.
fn python() -> std::ffi::OsString {
    std::env::var_os("SIGNALBOX_TEST_PYTHON")
        .expect("SIGNALBOX_TEST_PYTHON; scripts/with-services sets it")
}
