//! What is asked of everybody in the workspace, and who may ask to join it.

use leptos::prelude::*;
use openapi::people::{ChangeMemberPolicy, MemberPolicy, SelfRegistration};
use web_sys::SubmitEvent;

use super::ROLES;
use crate::api::{Load, load, use_api};
use crate::ui::{
    AreaField, Button, Card, CheckField, FaultList, SelectField, Sending, show, use_toasts,
};

/// The cards of the policy.
pub(super) fn cards() -> AnyView {
    let policy = load::<MemberPolicy>(|| "member-policy".to_owned());
    view! {
        <Card title="Second factor" text="What is asked of everybody here.">
            {show(policy, move |now| factor(&now, policy))}
        </Card>
        <Card title="Registration" text="Whether people can ask to join without being invited.">
            {show(policy, move |now| registration(now.self_registration, policy))}
        </Card>
    }
    .into_any()
}

fn factor(now: &MemberPolicy, shown: Load<MemberPolicy>) -> AnyView {
    let api = use_api();
    let sending = Sending::with_toasts();
    let on = now.require_second_factor;
    let press = move |_| {
        let wanted = ChangeMemberPolicy {
            require_second_factor: Some(!on),
            self_registration: None,
        };
        let call = async move {
            api.patch::<_, MemberPolicy>("member-policy", &wanted, None)
                .await
        };
        sending.run(call, move |now| shown.put(now));
    };
    view! {
        <div class="row wrap">
            <span data-testid="policy-state">
                {if on {
                    "Everybody needs a second factor. Who has none is sent to set one up."
                } else {
                    "A password is enough."
                }}
            </span>
            <Button busy=sending.busy attr:data-testid="policy-switch" press=press>
                {if on { "Let a password be enough" } else { "Require a second factor" }}
            </Button>
        </div>
    }
    .into_any()
}

fn registration(now: SelfRegistration, shown: Load<MemberPolicy>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let sending = Sending::with_toasts();
    let enabled = RwSignal::new(now.enabled);
    let domains = RwSignal::new(now.email_domains.join("\n"));
    let role = RwSignal::new(now.role.clone());
    let automatic = RwSignal::new(now.automatic);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let domains = domains.get_untracked();
        let wanted = ChangeMemberPolicy {
            require_second_factor: None,
            self_registration: Some(SelfRegistration {
                enabled: enabled.get_untracked(),
                email_domains: domains.split_whitespace().map(str::to_owned).collect(),
                role: role.get_untracked(),
                automatic: automatic.get_untracked(),
            }),
        };
        let call = async move {
            api.patch::<_, MemberPolicy>("member-policy", &wanted, None)
                .await
        };
        sending.run(call, move |now| {
            toasts.good("Saved.");
            shown.put(now);
        });
    };
    // Owners are made by owners.
    let mut roles: Vec<(String, String)> = ROLES
        .iter()
        .filter(|(word, _)| *word != "owner")
        .map(|(word, words)| ((*word).to_owned(), (*words).to_owned()))
        .collect();
    if !roles.iter().any(|(word, _)| *word == now.role) {
        roles.push((now.role.clone(), now.role));
    }
    let faults = sending.faults;
    view! {
        <form class="stack" on:submit=submit data-testid="registration-policy">
            <FaultList faults=faults />
            <CheckField
                label="People can ask to join"
                value=enabled
                help="The sign-in page then has a link. It needs a mail server."
                testid="registration-enabled"
            />
            <AreaField
                label="Domains of their addresses"
                value=domains
                code=true
                rows=2
                help="One to a line, as example.com."
                faults=faults
                at="self_registration.email_domains"
                testid="registration-domains"
            />
            <SelectField
                label="Role"
                value=role
                options=Signal::stored(roles)
                faults=faults
                at="self_registration.role"
                testid="registration-role"
            />
            <CheckField
                label="Nobody has to approve them"
                value=automatic
                help="Whoever can read mail of these domains is in."
                testid="registration-automatic"
            />
            <div>
                <Button submit=true busy=sending.busy attr:data-testid="registration-save">
                    "Save"
                </Button>
            </div>
        </form>
    }
    .into_any()
}
