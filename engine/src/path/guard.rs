//! What a path must satisfy before a parser may see it.

use crate::fault::{Fault, FaultCode};
use crate::limits;

/// Checks nesting outside string literals; syntax is the parser's business.
pub(super) fn check(path: &str) -> Result<(), Fault> {
    let mut open: Vec<Open> = Vec::new();
    let mut filters = 0_usize;
    let mut quote: Option<char> = None;
    let mut escaped = false;
    for (at, c) in path.char_indices() {
        if let Some(end) = quote {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if c == end => quote = None,
                _ => {}
            }
            continue;
        }
        match c {
            '\'' | '"' => quote = Some(c),
            '[' | '(' => {
                if open.len() >= limits::PATH_NESTING {
                    return Err(too_deep(at));
                }
                open.push(Open {
                    close: if c == '[' { ']' } else { ')' },
                    filter: false,
                });
            }
            ']' | ')' => match open.pop() {
                Some(opened) if opened.close == c => filters -= usize::from(opened.filter),
                _ => return Err(unbalanced(at)),
            },
            '?' => {
                if let Some(top) = open.last_mut().filter(|top| !top.filter) {
                    top.filter = true;
                    filters += 1;
                    if filters > limits::PATH_FILTERS {
                        return Err(too_deep(at));
                    }
                }
            }
            _ => {}
        }
    }
    if quote.is_some() || !open.is_empty() {
        return Err(unbalanced(path.len()));
    }
    Ok(())
}

struct Open {
    close: char,
    filter: bool,
}

fn too_deep(at: usize) -> Fault {
    Fault::new(
        FaultCode::PathTooDeep,
        format!(
            "the path nests more than {} filters or {} brackets",
            limits::PATH_FILTERS,
            limits::PATH_NESTING
        ),
    )
    .offset(at)
}

fn unbalanced(at: usize) -> Fault {
    Fault::new(
        FaultCode::PathSyntax,
        "a bracket or quote of the path has no partner",
    )
    .offset(at)
}
