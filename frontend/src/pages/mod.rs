//! The pages: one file or folder each.

mod audit;
mod connections;
mod credentials;
mod dashboard;
mod dead_letters;
mod deliveries;
mod events;
mod jobs;
mod live_feed;
mod maintenance;
mod missing;
mod retention;
mod rules;
mod sign_in;
mod sources;
mod stale;
mod workspace;

pub use audit::AuditLog;
pub use connections::{ConnectionPage, Connections, NewConnectionPage};
pub use credentials::Credentials;
pub use dashboard::Dashboard;
pub use dead_letters::DeadLetters;
pub use deliveries::{Deliveries, DeliveryPage};
pub use events::{EventPage, Events};
pub use jobs::Jobs;
pub use live_feed::LiveFeed;
pub use maintenance::{NewWindowPage, WindowPage, Windows};
pub use missing::Missing;
pub use retention::RetentionPage;
pub use rules::{NewRulePage, RulePage, Rules};
pub use sign_in::SignIn;
pub use sources::{NewSourcePage, SourcePage, Sources};
pub use workspace::WorkspacePage;
