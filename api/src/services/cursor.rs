//! Places in a list that is paged by its time-ordered id, newest first.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openapi::page::{DEFAULT_LIMIT, MAX_LIMIT, Page};
use openapi::problem::Code;
use uuid::Uuid;

use crate::http::problem::{ApiError, ApiResult};

/// Rows that one page looks at, at most, where a filter is in no index: what a request costs does not
/// grow with the list.
pub const LOOKED_AT: u64 = 20_000;

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

    /// The same of rows that were looked for down to `floor` only, below which there is more.
    pub fn page_down_to<M, T>(
        self,
        floor: Option<Uuid>,
        rows: Vec<M>,
        id: impl Fn(&M) -> Uuid,
        make: impl FnMut(M) -> T,
    ) -> Page<T> {
        let page = self.page(rows, id, make);
        Page {
            next_cursor: page.next_cursor.or_else(|| floor.map(write)),
            ..page
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
    fn a_page_that_found_little_goes_on_where_it_stopped_looking() {
        let window = Window::parse(None, Some(2)).unwrap();
        let ids: Vec<Uuid> = (7..=9).rev().map(Uuid::from_u128).collect();
        let floor = Some(Uuid::from_u128(5));
        let cursor = |rows: &[Uuid]| {
            let page = window.page_down_to(floor, rows.to_vec(), |id| *id, |id| id);
            Window::parse(page.next_cursor.as_deref(), None)
                .unwrap()
                .before
        };
        assert_eq!(cursor(&ids), Some(ids[1]), "the page is full");
        assert_eq!(cursor(&ids[..1]), floor);
        assert_eq!(cursor(&[]), floor);
    }

    #[test]
    fn what_is_no_place_is_refused() {
        assert!(Window::parse(Some("x"), None).is_err());
        assert!(Window::parse(Some(""), None).is_err());
        assert!(Window::parse(None, Some(0)).is_err());
        assert!(Window::parse(None, Some(MAX_LIMIT + 1)).is_err());
    }
}
