//! What is known of a provider.

use indexmap::IndexMap;
use serde::Deserialize;

use crate::secrets::Secret;

/// When the second factor of the provider stands in for ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SecondFactor {
    /// Never: an account with a second factor is asked for it here.
    Never,
    /// When the ID token says that there was one: `mfa` in `amr`, or an `acr` of the list.
    Claimed,
    /// Always: the provider is known to ask everybody for one.
    Always,
}

/// A provider.
#[derive(Clone, Debug)]
pub(super) struct Provider {
    /// Its name in addresses.
    pub name: String,
    /// What the button says.
    pub title: String,
    /// Who vouches for its subjects: the issuer as it stands in its tokens, or where GitHub is.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// Our secret there.
    pub client_secret: Secret,
    /// Domains of addresses that may come in; `*`: all.
    pub email_domains: Vec<String>,
    /// Slug of the workspace that the role is in.
    pub workspace: String,
    /// Role of each value that the provider tells of a person; the first that fits counts.
    pub roles: IndexMap<String, String>,
    /// Role of those whom no value fits; none: they are refused.
    pub default_role: Option<String>,
    /// Whether unknown people get an account.
    pub create_accounts: bool,
    /// Whether an account that is there is joined by its address.
    pub link_by_email: bool,
    /// When its second factor stands in for ours.
    pub second_factor: SecondFactor,
    /// Whether it may have a private or loopback address.
    pub allow_private: bool,
    /// How it is spoken to.
    pub way: Way,
}

/// How a provider is spoken to.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// OpenID Connect.
    Oidc(Oidc),
    /// GitHub, which speaks OAuth and tells about people by its API.
    Github(Github),
}

/// What is known of a provider that speaks OpenID Connect.
#[derive(Clone, Debug)]
pub(super) struct Oidc {
    /// Scopes beside `openid`.
    pub scopes: Vec<String>,
    /// Claim that roles are taken from.
    pub role_claim: Option<String>,
    /// Values of `acr` that mean a second factor.
    pub second_factor_acr: Vec<String>,
}

/// What is known of a GitHub.
#[derive(Clone, Debug)]
pub(super) struct Github {
    /// Where its API is, without a slash at the end.
    pub api: String,
    /// Organizations of which a person must be in one; empty: in none. In lower case.
    pub organizations: Vec<String>,
}

/// What a provider says about a person, proved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// The person's name there, which never changes.
    pub subject: String,
    /// The address, if the provider has verified it.
    pub email: Option<String>,
    /// A name for people.
    pub name: Option<String>,
    /// What the role is taken from.
    pub values: Vec<String>,
    /// Whether there was a second factor that counts here.
    pub second_factor: bool,
}

/// Why a sign-in is refused; for the log.
pub(super) type Refused = &'static str;

/// Why nothing was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unproved {
    /// The person is not let in.
    Refused(Refused),
    /// The provider does not answer, or asks to come back later.
    Away,
}

impl From<Refused> for Unproved {
    fn from(reason: Refused) -> Self {
        Self::Refused(reason)
    }
}

impl Provider {
    /// Whether an address may come in.
    pub fn takes(&self, domain: &str) -> bool {
        let domain = domain.to_lowercase();
        self.email_domains.iter().any(|d| d == "*" || *d == domain)
    }

    /// Whether the person is where it has to be.
    pub fn admits(&self, said: &Said) -> bool {
        match &self.way {
            Way::Oidc(_) => true,
            Way::Github(github) => {
                let wanted = &github.organizations;
                wanted.is_empty() || wanted.iter().any(|one| said.values.contains(one))
            }
        }
    }

    /// The role of a person; none: no value fits, and there is no default.
    pub fn role(&self, said: &Said) -> Option<&str> {
        let fits = self
            .roles
            .iter()
            .find(|(value, _)| said.values.contains(value));
        fits.map(|(_, role)| role.as_str())
            .or(self.default_role.as_deref())
    }

    /// Whether the role is set anew at each sign-in.
    pub fn decides_roles(&self) -> bool {
        match &self.way {
            Way::Oidc(oidc) => oidc.role_claim.is_some(),
            Way::Github(_) => !self.roles.is_empty(),
        }
    }

    /// Whether it can be made to ask a person anew, and shows that it did. GitHub lets in whoever
    /// has a session there and says nothing about when the person was asked, so a sign-in with it
    /// shows who one is for what is harmless only.
    pub const fn confirms(&self) -> bool {
        matches!(self.way, Way::Oidc(_))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A provider as most tests want it.
    pub(in crate::auth::providers) fn provider(way: Way) -> Provider {
        Provider {
            name: "corp".to_owned(),
            title: "Corp".to_owned(),
            issuer: "https://login.example.com".to_owned(),
            client_id: "signalbox".to_owned(),
            client_secret: Secret::new("hush"),
            email_domains: vec!["example.com".to_owned()],
            workspace: "main".to_owned(),
            roles: IndexMap::from([
                ("admins".to_owned(), "admin".to_owned()),
                ("staff".to_owned(), "viewer".to_owned()),
            ]),
            default_role: None,
            create_accounts: false,
            link_by_email: false,
            second_factor: SecondFactor::Claimed,
            allow_private: false,
            way,
        }
    }

    fn github(organizations: &[&str]) -> Way {
        Way::Github(Github {
            api: "https://api.github.com".to_owned(),
            organizations: organizations.iter().map(|&one| one.to_owned()).collect(),
        })
    }

    fn in_all(values: &[&str]) -> Said {
        Said {
            values: values.iter().map(|&one| one.to_owned()).collect(),
            ..Said::default()
        }
    }

    #[test]
    fn the_first_entry_that_fits_is_the_role() {
        let provider = provider(github(&[]));
        assert_eq!(provider.role(&in_all(&["staff", "admins"])), Some("admin"));
        assert_eq!(provider.role(&in_all(&["staff"])), Some("viewer"));
        assert_eq!(provider.role(&in_all(&["other"])), None);
        let lenient = Provider {
            default_role: Some("operator".to_owned()),
            ..provider
        };
        assert_eq!(lenient.role(&in_all(&[])), Some("operator"));
    }

    #[test]
    fn who_is_in_none_of_the_organizations_stays_out() {
        let strict = provider(github(&["acme", "other"]));
        assert!(strict.admits(&in_all(&["acme"])) && strict.admits(&in_all(&["x", "other"])));
        assert!(!strict.admits(&in_all(&["acme/team"])) && !strict.admits(&in_all(&[])));
        assert!(provider(github(&[])).admits(&in_all(&[])));
    }
}
