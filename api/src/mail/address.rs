//! Addresses of people.

use lettre::Address;
use lettre::message::Mailbox;

/// Longest address that mail servers have to take.
const LONGEST: usize = 254;

/// An address that a mail can go to: one mailbox, without a name, in lower case.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress(String);

/// Not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an e-mail address, as in ann@example.com")]
pub struct AddressFault;

impl EmailAddress {
    /// Reads an address. Quoted names, comments, lists and control characters are no part of one.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, AddressFault> {
        let text = text.trim();
        let plain = text.len() <= LONGEST
            && !text
                .chars()
                .any(|c| c.is_control() || c.is_whitespace() || "\"(),:;<>[\\]".contains(c));
        let address: Address = text.parse().ok().filter(|_| plain).ok_or(AddressFault)?;
        Ok(Self(address.to_string().to_lowercase()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands after the `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// An address as it is shown to those who need not know it: the first letter and the domain.
pub fn masked(address: &str) -> String {
    let (name, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let first: String = name.chars().take(1).collect();
    format!("{first}…@{domain}")
}

/// An address in a log line would tell who the people are.
impl std::fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EmailAddress(***)")
    }
}

/// Whether mails can be from here: an address, or a name and an address in `<>`.
pub fn is_sender(text: &str) -> bool {
    !text.chars().any(char::is_control) && text.parse::<Mailbox>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_address_tells_the_domain() {
        assert_eq!(masked("ann.lee@example.com"), "a…@example.com");
        assert_eq!(masked("é@b"), "é…@b");
        assert_eq!(masked(""), "…@");
    }

    #[test]
    fn an_address_is_one_mailbox() {
        let parsed = EmailAddress::parse(" Ann.Lee+box@Example.com ").unwrap();
        assert_eq!(parsed.as_str(), "ann.lee+box@example.com");
        assert_eq!(parsed.domain(), "example.com");
        assert!(EmailAddress::parse("admin@localhost").is_ok());
        for bad in [
            "",
            "ann",
            "@example.com",
            "ann@",
            "ann@@example.com",
            "Ann <ann@example.com>",
            "ann@example.com, bob@example.com",
            "ann@example.com;bob@example.com",
            "ann@example.com\r\nBcc: bob@example.com",
            "ann@exa\nmple.com",
            "\"ann bob\"@example.com",
            "ann@[127.0.0.1]",
            "ann @example.com",
            &format!("{}@example.com", "x".repeat(250)),
        ] {
            assert_eq!(EmailAddress::parse(bad), Err(AddressFault), "{bad:?}");
        }
    }

    #[test]
    fn a_sender_may_have_a_name() {
        assert!(is_sender("box@example.com"));
        assert!(is_sender("Signalbox <box@example.com>"));
        assert!(!is_sender("Signalbox"));
        assert!(!is_sender("a@example.com\r\nBcc: b@example.com"));
    }
}
