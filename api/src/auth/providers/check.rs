//! What is wrong with an entry of the file of providers.

use url::Url;

use super::file::{Entry, Kind};
use super::provider::SecondFactor;

/// Organizations of one entry: each is a call at every sign-in.
const ORGANIZATIONS: usize = 10;

/// The faults that were found.
struct Faults(Vec<String>);

impl Faults {
    fn must(&mut self, holds: bool, fault: &str) {
        if !holds {
            self.0.push(fault.to_owned());
        }
    }
}

/// What is wrong with an entry.
pub(super) fn check(entry: &Entry) -> Vec<String> {
    let mut faults = Faults(Vec::new());
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    faults.must(
        (1..=40).contains(&entry.name.len()) && entry.name.chars().all(letters),
        "name: 1 to 40 lower-case letters, digits and dashes",
    );
    faults.must(
        line(&entry.title) && entry.title.chars().count() <= 60,
        "title: a line of at most 60 characters",
    );
    faults.must(line(&entry.client_id), "client_id: is missing");
    faults.must(
        !entry.email_domains.is_empty(),
        "email_domains: at least one; [\"*\"] takes every verified address",
    );
    faults.must(line(&entry.workspace), "workspace: the slug of a workspace");
    faults.must(
        !entry.roles.is_empty() || entry.default_role.is_some(),
        "roles: nobody could come in; give roles or default_role",
    );
    match entry.kind {
        Kind::Oidc => oidc(entry, &mut faults),
        Kind::Github => github(entry, &mut faults),
    }
    faults.0
}

fn line(text: &str) -> bool {
    !text.trim().is_empty() && !text.chars().any(char::is_control)
}

/// Whether an address is one to call.
fn sound(address: &str, allow_private: bool) -> bool {
    Url::parse(address).is_ok_and(|url| {
        let safe = url.scheme() == "https" || (url.scheme() == "http" && allow_private);
        let plain = url.query().is_none() && url.fragment().is_none();
        safe && plain && url.has_host() && url.username().is_empty() && url.password().is_none()
    })
}

fn oidc(entry: &Entry, faults: &mut Faults) {
    let issuer = entry.issuer.as_deref().unwrap_or_default();
    faults.must(
        sound(issuer, entry.allow_private),
        "issuer: an https:// address without query; http:// only with allow_private",
    );
    let mut words = entry.scopes.iter().flatten();
    faults.must(
        words.all(|scope| line(scope) && !scope.contains(char::is_whitespace)),
        "scopes: words without spaces",
    );
    faults.must(
        entry.roles.is_empty() || entry.role_claim.is_some(),
        "role_claim: is missing, and roles are given",
    );
    for (given, name) in [
        (entry.web_url.is_some(), "web_url"),
        (entry.api_url.is_some(), "api_url"),
        (!entry.organizations.is_empty(), "organizations"),
    ] {
        faults.must(!given, &format!("{name}: only for kind: github"));
    }
}

fn github(entry: &Entry, faults: &mut Faults) {
    for (address, name) in [(&entry.web_url, "web_url"), (&entry.api_url, "api_url")] {
        let address = address.as_deref();
        faults.must(
            address.is_none_or(|address| sound(address, entry.allow_private)),
            &format!("{name}: an https:// address without query; http:// only with allow_private"),
        );
    }
    faults.must(
        entry.organizations.iter().all(|name| is_organization(name)),
        "organizations: names of organizations, as in their addresses",
    );
    faults.must(
        entry.roles.keys().all(|value| is_group(value)),
        "roles: organizations and teams, as acme and acme/admins",
    );
    faults.must(
        organizations(entry).len() <= ORGANIZATIONS,
        "organizations: at most 10, with those of roles",
    );
    faults.must(
        entry.second_factor != Some(SecondFactor::Claimed),
        "second_factor: never or always; GitHub does not say how somebody signed in",
    );
    for (given, name) in [
        (entry.issuer.is_some(), "issuer"),
        (entry.scopes.is_some(), "scopes"),
        (entry.role_claim.is_some(), "role_claim"),
        (!entry.second_factor_acr.is_empty(), "second_factor_acr"),
    ] {
        faults.must(!given, &format!("{name}: not for kind: github"));
    }
}

/// The organizations that an entry names.
fn organizations(entry: &Entry) -> Vec<String> {
    let of_roles = entry.roles.keys();
    let of_roles = of_roles.map(|value| value.split('/').next().unwrap_or_default());
    let all = entry.organizations.iter().map(String::as_str);
    let mut all: Vec<String> = all.chain(of_roles).map(str::to_lowercase).collect();
    all.sort();
    all.dedup();
    all
}

/// The letters that GitHub allows; they stand in addresses.
fn is_organization(name: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=60).contains(&name.len()) && name.chars().all(letters)
}

fn is_group(value: &str) -> bool {
    match value.split_once('/') {
        None => is_organization(value),
        Some((organization, team)) => {
            let letters = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            let is_team = (1..=100).contains(&team.len()) && team.chars().all(letters);
            is_organization(organization) && is_team
        }
    }
}
