//! The people of a workspace, and those who are asked to join.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::DateTime;

/// A person in a workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Member {
    /// Id of the person.
    pub id: Uuid,
    /// Address.
    #[cfg_attr(feature = "schema", schema(example = "ada@example.com"))]
    pub email: String,
    /// Name for people.
    pub name: String,
    /// What the person may do here.
    #[cfg_attr(feature = "schema", schema(example = "operator"))]
    pub role: String,
    /// False: no way in until somebody says otherwise.
    pub enabled: bool,
    /// Since when; none: since before that was noted.
    pub joined_at: Option<DateTime>,
    /// Last request in this workspace, to the minute.
    pub last_seen_at: Option<DateTime>,
    /// Whether a second factor is asked for at the sign-in.
    pub second_factor: bool,
    /// Grows with every change; the ETag.
    pub revision: i64,
}

/// A change of a member; what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeMember {
    /// What the person may do here: nothing that you may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// False: no way in, at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// Somebody who is asked to join and has not answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Invitation {
    /// Id.
    pub id: Uuid,
    /// Address.
    #[cfg_attr(feature = "schema", schema(example = "ada@example.com"))]
    pub email: String,
    /// What the person will be.
    #[cfg_attr(feature = "schema", schema(example = "operator"))]
    pub role: String,
    /// Who invited.
    pub invited_by: String,
    /// When the link was made.
    pub created_at: DateTime,
    /// When it ends.
    pub expires_at: DateTime,
    /// Whether that is over.
    pub expired: bool,
    /// Grows with every new link; the ETag.
    pub revision: i64,
}

/// Somebody to be invited.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewInvitation {
    /// Address.
    #[cfg_attr(feature = "schema", schema(example = "ada@example.com"))]
    pub email: String,
    /// What the person will be: nobody hands out more than they have.
    #[cfg_attr(feature = "schema", schema(example = "operator"))]
    pub role: String,
    /// Days until the link ends, 1 to 30.
    #[serde(default = "week")]
    #[cfg_attr(feature = "schema", schema(example = 7, minimum = 1, maximum = 30))]
    pub expires_in_days: u32,
}

const fn week() -> u32 {
    7
}

/// An invitation whose link was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct InvitationSent {
    /// The invitation.
    pub invitation: Invitation,
    /// Whether the link was mailed to the person.
    pub mailed: bool,
    /// The link, where there is no mail: hand it on yourself. It is not shown again.
    #[cfg_attr(
        feature = "schema",
        schema(example = "https://signalbox.example.com/invitation#sbi_…")
    )]
    pub link: Option<String>,
}

/// The token of a link.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LinkToken {
    /// What stands behind `#` in the link.
    pub token: String,
}

/// What an invitation is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct InvitationShown {
    /// Name of the workspace.
    pub workspace: String,
    /// Address that is invited.
    pub email: String,
    /// What the person will be.
    pub role: String,
    /// When the link ends.
    pub expires_at: DateTime,
}

/// Somebody new who accepts an invitation.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AcceptInvitation {
    /// What stands behind `#` in the link.
    pub token: String,
    /// Name for people, 1 to 100 characters.
    #[cfg_attr(feature = "schema", schema(example = "Ada"))]
    pub name: String,
    /// The password of the new account.
    #[cfg_attr(feature = "schema", schema(format = "password"))]
    pub password: String,
}

/// What a workspace asks of its people, and who may ask to join it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MemberPolicy {
    /// People without a second factor are sent to set one up before anything else.
    #[serde(default)]
    pub require_second_factor: bool,
    /// Who may ask to join.
    #[serde(default)]
    pub self_registration: SelfRegistration,
}

/// A change of what a workspace asks of its people; what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeMemberPolicy {
    /// People without a second factor are sent to set one up before anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(example = true))]
    pub require_second_factor: Option<bool>,
    /// Who may ask to join; as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_registration: Option<SelfRegistration>,
}

/// Who may ask to join a workspace without being invited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SelfRegistration {
    /// False: nobody.
    #[serde(default)]
    pub enabled: bool,
    /// Domains of the addresses that may ask.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(example = json!(["example.com"])))]
    pub email_domains: Vec<String>,
    /// What they will be.
    #[serde(default = "viewer")]
    #[cfg_attr(feature = "schema", schema(example = "viewer"))]
    pub role: String,
    /// True: whoever has shown that the address is theirs is in; false: somebody approves first.
    #[serde(default)]
    pub automatic: bool,
}

fn viewer() -> String {
    "viewer".to_owned()
}

impl Default for SelfRegistration {
    fn default() -> Self {
        Self {
            enabled: false,
            email_domains: Vec::new(),
            role: viewer(),
            automatic: false,
        }
    }
}

/// Whether people can ask to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RegistrationOffer {
    /// Whether there is a workspace that lets people ask, and a mail server.
    pub open: bool,
}

/// Asks for a link to register with.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AskToJoin {
    /// Address.
    #[cfg_attr(feature = "schema", schema(example = "ada@example.com"))]
    pub email: String,
    /// Slug of the workspace; absent: the first that takes the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(example = "main"))]
    pub workspace: Option<String>,
}

/// What a link to register with is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RegistrationShown {
    /// Name of the workspace.
    pub workspace: String,
    /// Address that the link was mailed to.
    pub email: String,
    /// When the link ends.
    pub expires_at: DateTime,
}

/// Registers by a mailed link.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// What stands behind `#` in the link.
    pub token: String,
    /// Name for people, 1 to 100 characters.
    #[cfg_attr(feature = "schema", schema(example = "Ada"))]
    pub name: String,
    /// The password of the account to be.
    #[cfg_attr(feature = "schema", schema(format = "password"))]
    pub password: String,
}

/// What became of a registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Registered {
    /// True: sign in with the password. False: somebody has to approve it first.
    pub approved: bool,
}

/// Somebody who has shown that the address is theirs, and asks to join.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Registration {
    /// Id.
    pub id: Uuid,
    /// Address.
    #[cfg_attr(feature = "schema", schema(example = "ada@example.com"))]
    pub email: String,
    /// Name for people, as the person has written it.
    pub name: String,
    /// Since when it waits for an answer.
    pub asked_at: DateTime,
    /// When it is forgotten without one.
    pub expires_at: DateTime,
}

/// Lets somebody in who asks to join.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ApproveRegistration {
    /// What the person will be; absent: what the policy says. Nobody hands out more than they have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(example = "viewer"))]
    pub role: Option<String>,
}
