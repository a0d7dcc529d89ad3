//! What a command over HTTP works with: the Federation, and how to print.

use std::future::Future;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};

use crate::commands::block_on;
use crate::connection::Target;
use crate::failure::Failure;
use crate::output::{Ask, Column, Output, note};
use crate::remote::{Remote, without_nulls};

/// The longest check.
pub(crate) const CHECK_TIME: Duration = Duration::from_secs(3_600);

/// Flags of every command.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Flags of commands that list: a page at a time.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Page {
    /// At most so many, 1 to 500.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: Option<u16>,
    /// Go on where the page before ended, as it said.
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

impl Page {
    /// The query of a list, with the fields of its filter.
    pub(crate) fn query(self, filter: Value) -> Value {
        let mut query = json!({ "limit": self.limit, "cursor": self.cursor });
        if let (Some(query), Value::Object(filter)) = (query.as_object_mut(), filter) {
            query.extend(filter);
        }
        query
    }
}

/// Flags of commands that list what happened at a time.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Times {
    /// Only those since then, such as 2026-03-01 or 2026-03-01T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) from: Option<String>,
    /// Only those before then.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) to: Option<String>,
}

/// A time of RFC 3339, or a day for its beginning in UTC.
fn moment(text: &str) -> Result<String, String> {
    if let Ok(day) = text.parse::<Date>()
        && text.len() == "2026-03-01".len()
    {
        return Ok(format!("{day}T00:00:00Z"));
    }
    match text.parse::<Timestamp>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => {
            Err("must be a day or a time, such as 2026-03-01 or 2026-03-01T12:00:00Z".to_owned())
        }
    }
}

/// The Federation of a command, and how to print.
pub(crate) struct Fed {
    pub(crate) remote: Remote,
    pub(crate) output: Output,
}

/// A call that changes something.
pub(crate) struct Change<'a> {
    /// The action, such as `cities/remove`.
    pub(crate) path: &'a str,
    /// Its input; fields that are `null` are left out.
    pub(crate) input: Value,
    /// Asked before it is sent.
    pub(crate) ask: Option<Ask<'a>>,
    /// Has one effect for this key.
    pub(crate) key: Option<String>,
}

impl<'a> Change<'a> {
    pub(crate) fn new(path: &'a str, input: Value) -> Self {
        Self { path, input: without_nulls(input), ask: None, key: None }
    }

    /// One that cannot be taken back.
    pub(crate) fn asking(self, ask: Ask<'a>) -> Self {
        Self { ask: Some(ask), ..self }
    }

    /// One that has one effect for a key, where one is given.
    pub(crate) fn once(self, key: Option<String>) -> Self {
        Self { key, ..self }
    }
}

impl Fed {
    /// Runs the one task of a command with the trusted side of its Federation.
    ///
    /// # Errors
    /// Those of the task, and what keeps it from the Federation.
    pub(crate) fn run<F>(flags: &Flags, task: impl FnOnce(Self) -> F) -> Result<(), Failure>
    where
        F: Future<Output = Result<(), Failure>>,
    {
        let remote = Remote::admin(flags.target.resolve()?)?;
        block_on(task(Self { remote, output: flags.output }))?
    }

    /// The same for a task whose answers may take as long as a check.
    ///
    /// # Errors
    /// As [`Fed::run`].
    pub(crate) fn run_long<F>(flags: &Flags, task: impl FnOnce(Self) -> F) -> Result<(), Failure>
    where
        F: Future<Output = Result<(), Failure>>,
    {
        let remote = Remote::admin_within(flags.target.resolve()?, CHECK_TIME)?;
        block_on(task(Self { remote, output: flags.output }))?
    }

    /// What a check on the trusted side finds, however long it looks.
    ///
    /// # Errors
    /// Those of the call, and what keeps it from the Federation.
    pub(crate) fn check(flags: &Flags, path: &str, input: Value) -> Result<Value, Failure> {
        let remote = Remote::admin_within(flags.target.resolve()?, CHECK_TIME)?;
        block_on(remote.post(path, input))?
    }

    /// Reads a list and prints it.
    ///
    /// # Errors
    /// Those of the call.
    pub(crate) async fn list(
        &self,
        path: &str,
        query: Value,
        columns: &[Column],
    ) -> Result<(), Failure> {
        let answer = self.remote.get(path, query).await?;
        self.output.list(&answer, columns)
    }

    /// Asks where the change wants it, and sends it. `None` where the person only wants to know what
    /// would be sent, which is then told.
    ///
    /// # Errors
    /// When the person says no, and those of the call.
    pub(crate) async fn send(&self, change: Change<'_>) -> Result<Option<Value>, Failure> {
        if self.output.dry_run {
            return would_call(self.output, change.path, &masked(change.input)).map(|()| None);
        }
        if let Some(ask) = change.ask {
            ask.confirm(self.output)?;
        }
        self.remote.post_once(change.path, change.input, change.key.as_deref()).await.map(Some)
    }

    /// Sends a change and prints the record it answers with.
    ///
    /// # Errors
    /// As [`Fed::send`].
    pub(crate) async fn change(
        &self,
        change: Change<'_>,
        columns: &[Column],
    ) -> Result<(), Failure> {
        match self.send(change).await? {
            Some(answer) => self.output.record(&answer, columns),
            None => Ok(()),
        }
    }

    /// Sends a change and prints a sentence about it.
    ///
    /// # Errors
    /// As [`Fed::send`].
    pub(crate) async fn carry_out(
        &self,
        change: Change<'_>,
        sentence: &str,
    ) -> Result<(), Failure> {
        match self.send(change).await? {
            Some(answer) => self.output.done(&answer, sentence),
            None => Ok(()),
        }
    }
}

/// Tells what would be sent: on standard output as JSON, where that is asked for. The input is shown as
/// it is given here.
///
/// # Errors
/// When standard output is closed.
pub(crate) fn would_call(output: Output, action: &str, input: &Value) -> Result<(), Failure> {
    if output.json {
        return crate::output::json(&json!({ "action": action, "input": input }));
    }
    note(&format!("Would call {action} with {input}"));
    Ok(())
}

/// An input whose secrets are not shown, wherever they stand in it.
pub(crate) fn masked(input: Value) -> Value {
    match input {
        Value::Object(fields) => {
            let hide = |(name, value): (String, Value)| {
                let shown = if is_secret(&name) { hidden() } else { masked(value) };
                (name, shown)
            };
            Value::Object(fields.into_iter().map(hide).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(masked).collect()),
        other => other,
    }
}

/// What is shown in place of a secret.
pub(crate) fn hidden() -> Value {
    json!("…")
}

/// Whether a field of this name holds a secret, such as `token` or `user_token`.
pub(crate) fn is_secret(name: &str) -> bool {
    const NAMES: &[&str] =
        &["value", "raw", "code", "token", "secret", "password", "password_hash"];
    let ends_so = |end: &&str| name.strip_suffix(*end).is_some_and(|rest| rest.ends_with('_'));
    NAMES.contains(&name) || NAMES.iter().any(ends_so)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let input = json!({
            "key": "A_KEY", "value": 5, "max_tokens": 7, "new_password": "s-1",
            "users": [{ "email": "ann@example.com", "password_hash": "s-2" }],
            "more": { "user_token": "s-3", "code": null, "note": "seen" },
        });
        let shown = json!({
            "key": "A_KEY", "value": "…", "max_tokens": 7, "new_password": "…",
            "users": [{ "email": "ann@example.com", "password_hash": "…" }],
            "more": { "user_token": "…", "code": "…", "note": "seen" },
        });
        assert_eq!(masked(input), shown);
    }
}
