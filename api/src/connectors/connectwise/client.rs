//! Calls to the ConnectWise API, page after page where there are many.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use openapi::deliveries::Exchange;
use reqwest::Method;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LINK,
};
use serde_json::Value;
use url::Url;

use super::settings::Settings;
use super::trouble::{Call, Trouble};
use crate::clock::Clock;
use crate::connectors::common::{Answer, Caller};
use crate::connectors::{Connection, Fault};
use crate::egress::Egress;

/// More pages than this are a loop.
const PAGES: u32 = 500;

/// The page size that ConnectWise uses unless told otherwise. A shorter page without word of a next
/// one is the last, whatever size was asked for.
const SMALLEST_PAGE: usize = 25;

pub(super) struct Client<'a> {
    caller: Caller<'a>,
    base: Url,
    headers: HeaderMap,
    page_size: u32,
    clock: &'a Clock,
}

impl<'a> Client<'a> {
    /// A client with the connection's credentials.
    pub(super) fn new(
        egress: &'a Egress,
        clock: &'a Clock,
        connection: &Connection,
        settings: &Settings,
    ) -> Result<Self, Fault> {
        let secret = |name: &str| {
            connection
                .secrets
                .get(name)
                .map(|secret| secret.reveal())
                .ok_or_else(|| {
                    Fault::new(
                        "credentials",
                        format!("the secret `{name}` is not stored"),
                        None,
                    )
                })
        };
        let keys = format!(
            "{}+{}:{}",
            settings.company,
            secret("public_key")?,
            secret("private_key")?
        );
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, text: &str| match HeaderValue::from_str(text) {
            Ok(mut value) => {
                value.set_sensitive(name == AUTHORIZATION);
                headers.insert(name, value);
                Ok(())
            }
            Err(_) => Err(Fault::new(
                "credentials",
                format!("{name} does not fit into a header"),
                None,
            )),
        };
        set(AUTHORIZATION, &format!("Basic {}", STANDARD.encode(keys)))?;
        set(HeaderName::from_static("clientid"), &settings.client_id)?;
        if settings.api_version.is_empty() {
            set(ACCEPT, "application/json")?;
        } else {
            let accept = format!(
                "application/vnd.connectwise.com+json; version={}",
                settings.api_version
            );
            set(ACCEPT, &accept)?;
        }
        Ok(Self {
            caller: Caller::new(egress, connection.allow_private, settings.timeout()),
            base: settings.base_url.clone(),
            headers,
            page_size: settings.page_size,
            clock,
        })
    }

