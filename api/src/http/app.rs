//! All routes, and what surrounds them.

use actix_web::middleware::from_fn;
use actix_web::web;
use utoipa::OpenApi as _;
use utoipa_actix_web::service_config::ServiceConfig;
use utoipa_actix_web::{AppExt as _, scope};

use super::doc::Frame;
use super::fallback;
use super::health;
use super::routes::{
    audit, auth, connections, credentials, dead_letters, deliveries, events, jobs, mail,
    maintenance, me, members, notices, parked, passkeys, providers, retention, roles, rules,
    sources, stream, workspaces,
};
use crate::auth::{by_address, signed_in};

/// The routes of the API, written once. The document is made from them where it is asked for; what
/// serves them does without: a document for each thread would be most of the memory of a start.
macro_rules! routes {
    ($config:expr, $scope:path) => {
        $config
            .service(
                $scope("/api/v1/auth")
                    .service(auth::login)
                    .service(auth::logout)
                    .service(auth::read_session)
                    .service(auth::second_factor)
                    .service(auth::confirm)
                    .service(auth::password_strength)
                    .service(auth::ask_for_password)
                    .service(auth::reset_password)
                    .service(auth::show_invitation)
                    .service(auth::accept_invitation)
                    .service(auth::read_registration_offer)
                    .service(auth::ask_to_join)
                    .service(auth::show_registration)
                    .service(auth::register)
                    .service(auth::change_email)
                    .service(providers::list_providers)
                    .service(providers::start_with_provider)
                    .service(providers::end_with_provider)
                    .service(passkeys::begin_passkey_sign_in)
                    .service(passkeys::sign_in_with_passkey)
                    .service(passkeys::begin_passkey_confirmation)
                    .service(passkeys::confirm_with_passkey)
                    .wrap(from_fn(by_address)),
            )
            .service(
                $scope("/api/v1")
                    .service(workspaces::whoami)
                    .service(workspaces::list_workspaces)
                    .service(workspaces::create_workspace)
                    .service(workspaces::get_workspace)
                    .service(workspaces::rename_workspace)
                    .service(me::read_profile)
                    .service(me::change_profile)
                    .service(me::ask_for_email)
                    .service(me::change_password)
                    .service(me::list_own_sessions)
                    .service(me::end_own_session)
                    .service(me::end_other_sessions)
                    .service(me::set_up_second_factor)
                    .service(me::confirm_second_factor)
                    .service(me::turn_second_factor_off)
                    .service(me::make_recovery_codes)
                    .service(me::accept_invitation_as_person)
                    .service(members::list_members)
                    .service(members::change_member)
                    .service(members::remove_member)
                    .service(members::read_member_policy)
                    .service(members::change_member_policy)
                    .service(members::list_invitations)
                    .service(members::create_invitation)
                    .service(members::resend_invitation)
                    .service(members::revoke_invitation)
                    .service(members::list_registrations)
                    .service(members::approve_registration)
                    .service(members::refuse_registration)
                    .service(workspaces::workspace_usage)
                    .service(workspaces::change_quotas)
                    .service(workspaces::preview_workspace_removal)
                    .service(workspaces::remove_workspace)
                    .service(roles::list_roles)
                    .service(roles::create_role)
                    .service(roles::get_role)
                    .service(roles::change_role)
                    .service(roles::delete_role)
                    .service(sources::list_sources)
                    .service(sources::list_samples)
                    .service(sources::create_source)
                    .service(sources::get_source)
                    .service(sources::change_source)
                    .service(sources::delete_source)
                    .service(sources::rotate_secret)
                    .service(sources::retire_secret)
                    .service(sources::test_source)
                    .service(sources::list_refusals)
                    .service(connections::list_connectors)
                    .service(connections::list_connections)
                    .service(connections::create_connection)
                    .service(connections::get_connection)
                    .service(connections::change_connection)
                    .service(connections::delete_connection)
                    .service(connections::rotate_connection_secret)
                    .service(connections::retire_connection_secret)
                    .service(connections::test_connection)
                    .service(connections::resume_connection)
                    .service(connections::connection_waiting)
                    .service(parked::retry_parked)
                    .service(connections::discard_waiting)
                    .service(connections::connection_metadata)
                    .service(connections::sandbox_records)
                    .service(credentials::list_credentials)
                    .service(credentials::create_credential)
                    .service(credentials::get_credential)
                    .service(credentials::change_credential)
                    .service(credentials::revoke_credential)
                    .service(credentials::delete_credential)
                    .service(credentials::add_credential_secret)
                    .service(credentials::promote_credential_secret)
                    .service(credentials::retire_credential_secret)
                    .service(rules::list_rules)
                    .service(rules::create_rule)
                    .service(rules::reorder_rules)
                    .service(rules::explain_rules)
                    .service(rules::get_rule)
                    .service(rules::change_rule)
                    .service(rules::delete_rule)
                    .service(rules::duplicate_rule)
                    .service(rules::list_rule_revisions)
                    .service(rules::compare_rule_revisions)
                    .service(rules::restore_rule)
                    .service(rules::release_parked)
                    .service(events::list_events)
                    .service(events::get_event)
                    .service(events::get_event_body)
                    .service(events::replay_event)
                    .service(events::read_stats)
                    .service(deliveries::list_deliveries)
                    .service(deliveries::get_delivery)
                    .service(deliveries::edit_delivery)
                    .service(deliveries::release_delivery)
                    .service(deliveries::retry_delivery)
                    .service(deliveries::discard_delivery)
                    .service(deliveries::replay_delivery)
                    .service(dead_letters::list_dead_groups)
                    .service(dead_letters::list_dead_letters)
                    .service(dead_letters::preview_dead_letters)
                    .service(dead_letters::replay_dead_letters)
                    .service(dead_letters::discard_dead_letters)
                    .service(retention::read_retention)
                    .service(retention::change_retention)
                    .service(retention::read_sizes)
                    .service(retention::preview_retention)
                    .service(retention::run_retention)
                    .service(maintenance::get_maintenance)
                    .service(maintenance::turn_maintenance)
                    .service(maintenance::list_windows)
                    .service(maintenance::create_window)
                    .service(maintenance::get_window)
                    .service(maintenance::change_window)
                    .service(maintenance::delete_window)
                    .service(notices::list_notices)
                    .service(dead_letters::export_dead_letters)
                    .service(jobs::list_jobs)
                    .service(jobs::get_job)
                    .service(jobs::cancel_job)
                    .service(mail::read_mail)
                    .service(mail::test_mail)
                    .service(mail::list_mails)
                    .service(mail::retry_mail)
                    .service(passkeys::list_passkeys)
                    .service(passkeys::begin_passkey)
                    .service(passkeys::create_passkey)
                    .service(passkeys::rename_passkey)
                    .service(passkeys::remove_passkey)
                    .service(audit::read_audit)
                    .service(audit::verify_audit)
                    .service(audit::report_audit)
                    .service(audit::export_audit)
                    .service(stream::follow)
                    // Who is not known learns nothing about what there is.
                    .default_service(web::route().to(fallback::not_offered).wrap(signed_in())),
            );
    };
}

/// The API as it is served.
pub fn api(config: &mut web::ServiceConfig) {
    routes!(config, web::scope);
}

/// The same as the document describes it.
fn described(config: &mut ServiceConfig<'_>) {
    routes!(config, scope::scope);
}

/// Health and numbers, which a worker serves too.
macro_rules! operation {
    ($config:expr) => {
        $config
            .service(health::livez)
            .service(health::readyz)
            .service(health::metrics);
    };
}

/// Health and numbers, which a worker serves too.
pub fn operation(config: &mut web::ServiceConfig) {
    operation!(config);
}

fn operation_described(config: &mut ServiceConfig<'_>) {
    operation!(config);
}

/// The document, made without a socket or a database.
pub fn collect() -> utoipa::openapi::OpenApi {
    let (_, document) = actix_web::App::new()
        .into_utoipa_app()
        .openapi(Frame::openapi())
        .configure(operation_described)
        .configure(described)
        .split_for_parts();
    document
}
