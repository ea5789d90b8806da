//! What can be permitted, and the roles.

use entity::role;
use sea_orm::{ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

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
    /// Read maintenance and its windows.
    MaintenanceRead = "maintenance:read";
    /// Turn the maintenance switch; change windows.
    MaintenanceWrite = "maintenance:write";
    /// Read jobs and their progress.
    JobsRead = "jobs:read";
    /// Cancel jobs.
    JobsCancel = "jobs:cancel";
    /// Read the audit log.
    AuditRead = "audit:read";
    /// Read credentials: names, networks, last use; never a secret.
    CredentialsRead = "credentials:read";
    /// Make, change, rotate and revoke credentials.
    CredentialsWrite = "credentials:write";
    /// Read who is in the workspace, and who is invited.
    UsersRead = "users:read";
    /// Invite people, change their roles, remove them.
    UsersWrite = "users:write";
    /// Read the roles of the workspace.
    RolesRead = "roles:read";
    /// Make, change and delete roles of the workspace.
    RolesWrite = "roles:write";
    /// Read settings and the dashboard.
    SettingsRead = "settings:read";
    /// Change settings of the workspace.
    SettingsWrite = "settings:write";
    /// Read workspaces.
    WorkspacesRead = "workspaces:read";
    /// Make workspaces.
    WorkspacesWrite = "workspaces:write";
    /// Rename and delete the workspace, set its quotas: what only its owner may.
    WorkspacesOwn = "workspaces:own";
    /// Read the numbers for Prometheus.
    MetricsRead = "metrics:read";
}

impl Permission {
    /// The permission of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|p| p.word() == word)
    }

    /// Whether it shows what everybody of a workspace may see. The audit log, the members and the
    /// credentials name people, machines and where they are, and the roles what they may; they are
    /// for those who answer for the workspace.
    fn is_for_all(self) -> bool {
        self.only_reads()
            && !matches!(
                self,
                Self::AuditRead | Self::CredentialsRead | Self::UsersRead | Self::RolesRead
            )
    }

    /// Whether it only reads.
    pub fn only_reads(self) -> bool {
        self.word().ends_with(":read")
    }
}

/// What the word of a role that a workspace made itself begins with; its id follows.
pub const CUSTOM: &str = "custom:";

/// What a role permits in a workspace; none: there is no such role. Every check of a role goes
/// through here, and nothing is remembered: a change of a role holds for the next request of
/// everybody who has it, on every node.
///
/// # Errors
/// The database failed.
pub async fn permissions_of(
    db: &impl ConnectionTrait,
    workspace: Uuid,
    role: &str,
) -> Result<Option<Vec<Permission>>, DbErr> {
    if let Some(known) = Role::parse(role) {
        return Ok(Some(known.permissions()));
    }
    let Some(id) = role.strip_prefix(CUSTOM).and_then(|id| id.parse().ok()) else {
        return Ok(None);
    };
    let row = role::Entity::find_by_id::<Uuid>(id)
        .filter(role::Column::WorkspaceId.eq(workspace))
        .one(db)
        .await?;
    Ok(row.map(|row| stored_permissions(&row)))
}

/// What a stored role permits. A word that is not known permits nothing, and neither does a list
/// that cannot be read.
pub fn stored_permissions(row: &role::Model) -> Vec<Permission> {
    let words: Vec<String> = serde_json::from_str(&row.permissions).unwrap_or_default();
    words.iter().filter_map(|w| Permission::parse(w)).collect()
}

/// What a person is in a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Owner,
    /// Everything but what makes an owner: the workspace itself, and its quotas.
    Admin,
    /// Reads everything, works with events and deliveries, plans maintenance; changes no other
    /// configuration.
    Operator,
    /// Reads.
    Viewer,
}

impl Role {
    /// Every built-in role, the one with the most rights first.
    pub const ALL: &'static [Role] = &[Role::Owner, Role::Admin, Role::Operator, Role::Viewer];

    /// The word on the wire and in the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
        }
    }

    /// The role of this word; none: the word is unknown, and permits nothing.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|role| role.word() == word)
    }

    /// Whether the role includes this.
    pub fn permits(self, permission: Permission) -> bool {
        match self {
            Self::Owner => true,
            Self::Admin => permission != Permission::WorkspacesOwn,
            Self::Operator => {
                permission.is_for_all()
                    || matches!(
                        permission,
                        Permission::EventsReplay
                            | Permission::DeliveriesWrite
                            | Permission::MaintenanceWrite
                            | Permission::DlqReplay
                            | Permission::JobsCancel
                    )
            }
            Self::Viewer => permission.is_for_all(),
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
            let own = *permission == Permission::WorkspacesOwn;
            assert_eq!(Role::Admin.permits(*permission), !own);
            let inner = [
                Permission::AuditRead,
                Permission::CredentialsRead,
                Permission::RolesRead,
                Permission::UsersRead,
            ];
            let reads = permission.only_reads() && !inner.contains(permission);
            assert_eq!(Role::Viewer.permits(*permission), reads);
        }
        assert!(Role::Operator.permits(Permission::DlqReplay));
        assert!(!Role::Operator.permits(Permission::RulesWrite));
        assert!(!Role::Operator.permits(Permission::WorkspacesWrite));
    }
}
