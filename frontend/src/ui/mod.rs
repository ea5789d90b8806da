//! The components of the console: native elements with the console's tokens.

mod ago;
mod badge;
mod button;
mod card;
mod chart;
mod code;
mod combo;
mod confirm;
mod dialog;
mod field;
mod filter;
mod icon;
mod keyed;
mod list;
mod page;
mod password;
mod send;
mod states;
mod switch;
mod tabs;
mod toast;
mod tokens;

pub use ago::{Ago, Tick, provide_tick};
pub use badge::{
    Badge, Tone, disposition_badge, disposition_tone, outcome_tone, state_badge, state_tone,
};
pub use button::{Button, Kind};
pub use card::Card;
pub use chart::{Bars, Lines, Point};
pub use code::{CodeBlock, CopyButton, CopyLine, JsonView};
pub use combo::{Choice, Combo};
pub use confirm::{Confirm, ConfirmHost, Question, use_confirm};
pub use dialog::Dialog;
pub use field::{
    AreaField, CheckField, FaultList, Faults, SelectField, TextField, TickField, next_id,
};
pub use filter::{Filter, FilterSelect, SearchBox};
pub use icon::{Icon, Mark, icon};
pub use keyed::keyed;
pub use list::pages;
pub use page::PageHead;
pub use password::PasswordField;
pub use send::Sending;
pub use states::{Empty, FailureView, Skeleton, page_of, show};
pub use switch::Switch;
pub use tabs::Tabs;
pub use toast::{ToastHost, Toasts, use_toasts};
