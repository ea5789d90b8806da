//! The shape of a JSONPath, read from a text whose syntax has already been checked.
//!
//! Syntax and typing are judged by `serde_json_path`; this reader only has to understand what is
//! valid, and answers `None` for anything it does not.

use regex::Regex;
use serde_json::Value;

use crate::compare::{read_number, whole_or_part};

/// The root or current node, followed by segments.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) from_root: bool,
    pub(super) segments: Vec<Segment>,
}

#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// `..`: the selectors apply to every node below as well.
    pub(super) descend: bool,
    pub(super) selectors: Vec<Selector>,
}

#[derive(Debug, Clone)]
pub(super) enum Selector {
    Name(String),
    Index(i64),
    Every,
    Slice {
        start: Option<i64>,
        end: Option<i64>,
        step: i64,
    },
    Filter(Test),
}

/// A logical expression.
#[derive(Debug, Clone)]
pub(super) enum Test {
    Any(Vec<Test>),
    All(Vec<Test>),
    Not(Box<Test>),
    Exists(Query),
    Compare(Term, Relation, Term),
    Matches(Box<Matches>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Something with one value, or none.
#[derive(Debug, Clone)]
pub(super) enum Term {
    Literal(Value),
    Query(Query),
    Length(Box<Term>),
    Count(Query),
    Value(Query),
}

/// `match` and `search`.
#[derive(Debug, Clone)]
pub(super) struct Matches {
    pub(super) text: Term,
    pub(super) pattern: Pattern,
    pub(super) whole: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Pattern {
    /// A literal, compiled once; one that is no pattern never matches.
    Fixed(Option<Regex>),
    /// Comes from the document.
    Term(Term),
}

/// Reads a whole path.
pub(super) fn read(path: &str) -> Option<Query> {
    let mut reader = Reader { rest: path };
    let query = reader.query()?;
    reader.rest.is_empty().then_some(query)
}

/// A term or a test: what a function call or a literal turns out to be.
enum Operand {
    Term(Term),
    Test(Test),
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes a token after optional space.
    fn token(&mut self, token: &str) -> bool {
        self.space();
        self.take(token)
    }

    fn expect(&mut self, token: &str) -> Option<()> {
        self.token(token).then_some(())
    }

    fn while_chars(&mut self, wanted: impl Fn(char) -> bool) -> &str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn query(&mut self) -> Option<Query> {
        let from_root = self.take("$");
        if !from_root && !self.take("@") {
            return None;
        }
        let mut segments = Vec::new();
        loop {
            let before = self.rest;
            self.space();
            if self.take("..") {
                let selectors = if self.take("[") {
                    self.bracket()?
                } else {
                    vec![self.short()?]
                };
                segments.push(Segment {
                    descend: true,
                    selectors,
                });
            } else if self.take(".") {
                segments.push(Segment {
                    descend: false,
                    selectors: vec![self.short()?],
                });
            } else if self.take("[") {
                segments.push(Segment {
                    descend: false,
                    selectors: self.bracket()?,
                });
            } else {
                self.rest = before;
                return Some(Query {
                    from_root,
                    segments,
                });
            }
        }
    }

    /// `*` or a name after a dot.
    fn short(&mut self) -> Option<Selector> {
        if self.take("*") {
            return Some(Selector::Every);
        }
        let name = self.while_chars(|c| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii());
        (!name.is_empty()).then(|| Selector::Name(name.to_owned()))
    }

    fn bracket(&mut self) -> Option<Vec<Selector>> {
        let mut selectors = Vec::new();
        loop {
            self.space();
            selectors.push(self.selector()?);
            if self.token("]") {
                return Some(selectors);
            }
            self.expect(",")?;
        }
    }

    fn selector(&mut self) -> Option<Selector> {
        match self.peek()? {
            '*' => {
                self.take("*");
                Some(Selector::Every)
            }
            '?' => {
                self.take("?");
                self.any().map(Selector::Filter)
            }
            '\'' | '"' => self.string().map(Selector::Name),
            _ => {
                let start = self.integer();
                if !self.token(":") {
                    return start.map(Selector::Index);
                }
                self.space();
                let end = self.integer();
                let step = if self.token(":") {
                    self.space();
                    self.integer()
                } else {
                    None
                };
                Some(Selector::Slice {
                    start,
                    end,
                    step: step.unwrap_or(1),
                })
            }
        }
    }

    fn integer(&mut self) -> Option<i64> {
        self.while_chars(|c| c.is_ascii_digit() || c == '-')
            .parse()
            .ok()
    }

    fn string(&mut self) -> Option<String> {
        let quote = self.peek()?;
        let mut chars = self.rest.char_indices().skip(1);
        let mut out = String::new();
        while let Some((at, c)) = chars.next() {
            match c {
                _ if c == quote => {
                    self.rest = self.rest.get(at + 1..)?;
                    return Some(out);
                }
                '\\' => match chars.next()?.1 {
                    'b' => out.push('\u{8}'),
                    'f' => out.push('\u{c}'),
                    'n' => out.push('\n'),
                    'r' => out.push('\r'),
                    't' => out.push('\t'),
                    'u' => {
                        let mut units = vec![hex4(&mut chars)?];
                        if units.iter().all(|unit| (0xd800..0xdc00).contains(unit)) {
                            // The other half of a surrogate pair.
                            if chars.next()?.1 != '\\' || chars.next()?.1 != 'u' {
                                return None;
                            }
                            units.push(hex4(&mut chars)?);
                        }
                        out.push_str(&String::from_utf16(&units).ok()?);
                    }
                    other => out.push(other),
                },
                _ => out.push(c),
            }
        }
        None
    }

    fn any(&mut self) -> Option<Test> {
        let mut tests = vec![self.all()?];
        while self.token("||") {
            tests.push(self.all()?);
        }
        Some(one_or(tests, Test::Any))
    }

    fn all(&mut self) -> Option<Test> {
        let mut tests = vec![self.basic()?];
        while self.token("&&") {
            tests.push(self.basic()?);
        }
        Some(one_or(tests, Test::All))
    }

    fn basic(&mut self) -> Option<Test> {
        self.space();
        if self.take("!") {
            return self.basic().map(|test| Test::Not(Box::new(test)));
        }
        if self.take("(") {
            let test = self.any()?;
            self.expect(")")?;
            return Some(test);
        }
        let left = match self.operand()? {
            Operand::Test(test) => return Some(test),
            Operand::Term(term) => term,
        };
        match (self.relation(), left) {
            (Some(relation), left) => {
                self.space();
                match self.operand()? {
                    Operand::Term(right) => Some(Test::Compare(left, relation, right)),
                    Operand::Test(_) => None,
                }
            }
            (None, Term::Query(query)) => Some(Test::Exists(query)),
            (None, _) => None,
        }
    }

    fn relation(&mut self) -> Option<Relation> {
        [
            ("==", Relation::Equal),
            ("!=", Relation::NotEqual),
            ("<=", Relation::LessOrEqual),
            (">=", Relation::GreaterOrEqual),
            ("<", Relation::Less),
            (">", Relation::Greater),
        ]
        .into_iter()
        .find_map(|(token, relation)| self.token(token).then_some(relation))
    }

    fn operand(&mut self) -> Option<Operand> {
        let term = match self.peek()? {
            '@' | '$' => Term::Query(self.query()?),
            '\'' | '"' => Term::Literal(Value::String(self.string()?)),
            '-' | '0'..='9' => {
                let text = self.while_chars(|c| {
                    c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E')
                });
                Term::Literal(Value::Number(read_number(text)?))
            }
            _ => {
                let word = self
                    .while_chars(|c| c.is_ascii_alphanumeric() || c == '_')
                    .to_owned();
                match word.as_str() {
                    "true" => Term::Literal(Value::Bool(true)),
                    "false" => Term::Literal(Value::Bool(false)),
                    "null" => Term::Literal(Value::Null),
                    function => return self.call(function),
                }
            }
        };
        Some(Operand::Term(term))
    }

    fn call(&mut self, function: &str) -> Option<Operand> {
        self.take("(").then_some(())?;
        self.space();
        let operand = match function {
            "length" => Operand::Term(Term::Length(Box::new(self.term()?))),
            "count" => Operand::Term(Term::Count(self.query()?)),
            "value" => Operand::Term(Term::Value(self.query()?)),
            "match" | "search" => {
                let whole = function == "match";
                let text = self.term()?;
                self.expect(",")?;
                self.space();
                let pattern = match self.term()? {
                    Term::Literal(Value::String(text)) => {
                        Pattern::Fixed(whole_or_part(&text, whole))
                    }
                    term => Pattern::Term(term),
                };
                Operand::Test(Test::Matches(Box::new(Matches {
                    text,
                    pattern,
                    whole,
                })))
            }
            _ => return None,
        };
        self.expect(")")?;
        Some(operand)
    }

    fn term(&mut self) -> Option<Term> {
        match self.operand()? {
            Operand::Term(term) => Some(term),
            Operand::Test(_) => None,
        }
    }
}

fn one_or(mut tests: Vec<Test>, many: fn(Vec<Test>) -> Test) -> Test {
    match (tests.len(), tests.pop()) {
        (1, Some(only)) => only,
        (_, Some(last)) => {
            tests.push(last);
            many(tests)
        }
        (_, None) => many(tests),
    }
}

fn hex4(chars: &mut impl Iterator<Item = (usize, char)>) -> Option<u16> {
    let digits: String = chars.take(4).map(|(_, c)| c).collect();
    u16::from_str_radix(&digits, 16).ok()
}
