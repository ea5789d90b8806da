//! Maintenance windows: times in which deliveries wait or are not made.

mod edit;
mod form;

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;
use openapi::maintenance::{ChangeMaintenanceWindow, MaintenanceWindow, WindowMode, WindowScope};
use openapi::page::Page;

use crate::api::{Load, load, use_api};
use crate::ui::{Badge, Empty, Icon, PageHead, Switch, Tone, icon, show, use_toasts};
use form::schedule_words;

pub use edit::{NewWindowPage, WindowPage};

/// The list of windows.
#[component]
pub fn Windows() -> impl IntoView {
    let windows = load::<Page<MaintenanceWindow>>(|| "maintenance/windows".to_owned());
    view! {
        <PageHead
            title="Maintenance"
            text="While a window is open, events are taken as ever and their deliveries wait or are not made."
        >
            <A href="/maintenance/new" attr:class="button primary" attr:data-testid="new-window">
                {icon(Icon::Plus)}
                "New window"
            </A>
        </PageHead>
        <div class="card">{show(windows, move |page| table(page.items, windows))}</div>
    }
    .into_any()
}

fn table(rows: Vec<MaintenanceWindow>, windows: Load<Page<MaintenanceWindow>>) -> AnyView {
    if rows.is_empty() {
        return view! {
            <Empty
                mark=Icon::Clock
                title="No windows yet"
                text="A window keeps planned work from opening tickets: patch nights, reboots, moves. For work that was not planned there is the switch at the top."
            >
                <A href="/maintenance/new" attr:class="button primary">
                    "Make the first one"
                </A>
            </Empty>
        }
        .into_any();
    }
    view! {
        <div class="table-wrap">
            <table class="table stacked" data-testid="windows">
                <thead>
                    <tr>
                        <th scope="col">"Window"</th>
                        <th scope="col">"Now"</th>
                        <th scope="col">"About"</th>
                        <th scope="col">"Deliveries"</th>
                        <th scope="col">"State"</th>
                    </tr>
                </thead>
                <tbody>{rows.into_iter().map(|window| row(window, windows)).collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn row(window: MaintenanceWindow, windows: Load<Page<MaintenanceWindow>>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let (id, revision) = (window.id, window.revision);
    let switch = Callback::new(move |on: bool| {
        spawn_local(async move {
            let change = ChangeMaintenanceWindow {
                enabled: Some(on),
                ..ChangeMaintenanceWindow::default()
            };
            let path = format!("maintenance/windows/{id}");
            if let Err(failure) = api
                .patch::<_, serde_json::Value>(&path, &change, Some(revision))
                .await
            {
                toasts.failed(&failure);
            }
            windows.reload();
        });
    });
    let label = format!("Keep {}", window.name);
    let when = format!("{}, {}", schedule_words(&window.schedule), window.zone);
    let (state, scope) = (now(&window), about(&window.scope));
    view! {
        <tr data-testid="window-row">
            <td class="title-cell">
                <A href=format!("/maintenance/{id}")>{window.name}</A>
                <span class="block small faint">{when}</span>
            </td>
            <td>{state}</td>
            <td>{scope}</td>
            <td>
                {match window.mode {
                    WindowMode::Queue => "wait until the end",
                    WindowMode::Skip => "are discarded, closes wait",
                }}
            </td>
            <td>
                <Switch
                    on=Signal::stored(window.enabled)
                    label=label
                    change=switch
                    testid="window-enabled"
                />
            </td>
        </tr>
    }
    .into_any()
}

/// Open until, or the next opening, as the window's own clock shows it.
fn now(window: &MaintenanceWindow) -> AnyView {
    let local = window.next_change_local.clone();
    let (text, tone, line) = match (window.open, local) {
        (true, Some(until)) => ("open", Tone::Amber, format!("until {until}")),
        (true, None) => ("open", Tone::Amber, String::new()),
        (false, Some(next)) => ("closed", Tone::Grey, format!("opens {next}")),
        (false, None) if window.enabled => ("over", Tone::Grey, "does not open again".to_owned()),
        (false, None) => ("off", Tone::Grey, String::new()),
    };
    view! {
        <span data-testid="window-now">
            <Badge text=text tone=tone />
        </span>
        <span class="block small faint">{line}</span>
    }
    .into_any()
}

fn about(scope: &WindowScope) -> String {
    match scope {
        WindowScope::Workspace => "everything".to_owned(),
        WindowScope::Sources { sources } => format!("events of {}", names(sources)),
        WindowScope::Connections { connections } => format!("deliveries to {}", names(connections)),
    }
}

fn names(list: &[String]) -> String {
    if list.is_empty() {
        "nothing that is there any more".to_owned()
    } else {
        list.join(", ")
    }
}
