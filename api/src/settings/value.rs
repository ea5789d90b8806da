//! The kinds of values that a setting can have.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::secrets::Secret;

/// A value that is read from text and shown as text.
pub trait Value: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// What form was expected. Never the text itself: it may be a secret.
    fn read(text: &str) -> Result<Self, String>;

    /// Shows it; a secret as stars.
    fn show(&self) -> String;
}

macro_rules! parsed {
    ($($type:ty, $expected:literal;)*) => {$(
        impl Value for $type {
            fn read(text: &str) -> Result<Self, String> {
                text.trim().parse().map_err(|_| format!("expected {}", $expected))
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

parsed! {
    SocketAddr, "an address and a port, as in 127.0.0.1:8080";
    u32, "a whole number, 0 or more";
    u64, "a whole number, 0 or more";
    usize, "a whole number, 0 or more";
}

impl Value for f64 {
    fn read(text: &str) -> Result<Self, String> {
        text.trim()
            .parse()
            .ok()
            .filter(|n: &f64| n.is_finite())
            .ok_or_else(|| "expected a number".to_owned())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for bool {
    fn read(text: &str) -> Result<Self, String> {
        match text.trim() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err("expected true or false".to_owned()),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for String {
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.trim().to_owned())
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl Value for PathBuf {
    fn read(text: &str) -> Result<Self, String> {
        Ok(PathBuf::from(text))
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Value for Secret {
    fn read(text: &str) -> Result<Self, String> {
        Ok(Secret::new(text.trim()))
    }

    fn show(&self) -> String {
        "***".to_owned()
    }
}

impl Value for IpNet {
    fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        text.parse()
            .or_else(|_| text.parse().map(|ip: std::net::IpAddr| ip.into()))
            .map_err(|_| "expected networks, as in 10.0.0.0/8, 192.0.2.7".to_owned())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// Empty text: none.
impl<T: Value> Value for Option<T> {
    fn read(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        T::read(text).map(Some)
    }

    fn show(&self) -> String {
        self.as_ref().map(T::show).unwrap_or_default()
    }
}

/// Separated by commas.
impl<T: Value> Value for Vec<T> {
    fn read(text: &str) -> Result<Self, String> {
        text.split(',')
            .filter(|part| !part.trim().is_empty())
            .map(T::read)
            .collect()
    }

    fn show(&self) -> String {
        self.iter().map(T::show).collect::<Vec<_>>().join(", ")
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
        }

        impl $name {
            /// The word for it in settings, database and logs.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl Value for $name {
            fn read(text: &str) -> Result<Self, String> {
                match text.trim() {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(format!("expected one of: {}", [$($word),*].join(", "))),
                }
            }

            fn show(&self) -> String {
                self.word().to_owned()
            }
        }
    };
}

words! {
    /// What a server does.
    Role {
        /// Takes in and carries out.
        All = "all",
        /// Serves HTTP only.
        Api = "api",
        /// Carries deliveries out; serves only health and metrics.
        Worker = "worker",
    }
}

impl Role {
    /// Whether it carries deliveries out.
    pub const fn works(self) -> bool {
        matches!(self, Role::All | Role::Worker)
    }

    /// Whether it serves hooks, API and console.
    pub const fn accepts(self) -> bool {
        matches!(self, Role::All | Role::Api)
    }
}

words! {
    /// How the connection to the mail server is protected.
    SmtpTls {
        /// TLS after a greeting in clear; without it nothing is sent.
        Starttls = "starttls",
        /// TLS from the first byte.
        Implicit = "implicit",
        /// Not at all.
        None = "none",
    }
}

words! {
    /// What log lines look like.
    LogFormat {
        /// For people.
        Pretty = "pretty",
        /// One JSON object a line.
        Json = "json",
    }
}
