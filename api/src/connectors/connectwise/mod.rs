//! `connectwise`: tickets in ConnectWise Manage.

mod census;
mod client;
mod fields;
mod lists;
mod plan;
mod reference;
mod repeat;
mod settings;
#[cfg(test)]
mod tests;
mod ticket;
mod trouble;
mod upsert;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use async_trait::async_trait;
use engine::model::{OperationSpec, Otherwise};
use openapi::connections::{Connector as Description, MetadataItem, Operation, TestResult};
use openapi::problem::FieldError;
use openapi::rules::PlannedRequest;
use serde_json::Value;

use super::common::{
    check_map, check_names, check_settings, operation, read, report, tested, wrong,
};
use super::{Census, Connection, Connector, Fault, Job, LinkChange, Outcome, Report};
use crate::clock::Clock;
use crate::egress::Egress;
use client::Client;
use lists::Lists;
use settings::Settings;
use trouble::Trouble;
use upsert::Upsert;

/// Name of the connector.
pub const KIND: &str = "connectwise";

const TICKET: &str = "ticket.upsert";

/// The connector.
pub struct ConnectWise {
    egress: Egress,
    clock: Clock,
    lists: Lists,
}

impl fmt::Debug for ConnectWise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectWise")
    }
}

impl ConnectWise {
    /// A connector that calls through this egress; the clock tells how old its lists are.
    pub fn new(egress: Egress, clock: Clock) -> Self {
        Self {
            egress,
            lists: Lists::new(clock.clone()),
            clock,
        }
    }
}

#[async_trait]
impl Connector for ConnectWise {
    fn describe(&self) -> Description {
        Description {
            kind: KIND.to_owned(),
            title: "ConnectWise PSA".to_owned(),
            summary:
                "Opens, notes and closes service tickets, one open ticket for each key and company."
                    .to_owned(),
            settings: settings::fields(),
            secrets: settings::secrets(),
            operations: vec![ticket_operation()],
            metadata: lists::NAMES.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn validate(&self, settings: &Value, secrets: &[&str]) -> Vec<FieldError> {
        let mut faults = match check_settings::<Settings>(settings, &settings::fields()) {
            Ok(settings) => settings.faults(),
            Err(faults) => faults,
        };
        faults.extend(check_names(secrets, &settings::secrets()));
        faults
    }

    fn validate_operation(&self, spec: &OperationSpec) -> Vec<FieldError> {
        if spec.operation != TICKET {
            let message = format!("the connectwise connector has only {TICKET}");
            return vec![wrong("operation", "unknown_operation", message)];
        }
        let mut faults = check_map(spec, &ticket_operation());
        let opens = spec
            .lifecycle
            .as_ref()
            .is_none_or(|cycle| !cycle.open.is_empty() || cycle.otherwise == Otherwise::Open);
        if opens && !spec.map.contains_key("summary") {
            faults.push(wrong(
                "map.summary",
                "missing_field",
                "a new ticket needs a summary",
            ));
        }
        faults
    }

    fn plan(&self, connection: &Connection, job: &Job) -> Vec<PlannedRequest> {
        match read::<Settings>(connection) {
            Ok(settings) => plan::plan(connection, &settings, job),
            Err(fault) => vec![plan::refused(connection, job, &fault)],
        }
    }

    async fn execute(&self, connection: &Connection, job: &Job) -> Report {
        let settings = match read::<Settings>(connection) {
            Ok(settings) => settings,
            Err(fault) => return report(Outcome::AuthFailed(fault), Vec::new()),
        };
        if job.operation != TICKET {
            let fault = Fault::new(
                "unknown_operation",
                "the connectwise connector does not know this operation",
                None,
            );
            return report(Outcome::Permanent(fault), Vec::new());
        }
        let mut client = match Client::new(&self.egress, &self.clock, connection, &settings) {
            Ok(client) => client,
            Err(fault) => return report(Outcome::AuthFailed(fault), Vec::new()),
        };
        let result = match Upsert::new(&mut client, &self.lists, connection, &settings, job) {
            Ok(upsert) => upsert.run().await,
            Err(trouble) => Err(trouble),
        };
        match result {
            Ok(done) => Report {
                outcome: Outcome::Delivered {
                    effect: done.effect,
                    record: done.record,
                },
                link: done.link,
                exchanges: client.into_exchanges(),
            },
            Err(trouble) => {
                let ghost = matches!(trouble, Trouble::Ghost(_));
                let mut report = report(trouble.outcome(), client.into_exchanges());
                if ghost {
                    report.link = LinkChange::Clear;
                }
                report
            }
        }
    }

    async fn census(&self, connection: &Connection, records: &[String]) -> Census {
        census::take(&self.egress, &self.clock, connection, records).await
    }

    async fn test(&self, connection: &Connection) -> TestResult {
        let begun = Instant::now();
        tested(begun, self.try_out(connection).await)
    }

    async fn metadata(
        &self,
        connection: &Connection,
        list: &str,
        filter: &BTreeMap<String, String>,
    ) -> Result<Vec<MetadataItem>, Fault> {
        let settings = read::<Settings>(connection)?;
        let mut client = Client::new(&self.egress, &self.clock, connection, &settings)?;
        self.lists
            .items(&mut client, connection, list, filter)
            .await
    }
}

impl ConnectWise {
    async fn try_out(&self, connection: &Connection) -> Result<String, Fault> {
        let settings = read::<Settings>(connection)?;
        let mut client = Client::new(&self.egress, &self.clock, connection, &settings)?;
        let info = client
            .get(&["system", "info"], &[])
            .await
            .map_err(Trouble::fault)?;
        // The first may answer anybody; the second needs keys that may read boards.
        client
            .get(&["service", "boards"], &[("pageSize", "1")])
            .await
            .map_err(Trouble::fault)?;
        let version = info
            .get("version")
            .and_then(Value::as_str)
            .unwrap_or("of unknown version");
        Ok(format!("ConnectWise {version} accepts the keys"))
    }
}

fn ticket_operation() -> Operation {
    Operation {
        needs_key: true,
        open_fields: true,
        ..operation(TICKET, "Open, note or close a ticket", fields::fields())
    }
}
