//! The pages: one file or folder each.

mod dashboard;
mod missing;
mod sign_in;

pub use dashboard::Dashboard;
pub use missing::Missing;
pub use sign_in::SignIn;
