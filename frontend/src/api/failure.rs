//! What can go wrong with a request, in words for people.

use openapi::problem::{Code, FieldError, Problem};

use super::read::Unread;

/// A request that did not succeed.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The server said why.
    Problem(Box<Problem>),
    /// There was no answer.
    Network,
    /// The answer was not what this console understands.
    Answer(String),
}

impl Failure {
    /// One or two sentences for people.
    pub fn text(&self) -> String {
        match self {
            Self::Problem(problem) => match (&problem.detail, problem.errors.first()) {
                (Some(detail), _) => detail.clone(),
                (None, Some(error)) => format!("{}: {}", problem.title, error.message),
                (None, None) => format!("{}.", problem.title),
            },
            Self::Network => {
                "The server cannot be reached. Check that it runs and try again.".to_owned()
            }
            Self::Answer(what) => format!("The answer could not be read: {what}"),
        }
    }

    /// The id to quote when asking for help.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Problem(problem) => Some(problem.request_id.as_str()),
            _ => None,
        }
    }

    /// The stable code, where the server gave one.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Problem(problem) => Some(problem.code),
            _ => None,
        }
    }

    /// Each fault of the input.
    pub fn errors(&self) -> Vec<FieldError> {
        match self {
            Self::Problem(problem) => problem.errors.clone(),
            _ => Vec::new(),
        }
    }

    /// Whether somebody else changed the thing meanwhile.
    pub fn is_stale(&self) -> bool {
        self.code() == Some(Code::RevisionStale)
    }
}

impl From<Unread> for Failure {
    fn from(unread: Unread) -> Self {
        Self::Answer(unread.to_string())
    }
}
