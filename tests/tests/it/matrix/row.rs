//! An entry of the table.

use openapi::problem::Code;

/// Who may call a route at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// Everybody.
    Nothing,
    /// Somebody with a session, whatever the workspace.
    Session,
    /// Anybody who is known.
    Caller,
    /// Whoever has these scopes, one after the other.
    Scopes(&'static str, Option<&'static str>),
}

/// The built-in role with the least rights that includes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Least {
    Viewer,
    Operator,
    Admin,
    Owner,
}

/// What those who may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This status.
    Status(u16),
    /// This problem, from behind the check.
    Problem(Code),
}

/// One route.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Method and path, as the document has them.
    pub route: &'static str,
    pub needs: Needs,
    pub least: Least,
    pub body: Option<&'static str>,
    pub query: &'static str,
    pub allowed: Answer,
    /// What a credential with the scope gets, where only people may.
    pub credential: Option<Code>,
    /// What somebody gets who has the scope and nothing else, where that is not enough.
    pub alone: Option<Code>,
    /// It goes on for ever: only its status is read.
    pub endless: bool,
}

const fn row(route: &'static str, needs: Needs, least: Least) -> Row {
    Row {
        route,
        needs,
        least,
        body: None,
        query: "",
        allowed: Answer::Status(200),
        credential: None,
        alone: None,
        endless: false,
    }
}

/// A route that is open to all.
pub const fn open(route: &'static str) -> Row {
    row(route, Needs::Nothing, Least::Viewer)
}

/// A route of a session.
pub const fn session(route: &'static str) -> Row {
    row(route, Needs::Session, Least::Viewer)
}

/// A route for whoever is known.
pub const fn known(route: &'static str) -> Row {
    row(route, Needs::Caller, Least::Viewer)
}

/// A route that needs a scope.
pub const fn route(route: &'static str, scope: &'static str, least: Least) -> Row {
    row(route, Needs::Scopes(scope, None), least)
}

impl Row {
    /// It needs another scope too.
    pub const fn also(mut self, scope: &'static str) -> Self {
        if let Needs::Scopes(first, _) = self.needs {
            self.needs = Needs::Scopes(first, Some(scope));
        }
        self
    }

    /// The body of a call; `$n` is a new name each time.
    pub const fn body(mut self, body: &'static str) -> Self {
        self.body = Some(body);
        self
    }

    pub const fn query(mut self, query: &'static str) -> Self {
        self.query = query;
        self
    }

    pub const fn gives(mut self, status: u16) -> Self {
        self.allowed = Answer::Status(status);
        self
    }

    pub const fn refused(mut self, code: Code) -> Self {
        self.allowed = Answer::Problem(code);
        self
    }

    pub const fn credentials_get(mut self, code: Code) -> Self {
        self.credential = Some(code);
        self
    }

    pub const fn scope_alone_gets(mut self, code: Code) -> Self {
        self.alone = Some(code);
        self
    }

    pub const fn endless(mut self) -> Self {
        self.endless = true;
        self
    }

    /// The method.
    pub fn method(&self) -> &'static str {
        self.route.split_once(' ').unwrap().0
    }

    /// The path with its holes.
    pub fn path(&self) -> &'static str {
        self.route.split_once(' ').unwrap().1
    }

    /// The scopes that it needs.
    pub fn scopes(&self) -> Vec<&'static str> {
        match self.needs {
            Needs::Scopes(first, second) => [Some(first), second].into_iter().flatten().collect(),
            _ => Vec::new(),
        }
    }
}