    /// Reads one thing.
    pub(super) async fn get(
        &mut self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Value, Trouble> {
        let answer = self
            .send(Call::Reads, Method::GET, path, query, None)
            .await?;
        read(Call::Reads, &answer)
    }

    /// Makes something. Never repeated here.
    pub(super) async fn post(&mut self, path: &[&str], body: &Value) -> Result<Value, Trouble> {
        let answer = self
            .send(Call::Writes, Method::POST, path, &[], Some(body))
            .await?;
        read(Call::Writes, &answer)
    }

    /// Changes something.
    pub(super) async fn patch(&mut self, path: &[&str], body: &Value) -> Result<Value, Trouble> {
        let answer = self
            .send(Call::Writes, Method::PATCH, path, &[], Some(body))
            .await?;
        read(Call::Writes, &answer)
    }

    /// Reads a list to its end: by the `Link` header where there is one, else by page numbers.
    pub(super) async fn list(
        &mut self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Vec<Value>, Trouble> {
        let size = self.page_size.to_string();
        let mut rows = Vec::new();
        let mut seen = HashSet::new();
        let mut cursor = ("page".to_owned(), "1".to_owned());
        for page in 1..=PAGES {
            let mut query = query.to_vec();
            query.push(("pageSize", &size));
            query.push((&cursor.0, &cursor.1));
            let answer = self
                .send(Call::Reads, Method::GET, path, &query, None)
                .await?;
            let Value::Array(found) = read(Call::Reads, &answer)? else {
                return Err(Trouble::unreadable(Call::Reads, answer.status));
            };
            let length = found.len();
            let before = rows.len();
            // A row that moved to the next page between two calls comes twice.
            rows.extend(found.into_iter().filter(
                |row| match row.get("id").and_then(Value::as_i64) {
                    Some(id) => seen.insert(id),
                    None => true,
                },
            ));
            let links = answer
                .headers
                .get(LINK)
                .and_then(|value| value.to_str().ok());
            let next = match links {
                Some(links) => next_link(links),
                None if length < SMALLEST_PAGE.min(self.page_size as usize) => None,
                None => Some(None),
            };
            let Some(next) = next else {
                return Ok(rows);
            };
            if rows.len() == before {
                // Past the end, or a server that does not page.
                return Ok(rows);
            }
            cursor = next.unwrap_or_else(|| ("page".to_owned(), (page + 1).to_string()));
        }
        Err(Trouble::permanent(
            "too_many_pages",
            "the list does not end",
        ))
    }

    async fn send(
        &mut self,
        call: Call,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, Trouble> {
        let mut headers = self.headers.clone();
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let url = address(&self.base, path, query).ok_or_else(|| {
            Trouble::permanent("invalid_url", "the address of the API cannot be extended")
        })?;
        let answer = self
            .caller
            .call(method, url, headers, body)
            .await
            .map_err(|failure| Trouble::unanswered(call, &failure))?;
        if (200..300).contains(&answer.status) {
            Ok(answer)
        } else {
            Err(Trouble::refused(call, &answer, self.clock.now()))
        }
    }

    /// What was said, in order.
    pub(super) fn into_exchanges(self) -> Vec<Exchange> {
        self.caller.into_exchanges()
    }
}

/// An address below the API; every piece is one segment, whatever is in it.
pub(super) fn address(base: &Url, path: &[&str], query: &[(&str, &str)]) -> Option<Url> {
    let mut url = base.clone();
    url.path_segments_mut().ok()?.pop_if_empty().extend(path);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Some(url)
}

fn read(call: Call, answer: &Answer) -> Result<Value, Trouble> {
    serde_json::from_slice(&answer.body).map_err(|_| Trouble::unreadable(call, answer.status))
}

/// Whether there is a next page, and its cursor if the link says one. Only the cursor is taken from
/// the link: an upstream cannot send us anywhere.
fn next_link(links: &str) -> Option<Option<(String, String)>> {
    links.split(',').find_map(|link| {
        let (address, relation) = link.split_once('>')?;
        let relation = relation.replace([' ', '"'], "");
        if !relation
            .split(';')
            .any(|part| part.eq_ignore_ascii_case("rel=next"))
        {
            return None;
        }
        let (_, query) = address.split_once('?').unwrap_or_default();
        let cursor = url::form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| matches!(name.as_ref(), "page" | "pageId"))
            .map(|(name, value)| (name.into_owned(), value.into_owned()));
        Some(cursor)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_next_page_from_links() {
        let cursor = |name: &str, value: &str| Some(Some((name.to_owned(), value.to_owned())));
        assert_eq!(
            next_link(
                r#"<https://x.test/a?pageSize=25&page=2>; rel="next", <https://x.test/a?page=9>; rel="last""#
            ),
            cursor("page", "2")
        );
        assert_eq!(
            next_link(r#"<https://evil.test/?pageId=77>; rel=next"#),
            cursor("pageId", "77")
        );
        assert_eq!(next_link(r#"<https://x.test/a>; rel="next""#), Some(None));
        assert_eq!(
            next_link(
                r#"<https://x.test/a?page=1>; rel="first", <https://x.test/a?page=1>; rel="prev""#
            ),
            None
        );
        assert_eq!(next_link(""), None);
    }

    #[test]
    fn pieces_of_the_path_cannot_climb() {
        let base = Url::parse("https://x.test/v4/apis/3.0/").unwrap();
        let url = address(
            &base,
            &["service", "tickets", "1/../../x?y"],
            &[("a", "b&c")],
        )
        .unwrap();
        assert_eq!(
            url.as_str(),
            "https://x.test/v4/apis/3.0/service/tickets/1%2F..%2F..%2Fx%3Fy?a=b%26c"
        );
    }
}
