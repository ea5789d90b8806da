//! The tenant that a query works in.

use uuid::Uuid;

/// Proof that the caller may work in a workspace. Every query of a tenant's data asks for it, and
/// only the authenticator, the ingest (by its source) and the command line make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    workspace: Uuid,
}

impl Scope {
    /// A scope of this workspace. Only for code that has established the right to it.
    pub(crate) const fn granted(workspace: Uuid) -> Self {
        Self { workspace }
    }

    /// A scope for tests of the parts behind the authenticator.
    #[doc(hidden)]
    pub const fn for_tests(workspace: Uuid) -> Self {
        Self { workspace }
    }

    /// The workspace.
    pub const fn workspace(self) -> Uuid {
        self.workspace
    }
}
