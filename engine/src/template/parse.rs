//! From the text of a template to its pieces.

use super::filter::Filter;
use super::{Piece, Start, Variable};
use crate::fault::{Fault, FaultCode, echo};
use crate::limits;
use crate::path::JsonPath;

/// The names of the variables of an event, without the `@`.
pub const VARIABLES: &[&str] = &[
    "event_id",
    "correlation_id",
    "received_at",
    "source",
    "rule",
    "now",
];

/// One argument of a filter.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Argument {
    Text(String),
    Integer(u64),
}

pub(super) fn parse(text: &str) -> Result<Vec<Piece>, Fault> {
    if text.len() > limits::TEMPLATE_LENGTH {
        return Err(Fault::new(
            FaultCode::TemplateTooLong,
            format!(
                "the template is longer than {} bytes",
                limits::TEMPLATE_LENGTH
            ),
        ));
    }
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some(found) = tail(text, at).find("{{") {
        let open = at + found;
        if open > at {
            pieces.push(Piece::Text(slice(text, at, open).to_owned()));
        }
        let (part, after) = part(text, open + 2)?;
        pieces.push(part);
        if pieces.len() > limits::TEMPLATE_PARTS * 2 {
            return Err(Fault::new(
                FaultCode::TemplateTooLong,
                format!(
                    "the template has more than {} parts",
                    limits::TEMPLATE_PARTS
                ),
            )
            .offset(open));
        }
        at = after;
    }
    if at < text.len() {
        pieces.push(Piece::Text(tail(text, at).to_owned()));
    }
    Ok(pieces)
}

/// Reads one part whose `{{` ends at `start`; returns it and where the text goes on.
fn part(text: &str, start: usize) -> Result<(Piece, usize), Fault> {
    let (end, pipes) = scan(text, start)?;
    let mut bounds = pipes;
    bounds.push(end);
    let mut sections = Vec::with_capacity(bounds.len());
    let mut from = start;
    for bound in bounds {
        sections.push((from, slice(text, from, bound)));
        from = bound + 1;
    }
    let mut sections = sections.into_iter();
    let Some((offset, expression)) = sections.next() else {
        return Err(syntax(start, "the part is empty"));
    };
    let start = expression_of(offset, expression)?;
    let mut filters = Vec::new();
    for (offset, section) in sections {
        if filters.len() >= limits::TEMPLATE_FILTERS {
            return Err(syntax(
                offset,
                format!("more than {} filters", limits::TEMPLATE_FILTERS),
            ));
        }
        filters.push(filter_of(offset, section)?);
    }
    Ok((Piece::Part { start, filters }, end + 2))
}

/// Finds the closing `}}` and every `|` between filters, outside quotes and brackets.
fn scan(text: &str, start: usize) -> Result<(usize, Vec<usize>), Fault> {
    let mut pipes = Vec::new();
    let mut depth = 0_usize;
    let mut quote: Option<u8> = None;
    let mut escaped = false;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().copied().enumerate().skip(start) {
        if let Some(end) = quote {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                _ if byte == end => quote = None,
                _ => {}
            }
            continue;
        }
        match byte {
            b'\'' | b'"' => quote = Some(byte),
            b'[' | b'(' => depth += 1,
            b']' | b')' => depth = depth.saturating_sub(1),
            b'|' if depth == 0 => pipes.push(at),
            b'}' if depth == 0 && bytes.get(at + 1) == Some(&b'}') => return Ok((at, pipes)),
            _ => {}
        }
    }
    Err(syntax(
        start.saturating_sub(2),
        if quote.is_some() {
            "a quote is not closed"
        } else {
            "`{{` without `}}`"
        },
    ))
}

