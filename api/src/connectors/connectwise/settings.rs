//! The settings of a ConnectWise connection.

use std::time::Duration;

use openapi::connections::Field;
use openapi::problem::FieldError;
use serde::Deserialize;
use url::Url;

use crate::connectors::common::{Describe as _, field, wrong};

/// Longest call that may be set.
const LONGEST: f64 = 120.0;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    pub(super) base_url: Url,
    pub(super) company: String,
    pub(super) client_id: String,
    #[serde(default)]
    pub(super) default_company: String,
    #[serde(default)]
    pub(super) default_board: String,
    #[serde(default)]
    pub(super) close_status: String,
    #[serde(default = "yes")]
    pub(super) require_closed: bool,
    #[serde(default)]
    pub(super) ticket_url: String,
    #[serde(default)]
    pub(super) xref_field: XrefField,
    #[serde(default)]
    pub(super) patch_style: PatchStyle,
    #[serde(default)]
    pub(super) notes: NoteKind,
    #[serde(default)]
    pub(super) api_version: String,
    #[serde(default = "thousand")]
    pub(super) page_size: u32,
    #[serde(default = "thirty")]
    timeout_seconds: f64,
}

/// The ticket field that holds our reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum XrefField {
    #[default]
    #[serde(rename = "externalXRef")]
    ExternalXRef,
    #[serde(rename = "poNumber")]
    PoNumber,
}

impl XrefField {
    pub(super) const fn name(self) -> &'static str {
        match self {
            XrefField::ExternalXRef => "externalXRef",
            XrefField::PoNumber => "poNumber",
        }
    }

    /// How many characters it holds.
    pub(super) const fn length(self) -> usize {
        match self {
            XrefField::ExternalXRef => 100,
            XrefField::PoNumber => 50,
        }
    }
}

/// How a status is written: tenants differ in what they honour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PatchStyle {
    /// `path: status`, value `{id}`.
    #[default]
    Reference,
    /// `path: status/id`, value the number.
    Id,
}

/// Who may read the notes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NoteKind {
    /// In the discussion, which the customer sees.
    #[default]
    Discussion,
    /// In the internal analysis.
    Internal,
}

impl Settings {
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.timeout_seconds.clamp(1.0, LONGEST))
    }

    /// The address of a ticket for people.
    pub(super) fn ticket_link(&self, id: i64) -> Option<String> {
        let id = id.to_string();
        if !self.ticket_url.is_empty() {
            return Some(self.ticket_url.replace("{id}", &id));
        }
        // The web client lies beside the interface; in the cloud without the `api-` of its host.
        let (root, _) = self.base_url.as_str().split_once("/apis/")?;
        let root = root.replacen("://api-", "://", 1);
        Some(format!(
            "{root}/ConnectWise.aspx?routeTo=ServiceFV&recid={id}"
        ))
    }

    /// What the types cannot say.
    pub(super) fn faults(&self) -> Vec<FieldError> {
        let mut faults = Vec::new();
        let mut add = |at: &str, code: &str, message: &str| {
            faults.push(wrong(format!("settings.{at}"), code, message));
        };
        let base = &self.base_url;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            add(
                "base_url",
                "invalid_url",
                "only http and https addresses are called",
            );
        } else if !base.username().is_empty() || base.password().is_some() {
            add(
                "base_url",
                "invalid_url",
                "the keys belong in the secrets, not in the address",
            );
        } else if base.query().is_some() || base.fragment().is_some() {
            add(
                "base_url",
                "invalid_url",
                "the address ends with its path, as …/v4_6_release/apis/3.0",
            );
        }
        if self.client_id.chars().any(|c| !c.is_ascii_graphic()) {
            add("client_id", "invalid_value", "this is not a client id");
        }
        if self
            .api_version
            .chars()
            .any(|c| !c.is_ascii_alphanumeric() && c != '.')
        {
            add(
                "api_version",
                "invalid_value",
                "a version looks like 2025.1",
            );
        }
        if !self.ticket_url.is_empty() && !self.ticket_url.contains("{id}") {
            add(
                "ticket_url",
                "invalid_value",
                "the address needs {id} where the ticket's number goes",
            );
        }
        if !(1..=1000).contains(&self.page_size) {
            add("page_size", "invalid_value", "from 1 to 1000");
        }
        if !(1.0..=LONGEST).contains(&self.timeout_seconds) {
            add("timeout_seconds", "invalid_value", "from 1 to 120 seconds");
        }
        faults
    }
}

pub(super) fn fields() -> Vec<Field> {
    let text = |name, title, help| field(name, title, "string", help);
    vec![
        field("base_url", "Address of the API", "url", "As https://api-eu.myconnectwise.net/v4_6_release/apis/3.0.").required(),
        text("company", "Login company", "The company that is typed at the sign-in.").required(),
        text("client_id", "Client id", "The GUID of the integration, sent as clientId.").required(),
        text("default_company", "Default company", "Identifier of the company of tickets whose rule maps none.").metadata("companies"),
        text("default_board", "Default board", "Board of tickets whose rule maps none.").metadata("boards"),
        text("close_status", "Closing status", "Name of the status that closes. Absent, or unknown to the ticket's board: the board's first closing one."),
        field("require_closed", "Require closed", "boolean", "Whether a close must leave the ticket closed. Off: the closing status may be one that a person closes later.").default(true),
        text("ticket_url", "Address of a ticket", "For people, with {id}. Absent: derived from the address of the API."),
        text("xref_field", "Reference field", "The ticket field that holds our reference.").choices(&["externalXRef", "poNumber"]).default("externalXRef"),
        text("patch_style", "Form of a status change", "Tenants differ in which they honour.").choices(&["reference", "id"]).default("reference"),
        text("notes", "Notes go to", "Whether customers see the notes.").choices(&["discussion", "internal"]).default("discussion"),
        text("api_version", "API version", "Pins the version, as 2025.1. Absent: the tenant's own."),
        field("page_size", "Page size", "number", "Rows asked for at once when lists are read, 1 to 1000.").default(1000),
        field("timeout_seconds", "Timeout", "number", "Longest call in seconds, 1 to 120.").default(30),
    ]
}

pub(super) fn secrets() -> Vec<Field> {
    vec![
        field("public_key", "Public key", "string", "Of the API member.").required(),
        field("private_key", "Private key", "string", "Of the API member.").required(),
    ]
}

const fn yes() -> bool {
    true
}

const fn thousand() -> u32 {
    1000
}

const fn thirty() -> f64 {
    30.0
}
