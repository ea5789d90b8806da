//! What can be permitted, and the roles.

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)*) => {
        /// One thing that a caller may do; the word is a scope of a credential.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Permission {
            $($(#[$doc])* $name,)*
        }

        impl Permission {
            /// Every permission.
            pub const ALL: &'static [Permission] = &[$(Permission::$name,)*];

            /// The word on the wire and in the database.
            pub const fn word(self) -> &'static str {
                match self { $(Permission::$name => $word,)* }
            }
        }
    };
}

permissions! {
    /// Read events and the live stream.
    EventsRead = "events:read";
    /// Route an event again.
    EventsReplay = "events:replay";
    /// Read rules; explain.
    RulesRead = "rules:read";
    /// Change rules.
    RulesWrite = "rules:write";
    /// Read sources and refusals.
    SourcesRead = "sources:read";
    /// Change sources; send test events.
    SourcesWrite = "sources:write";
    /// Read connections, connectors and lists of upstreams.
    ConnectionsRead = "connections:read";
    /// Change and test connections.
    ConnectionsWrite = "connections:write";
    /// Read deliveries.
    DeliveriesRead = "deliveries:read";
    /// Release, edit, discard and replay deliveries.
    DeliveriesWrite = "deliveries:write";
    /// Read dead letters.
    DlqRead = "dlq:read";
    /// Replay and discard dead letters.
    DlqReplay = "dlq:replay";
    /// Read settings and the dashboard.
    SettingsRead = "settings:read";
    /// Change settings of the workspace.
    SettingsWrite = "settings:write";
    /// Read workspaces.
    WorkspacesRead = "workspaces:read";
    /// Make and rename workspaces.
    WorkspacesWrite = "workspaces:write";
    /// Read the numbers for Prometheus.
    MetricsRead = "metrics:read";
}

impl Permission {
    /// The permission of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|p| p.word() == word)
    }

    /// Whether it only reads.
    pub fn only_reads(self) -> bool {
        self.word().ends_with(":read")
    }
}

/// What a person is in a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Owner,
    /// Everything.
    Admin,
    /// Reads everything and works with events and deliveries; changes no configuration.
    Operator,
    /// Reads.
    Viewer,
}

impl Role {
    /// The role of this word; none: the word is unknown, and permits nothing.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "owner" => Some(Self::Owner),
            "admin" => Some(Self::Admin),
            "operator" => Some(Self::Operator),
            "viewer" => Some(Self::Viewer),
            _ => None,
        }
    }

    /// Whether the role includes this.
    pub fn permits(self, permission: Permission) -> bool {
        match self {
            Self::Owner | Self::Admin => true,
            Self::Operator => {
                permission.only_reads()
                    || matches!(
                        permission,
                        Permission::EventsReplay
                            | Permission::DeliveriesWrite
                            | Permission::DlqReplay
                    )
            }
            Self::Viewer => permission.only_reads(),
        }
    }

    /// Everything that the role includes.
    pub fn permissions(self) -> Vec<Permission> {
        Permission::ALL
            .iter()
            .copied()
            .filter(|p| self.permits(*p))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        for permission in Permission::ALL {
            assert_eq!(Permission::parse(permission.word()), Some(*permission));
        }
        assert_eq!(Permission::parse("everything"), None);
    }

    #[test]
    fn a_viewer_changes_nothing_and_an_operator_no_configuration() {
        for permission in Permission::ALL {
            assert!(Role::Owner.permits(*permission));
            assert_eq!(Role::Viewer.permits(*permission), permission.only_reads());
        }
        assert!(Role::Operator.permits(Permission::DlqReplay));
        assert!(!Role::Operator.permits(Permission::RulesWrite));
        assert!(!Role::Operator.permits(Permission::WorkspacesWrite));
    }
}