fn expression_of(offset: usize, text: &str) -> Result<Start, Fault> {
    let (offset, text) = trim(offset, text);
    if text.is_empty() {
        return Err(syntax(offset, "a path is missing"));
    }
    if let Some(name) = text.strip_prefix('@') {
        return variable(name).map(Start::Variable).ok_or_else(|| {
            Fault::new(
                FaultCode::UnknownVariable,
                format!(
                    "`@{}` is unknown; there are @{}",
                    echo(name),
                    VARIABLES.join(", @")
                ),
            )
            .offset(offset)
        });
    }
    if text.starts_with(['\'', '"']) {
        return match quoted(offset, text)? {
            (literal, "") => Ok(Start::Literal(literal)),
            (_, rest) => Err(syntax(
                offset + text.len() - rest.len(),
                "something follows the closing quote",
            )),
        };
    }
    JsonPath::parse(text).map(Start::Path).map_err(|fault| {
        let at = offset + fault.offset.unwrap_or(0);
        fault.offset(at)
    })
}

fn variable(name: &str) -> Option<Variable> {
    Some(match name {
        "event_id" => Variable::EventId,
        "correlation_id" => Variable::CorrelationId,
        "received_at" => Variable::ReceivedAt,
        "source" => Variable::Source,
        "rule" => Variable::Rule,
        "now" => Variable::Now,
        _ => return None,
    })
}

fn filter_of(offset: usize, text: &str) -> Result<Filter, Fault> {
    let (offset, text) = trim(offset, text);
    let (name, arguments) = match text.split_once(':') {
        Some((name, rest)) => (
            name.trim_end(),
            arguments(offset + text.len() - rest.len(), rest)?,
        ),
        None => (text, Vec::new()),
    };
    if name.is_empty() {
        return Err(syntax(offset, "a filter name is missing"));
    }
    Filter::new(name, arguments).map_err(|fault| fault.offset(offset))
}

/// Reads `'text', 12, "more"`.
fn arguments(offset: usize, text: &str) -> Result<Vec<Argument>, Fault> {
    let mut arguments = Vec::new();
    let (mut offset, mut text) = trim(offset, text);
    loop {
        let rest = if text.starts_with(['\'', '"']) {
            let (argument, rest) = quoted(offset, text)?;
            arguments.push(Argument::Text(argument));
            rest
        } else {
            let end = text
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(text.len());
            let number = slice(text, 0, end)
                .parse()
                .map_err(|_| syntax(offset, "an argument is a quoted text or a whole number"))?;
            arguments.push(Argument::Integer(number));
            tail(text, end)
        };
        let (at, rest) = trim(offset + text.len() - rest.len(), rest);
        if rest.is_empty() {
            return Ok(arguments);
        }
        let Some(next) = rest.strip_prefix(',') else {
            return Err(syntax(at, "a comma or the end of the filter is expected"));
        };
        (offset, text) = trim(at + 1, next);
    }
}

/// Reads a quoted text with the escapes `\\ \' \" \n \t`; returns it and what follows.
fn quoted(offset: usize, text: &str) -> Result<(String, &str), Fault> {
    let mut chars = text.char_indices();
    let Some((_, quote)) = chars.next() else {
        return Err(syntax(offset, "a quoted text is missing"));
    };
    let mut out = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, 't')) => out.push('\t'),
                Some((_, c @ ('\\' | '\'' | '"'))) => out.push(c),
                _ => return Err(syntax(offset + at, "an escape that does not exist")),
            },
            _ if c == quote => return Ok((out, tail(text, at + c.len_utf8()))),
            _ => out.push(c),
        }
    }
    Err(syntax(offset, "a quote is not closed"))
}

fn trim(offset: usize, text: &str) -> (usize, &str) {
    let left = text.trim_start();
    (offset + text.len() - left.len(), left.trim_end())
}

fn slice(text: &str, from: usize, to: usize) -> &str {
    text.get(from..to).unwrap_or_default()
}

fn tail(text: &str, from: usize) -> &str {
    text.get(from..).unwrap_or_default()
}

fn syntax(offset: usize, message: impl Into<String>) -> Fault {
    Fault::new(FaultCode::TemplateSyntax, message).offset(offset)
}
