//! What the workspace asks to be done outside of it, and what it hears of it.

use secrecy::SecretString;
use serde_json::Value;

use super::section::Servers;
use crate::connection::Connection;

/// The number of something that is under way.
pub(super) type Number = u64;

/// What is to be done outside.
pub(super) enum Task {
    /// Read something; the answer is heard with the number.
    Read(Number, Read),
    /// Make a call that may change something; the answer is heard with the number.
    Send(Number, Send),
    /// Be connected there from now on.
    Move(Connection),
    /// Break off everything that is under way.
    Cancel,
    /// Put a text into the clipboard of the terminal.
    Copy(String),
    /// End.
    Quit,
}

/// Something to read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Read {
    /// An action such as `cities/list`, with its query.
    Action(String, Value),
    /// The JSON of a route such as `/health`.
    Route(&'static str),
    /// The text of a route; the answer is a string.
    Text(&'static str),
    /// The Federations that this person works with, as `items`.
    Servers,
}

/// A call that may change something.
pub(super) enum Send {
    /// An action such as `cities/create`, with its input. It has one effect for its number, however often
    /// it is sent. One that looks at everything may take long.
    Action { path: String, input: Value, once: Number, takes_long: bool },
    /// Any action by its method and path, as the user of a token where one is given. A POST has one effect
    /// for its number where the action supports it.
    Call {
        is_get: bool,
        path: String,
        input: Value,
        once: Number,
        user_token: Option<SecretString>,
    },
    /// A change of the Federations that this person works with: the name, and what else it has.
    Servers { change: Servers, name: String, url: String, key: Option<SecretString> },
}

/// What came of something.
pub(super) struct Heard {
    pub(super) number: Number,
    pub(super) answer: Result<Value, Trouble>,
    /// Whether the server was asked, or this machine alone.
    pub(super) is_from_server: bool,
    /// Where the workspace belongs after this, where it is another place.
    pub(super) moves: Option<Connection>,
}

/// What came in place of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// What happened, and what to do next.
    pub(super) says: String,
    /// Whether the server was not reached at all.
    pub(super) is_unreachable: bool,
    /// Whether what was asked for may be done all the same.
    pub(super) is_open: bool,
}
