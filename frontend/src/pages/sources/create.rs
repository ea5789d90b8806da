//! A new source, and its secret, shown once.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;
use openapi::sources::SourceCreated;
use web_sys::SubmitEvent;

use super::curl::curl;
use super::form::SourceForm;
use super::secret::secret_once;
use crate::api::use_api;
use crate::ui::{
    Button, Card, CodeBlock, CopyLine, FaultList, Kind, PageHead, TextField, use_toasts,
};

/// A new source.
#[component]
pub fn NewSourcePage() -> impl IntoView {
    let created = RwSignal::new(None::<SourceCreated>);
    move || match created.get() {
        None => form(created),
        Some(created) => done(created),
    }
}

/// `Uptime Kuma` becomes `uptime-kuma`.
fn slug_of(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars().map(|c| c.to_ascii_lowercase()) {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(60);
    slug.trim_end_matches('-').to_owned()
}

fn form(created: RwSignal<Option<SourceCreated>>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let form = SourceForm::empty();
    let busy = RwSignal::new(false);
    // The address follows the name until a person writes one.
    let proposed = StoredValue::new(String::new());
    Effect::new(move |_| {
        let slug = slug_of(&form.name.get());
        if form.slug.get_untracked() == proposed.get_value() {
            form.slug.set(slug.clone());
        }
        proposed.set_value(slug);
    });
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let Some(new) = form.create() else { return };
        busy.set(true);
        spawn_local(async move {
            match api.post::<_, SourceCreated>("sources", &new).await {
                Ok(answer) => {
                    toasts.good(format!("{} is ready.", answer.source.name));
                    created.try_set(Some(answer));
                }
                Err(failure) => {
                    form.faults.try_set(failure.errors());
                    toasts.failed(&failure);
                }
            }
            busy.try_set(false);
        });
    };
    view! {
        <PageHead title="New source" back=("/sources", "Sources") text="An address that something can post to." />
        <form class="stack narrow" on:submit=submit data-testid="source-form">
            <FaultList faults=form.faults />
            <Card title="Name and address">
                <div class="form-grid">
                    <TextField
                        label="Name"
                        value=form.name
                        required=true
                        placeholder="Uptime Kuma"
                        faults=form.faults
                        at="name"
                        testid="source-name"
                    />
                    <TextField
                        label="Name in the address"
                        value=form.slug
                        required=true
                        code=true
                        help="Lower-case letters, digits and hyphens."
                        faults=form.faults
                        at="slug"
                        testid="source-slug"
                    />
                </div>
            </Card>
            <Card title="Who may send">{form.auth.fields(true)}</Card>
            <Card title="Events and limits" text="All of this can be changed later.">
                {form.more_fields()}
            </Card>
            <div class="form-foot">
                <Button kind=Kind::Primary submit=true busy=busy attr:data-testid="source-save">
                    "Make the source"
                </Button>
                <A href="/sources" attr:class="button quiet">
                    "Cancel"
                </A>
            </div>
        </form>
    }
    .into_any()
}

fn done(created: SourceCreated) -> AnyView {
    let source = created.source;
    let line = curl(&source.url, &source.auth);
    view! {
        <PageHead title=source.name back=("/sources", "Sources") text="The source is ready. Point the sender at this address." />
        <div class="stack narrow" data-testid="source-ready">
            {created.secret.map(secret_once)}
            <Card title="Address" text=super::address_words(&source.auth)>
                <CopyLine text=source.url label="address" testid="source-url" />
            </Card>
            <Card title="Try it" text="Put the secret into the variable and paste this into a shell.">
                <CodeBlock text=line label="curl command" plain=true testid="curl" />
            </Card>
            <div class="form-foot">
                <A href=format!("/sources/{}", source.id) attr:class="button primary" attr:data-testid="source-continue">
                    "Go to the source"
                </A>
            </div>
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::slug_of;

    #[test]
    fn a_name_becomes_an_address() {
        assert_eq!(slug_of("Uptime Kuma"), "uptime-kuma");
        assert_eq!(slug_of("  Grafana (prod) "), "grafana-prod");
        assert_eq!(slug_of("Ö"), "");
    }
}
