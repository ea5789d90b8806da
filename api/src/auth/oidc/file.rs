//! The file of providers.

use std::collections::BTreeSet;
use std::path::Path;

use indexmap::IndexMap;
use openapi::config::SecretRef;
use serde::Deserialize;
use url::Url;

use crate::config_file::Surroundings;
use crate::secrets::Secret;

/// Largest file, in bytes.
const LARGEST: u64 = 256 << 10;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    providers: Vec<Entry>,
}

/// When the second factor of the provider stands in for ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondFactor {
    /// Never: an account with a second factor is asked for it here.
    Never,
    /// When the ID token says that there was one: `mfa` in `amr`, or an `acr` of the list.
    #[default]
    Claimed,
    /// Always: the provider is known to ask everybody for one.
    Always,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    title: String,
    issuer: String,
    client_id: String,
    client_secret: SecretRef,
    #[serde(default = "usual_scopes")]
    scopes: Vec<String>,
    email_domains: Vec<String>,
    workspace: String,
    role_claim: Option<String>,
    #[serde(default)]
    roles: IndexMap<String, String>,
    default_role: Option<String>,
    #[serde(default)]
    create_accounts: bool,
    #[serde(default)]
    link_by_email: bool,
    #[serde(default)]
    second_factor: SecondFactor,
    #[serde(default)]
    second_factor_acr: Vec<String>,
    #[serde(default)]
    allow_private: bool,
}

fn usual_scopes() -> Vec<String> {
    vec!["email".to_owned(), "profile".to_owned()]
}

/// A provider.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its name in addresses.
    pub name: String,
    /// What the button says.
    pub title: String,
    /// The issuer, as it stands in its tokens.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// Our secret there.
    pub client_secret: Secret,
    /// Scopes beside `openid`.
    pub scopes: Vec<String>,
    /// Domains of addresses that may come in; `*`: all.
    pub email_domains: Vec<String>,
    /// Slug of the workspace that the role is in.
    pub workspace: String,
    /// Claim that roles are taken from.
    pub role_claim: Option<String>,
    /// Role of each value of the claim; the first that fits counts.
    pub roles: IndexMap<String, String>,
    /// Role of those whom no value fits; none: they are refused.
    pub default_role: Option<String>,
    /// Whether unknown people get an account.
    pub create_accounts: bool,
    /// Whether an account that is there is joined by its address.
    pub link_by_email: bool,
    /// When its second factor stands in for ours.
    pub second_factor: SecondFactor,
    /// Values of `acr` that mean a second factor.
    pub second_factor_acr: Vec<String>,
    /// Whether it may have a private or loopback address.
    pub allow_private: bool,
}

impl Provider {
    /// Whether an address may come in.
    pub(super) fn takes(&self, domain: &str) -> bool {
        let domain = domain.to_lowercase();
        self.email_domains.iter().any(|d| d == "*" || *d == domain)
    }
}

/// Reads a file.
pub(super) fn load(path: &Path) -> Result<Vec<Provider>, String> {
    let fault = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let size = std::fs::metadata(path).map_err(|e| fault(&e))?.len();
    if size > LARGEST {
        return Err(fault(&"the file is too large"));
    }
    let text = std::fs::read_to_string(path).map_err(|e| fault(&e))?;
    let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
    read(&text, &Surroundings::of_process(folder)).map_err(|e| fault(&e))
}

fn read(text: &str, around: &Surroundings) -> Result<Vec<Provider>, String> {
    let file: File =
        serde_saphyr::from_str(text).map_err(|error| error.without_snippet().to_string())?;
    let mut faults = Vec::new();
    let mut names = BTreeSet::new();
    let mut all = Vec::new();
    for entry in file.providers {
        let name = entry.name.clone();
        if !names.insert(name.clone()) {
            faults.push(format!("{name}: the name stands twice"));
        }
        let mut own = check(&entry);
        let secret = around
            .secret(&entry.client_secret)
            .map_err(|error| own.push(format!("client_secret: {error}")));
        faults.extend(own.into_iter().map(|fault| format!("{name}: {fault}")));
        if let Ok(client_secret) = secret {
            all.push(provider(entry, client_secret));
        }
    }
    if faults.is_empty() {
        Ok(all)
    } else {
        Err(faults.join("; "))
    }
}

