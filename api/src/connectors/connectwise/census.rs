//! Which linked tickets are there.

use std::collections::HashSet;

use serde_json::Value;

use super::client::Client;
use super::settings::Settings;
use super::trouble::Trouble;
use crate::clock::Clock;
use crate::connectors::common::read;
use crate::connectors::{Census, Connection, Fault, Outcome};
use crate::egress::Egress;

/// Numbers in one list: more make the address too long for some servers.
const AT_ONCE: usize = 100;

/// Looks for the tickets of these numbers. What is no number never was a ticket and is not missed.
pub(super) async fn take(
    egress: &Egress,
    clock: &Clock,
    connection: &Connection,
    records: &[String],
) -> Census {
    let refused = |fault: Fault| Census {
        there: Err(Outcome::AuthFailed(fault)),
        exchanges: Vec::new(),
    };
    let settings = match read::<Settings>(connection) {
        Ok(settings) => settings,
        Err(fault) => return refused(fault),
    };
    let mut client = match Client::new(egress, clock, connection, &settings) {
        Ok(client) => client,
        Err(fault) => return refused(fault),
    };
    let there = look(&mut client, records).await.map_err(Trouble::outcome);
    Census {
        there,
        exchanges: client.into_exchanges(),
    }
}

async fn look(client: &mut Client<'_>, records: &[String]) -> Result<HashSet<String>, Trouble> {
    let (numbers, others): (Vec<&String>, Vec<&String>) = records
        .iter()
        .partition(|record| record.parse::<i64>().is_ok());
    let mut there: HashSet<String> = others.into_iter().cloned().collect();
    for some in numbers.chunks(AT_ONCE) {
        let terms: Vec<String> = some.iter().map(|number| format!("id={number}")).collect();
        let conditions = terms.join(" or ");
        let query = [("conditions", conditions.as_str()), ("fields", "id")];
        let rows = client.list(&["service", "tickets"], &query).await?;
        let ids = rows
            .iter()
            .filter_map(|row| row.get("id").and_then(Value::as_i64));
        there.extend(ids.map(|id| id.to_string()));
    }
    Ok(there)
}
