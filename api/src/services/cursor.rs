//! Places in a list that is paged by its time-ordered id, newest first.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openapi::page::{DEFAULT_LIMIT, MAX_LIMIT, Page};
use openapi::problem::Code;
use uuid::Uuid;

use crate::http::problem::{ApiError, ApiResult};

/// What part of a list is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Only what is older than this.
    pub before: Option<Uuid>,
    /// Most rows.
    pub limit: u64,
}

impl Window {
    /// Reads what the caller sent.
    ///
    /// # Errors
    /// A cursor that is none of ours, or a limit out of range.
    pub fn parse(cursor: Option<&str>, limit: Option<u32>) -> ApiResult<Self> {
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(ApiError::new(Code::InvalidParameter).at(
                "limit",
                "out_of_range",
                format!("A number from 1 to {MAX_LIMIT} is expected."),
            ));
        }
        let before = cursor
            .map(|text| {
                read(text).ok_or_else(|| {
                    ApiError::new(Code::InvalidParameter).at(
                        "cursor",
                        "invalid",
                        "The next_cursor of the page before is expected.",
                    )
                })
            })
            .transpose()?;
        Ok(Self {
            before,
            limit: limit.into(),
        })
    }

    /// Makes a page of rows that were read with a limit of one more than wanted.
    pub fn page<M, T>(
        self,
        mut rows: Vec<M>,
        id: impl Fn(&M) -> Uuid,
        make: impl FnMut(M) -> T,
    ) -> Page<T> {
        let wanted = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = rows.len() > wanted;
        rows.truncate(wanted);
        let next_cursor = rows.last().filter(|_| more).map(|row| write(id(row)));
        Page {
            items: rows.into_iter().map(make).collect(),
            next_cursor,
        }
    }
}

fn write(id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(id.as_bytes())
}

fn read(text: &str) -> Option<Uuid> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    Uuid::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_where_the_next_begins() {
        let window = Window::parse(None, Some(2)).unwrap();
        let ids: Vec<Uuid> = (1..=3).rev().map(Uuid::from_u128).collect();
        let page = window.page(ids.clone(), |id| *id, |id| id);
        assert_eq!(page.items, ids[..2]);
        let next = Window::parse(page.next_cursor.as_deref(), None).unwrap();
        assert_eq!(next.before, Some(ids[1]));
        let last = next.page(vec![ids[2]], |id| *id, |id| id);
        assert_eq!(last.next_cursor, None);
    }

    #[test]
    fn what_is_no_place_is_refused() {
        assert!(Window::parse(Some("x"), None).is_err());
        assert!(Window::parse(Some(""), None).is_err());
        assert!(Window::parse(None, Some(0)).is_err());
        assert!(Window::parse(None, Some(MAX_LIMIT + 1)).is_err());
    }
}