fn provider(entry: Entry, client_secret: Secret) -> Provider {
    Provider {
        name: entry.name,
        title: entry.title,
        issuer: entry.issuer,
        client_id: entry.client_id,
        client_secret,
        scopes: entry.scopes,
        email_domains: entry
            .email_domains
            .iter()
            .map(|domain| domain.to_lowercase())
            .collect(),
        workspace: entry.workspace,
        role_claim: entry.role_claim,
        roles: entry.roles,
        default_role: entry.default_role,
        create_accounts: entry.create_accounts,
        link_by_email: entry.link_by_email,
        second_factor: entry.second_factor,
        second_factor_acr: entry.second_factor_acr,
        allow_private: entry.allow_private,
    }
}

/// What is wrong with an entry.
fn check(entry: &Entry) -> Vec<String> {
    let mut faults = Vec::new();
    let mut must = |holds: bool, fault: &str| {
        if !holds {
            faults.push(fault.to_owned());
        }
    };
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    must(
        (1..=40).contains(&entry.name.len()) && entry.name.chars().all(letters),
        "name: 1 to 40 lower-case letters, digits and dashes",
    );
    let line = |text: &str| !text.trim().is_empty() && !text.chars().any(char::is_control);
    must(
        line(&entry.title) && entry.title.chars().count() <= 60,
        "title: a line of at most 60 characters",
    );
    let issuer = Url::parse(&entry.issuer).ok();
    let sound = issuer.as_ref().is_some_and(|url| {
        let safe = url.scheme() == "https" || (url.scheme() == "http" && entry.allow_private);
        safe && url.has_host() && url.query().is_none() && url.fragment().is_none()
    });
    must(
        sound,
        "issuer: an https:// address without query; http:// only with allow_private",
    );
    must(line(&entry.client_id), "client_id: is missing");
    must(
        !entry.email_domains.is_empty(),
        "email_domains: at least one; [\"*\"] takes every verified address",
    );
    must(
        entry
            .scopes
            .iter()
            .all(|scope| line(scope) && !scope.contains(char::is_whitespace)),
        "scopes: words without spaces",
    );
    must(line(&entry.workspace), "workspace: the slug of a workspace");
    must(
        entry.roles.is_empty() || entry.role_claim.is_some(),
        "role_claim: is missing, and roles are given",
    );
    must(
        !entry.roles.is_empty() || entry.default_role.is_some(),
        "roles: nobody could come in; give roles or default_role",
    );
    faults
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const GOOD: &str = r#"
providers:
  - name: corp
    title: Example Corp
    issuer: https://login.example.com
    client_id: signalbox
    client_secret: { env: SECRET }
    email_domains: [Example.com]
    workspace: main
    role_claim: groups
    roles: { admins: admin, staff: viewer }
"#;

    fn around() -> Surroundings {
        Surroundings {
            env: BTreeMap::from([("SECRET".to_owned(), "hush".to_owned())]),
            ..Surroundings::default()
        }
    }

    #[test]
    fn an_entry_is_careful_unless_told() {
        let all = read(GOOD, &around()).unwrap();
        let provider = &all[0];
        assert_eq!(provider.client_secret.reveal(), "hush");
        assert!(!provider.create_accounts && !provider.link_by_email && !provider.allow_private);
        assert_eq!(provider.second_factor, SecondFactor::Claimed);
        assert_eq!(provider.default_role, None);
        assert_eq!(provider.scopes, ["email", "profile"]);
        assert!(provider.takes("EXAMPLE.com") && !provider.takes("evil-example.com"));
        assert!(!provider.takes("sub.example.com"));
        let orders: Vec<_> = provider.roles.keys().collect();
        assert_eq!(orders, ["admins", "staff"]);
    }

    #[test]
    fn faults_are_named() {
        for (from, to, said) in [
            ("https://login", "http://login", "issuer"),
            ("name: corp", "name: Corp!", "name"),
            ("[Example.com]", "[]", "email_domains"),
            ("role_claim: groups\n", "\n", "role_claim"),
            ("{ env: SECRET }", "{ env: OTHER }", "OTHER is not set"),
            ("{ env: SECRET }", "{ }", "client_secret"),
            (
                "workspace: main",
                "workspace: main\n    surprise: 1",
                "surprise",
            ),
            ("roles: { admins: admin, staff: viewer }", "", "roles"),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD, "{from}");
            let fault = read(&text, &around()).unwrap_err();
            assert!(fault.contains(said), "{said}: {fault}");
            assert!(!fault.contains("hush"), "{fault}");
        }
        let entry = GOOD.split_once("providers:").unwrap().1;
        assert!(
            read(&format!("{GOOD}{entry}"), &around())
                .unwrap_err()
                .contains("twice")
        );
    }
}
