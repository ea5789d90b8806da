//! The file of providers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use indexmap::IndexMap;
use openapi::config::SecretRef;
use serde::Deserialize;

use super::check::check;
use super::provider::{Github, Oidc, Provider, SecondFactor, Way};
use crate::config_file::Surroundings;
use crate::secrets::Secret;

/// Largest file, in bytes.
const LARGEST: u64 = 256 << 10;

/// Where GitHub is.
const GITHUB: &str = "https://github.com";
/// Where its API is.
const GITHUB_API: &str = "https://api.github.com";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    providers: Vec<Entry>,
}

/// What a provider speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// OpenID Connect.
    #[default]
    Oidc,
    /// What GitHub speaks, in the cloud or at home.
    Github,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    #[serde(default)]
    pub kind: Kind,
    pub name: String,
    pub title: String,
    pub issuer: Option<String>,
    pub web_url: Option<String>,
    pub api_url: Option<String>,
    pub client_id: String,
    client_secret: SecretRef,
    pub scopes: Option<Vec<String>>,
    pub email_domains: Vec<String>,
    #[serde(default)]
    pub organizations: Vec<String>,
    pub workspace: String,
    pub role_claim: Option<String>,
    #[serde(default)]
    pub roles: IndexMap<String, String>,
    pub default_role: Option<String>,
    #[serde(default)]
    create_accounts: bool,
    #[serde(default)]
    link_by_email: bool,
    pub second_factor: Option<SecondFactor>,
    #[serde(default)]
    pub second_factor_acr: Vec<String>,
    #[serde(default)]
    pub allow_private: bool,
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
    faults.extend(mixed_up(&all));
    if faults.is_empty() {
        Ok(all)
    } else {
        Err(faults.join("; "))
    }
}

/// People are known by issuer and subject: two that vouch for other subjects must not be one issuer.
fn mixed_up(all: &[Provider]) -> Vec<String> {
    let mut speaks = BTreeMap::new();
    let mut faults = Vec::new();
    for provider in all {
        let is_github = matches!(provider.way, Way::Github(_));
        let before = speaks.insert(provider.issuer.as_str(), is_github);
        if before.is_some_and(|before| before != is_github) {
            faults.push(format!(
                "{}: the issuer is a GitHub in another entry",
                provider.name
            ));
        }
    }
    faults
}

fn provider(entry: Entry, client_secret: Secret) -> Provider {
    let roles = entry.roles.into_iter();
    let (issuer, way, roles, second_factor) = match entry.kind {
        Kind::Oidc => {
            let usual = || vec!["email".to_owned(), "profile".to_owned()];
            let way = Way::Oidc(Oidc {
                scopes: entry.scopes.unwrap_or_else(usual),
                role_claim: entry.role_claim,
                second_factor_acr: entry.second_factor_acr,
            });
            let issuer = entry.issuer.unwrap_or_default();
            (issuer, way, roles.collect(), SecondFactor::Claimed)
        }
        Kind::Github => {
            let web = base(entry.web_url.as_deref().unwrap_or(GITHUB));
            let api = match (entry.api_url, web == GITHUB) {
                (Some(api), _) => base(&api),
                (None, true) => GITHUB_API.to_owned(),
                // Where a server of one's own has it.
                (None, false) => format!("{web}/api/v3"),
            };
            let names = entry.organizations.iter();
            let organizations = names.map(|name| name.to_lowercase()).collect();
            let way = Way::Github(Github { api, organizations });
            // Organizations and teams are the same however they are written.
            let roles = roles.map(|(value, role)| (value.to_lowercase(), role));
            (web, way, roles.collect(), SecondFactor::Never)
        }
    };
    let domains = entry.email_domains.iter();
    Provider {
        name: entry.name,
        title: entry.title,
        issuer,
        client_id: entry.client_id,
        client_secret,
        email_domains: domains.map(|domain| domain.to_lowercase()).collect(),
        workspace: entry.workspace,
        roles,
        default_role: entry.default_role,
        create_accounts: entry.create_accounts,
        link_by_email: entry.link_by_email,
        second_factor: entry.second_factor.unwrap_or(second_factor),
        allow_private: entry.allow_private,
        way,
    }
}

fn base(address: &str) -> String {
    address.trim_end_matches('/').to_owned()
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
        let Way::Oidc(oidc) = &provider.way else {
            panic!("the usual kind");
        };
        assert_eq!(oidc.scopes, ["email", "profile"]);
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
            (
                "name: corp",
                "name: corp\n    organizations: [a]",
                "only for kind: github",
            ),
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

    const GITHUB_ENTRY: &str = r#"
providers:
  - kind: github
    name: github
    title: GitHub
    client_id: Iv1.x
    client_secret: { env: SECRET }
    email_domains: ["*"]
    organizations: [Acme]
    workspace: main
    roles: { Acme/Admins: admin, acme: viewer }
"#;

    #[test]
    fn github_is_where_it_is_said_to_be() {
        let all = read(GITHUB_ENTRY, &around()).unwrap();
        let api = |provider: &Provider| match &provider.way {
            Way::Github(github) => github.api.clone(),
            Way::Oidc(_) => panic!("a GitHub"),
        };
        assert_eq!(all[0].issuer, "https://github.com");
        assert_eq!(api(&all[0]), "https://api.github.com");
        assert_eq!(all[0].second_factor, SecondFactor::Never);
        assert!(all[0].decides_roles() && !all[0].confirms());
        let values: Vec<_> = all[0].roles.keys().collect();
        assert_eq!(values, ["acme/admins", "acme"]);
        let home = GITHUB_ENTRY.replace(
            "title: GitHub",
            "title: GitHub\n    web_url: https://git.example.com/",
        );
        let all = read(&home, &around()).unwrap();
        assert_eq!(all[0].issuer, "https://git.example.com");
        assert_eq!(api(&all[0]), "https://git.example.com/api/v3");
    }

    #[test]
    fn what_github_cannot_do_is_refused() {
        for (from, to, said) in [
            (
                "title: GitHub",
                "title: GitHub\n    issuer: https://x.example",
                "issuer",
            ),
            (
                "title: GitHub",
                "title: GitHub\n    scopes: [repo]",
                "scopes",
            ),
            (
                "title: GitHub",
                "title: GitHub\n    second_factor: claimed",
                "never or always",
            ),
            (
                "title: GitHub",
                "title: GitHub\n    api_url: http://127.0.0.1",
                "api_url",
            ),
            ("[Acme]", "[../x]", "organizations"),
            ("Acme/Admins", "Acme/Admins/x", "roles"),
            ("[Acme]", "[a, b, c, d, e, f, g, h, i, j]", "at most 10"),
        ] {
            let text = GITHUB_ENTRY.replace(from, to);
            assert_ne!(text, GITHUB_ENTRY, "{from}");
            let fault = read(&text, &around()).unwrap_err();
            assert!(fault.contains(said), "{said}: {fault}");
        }
        let entry = GOOD.split_once("providers:").unwrap().1;
        let entry = entry.replace("https://login.example.com", "https://github.com");
        let both = format!("{GITHUB_ENTRY}{entry}");
        let fault = read(&both, &around()).unwrap_err();
        assert!(fault.contains("another entry"), "{fault}");
    }
}
