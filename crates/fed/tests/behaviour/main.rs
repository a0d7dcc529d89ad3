//! The scenarios of `tests/behaviour`, played by the Rust client against the real binary.

#![cfg(test)]

mod calls;
mod script;
mod server;

use downcity_db::Engine;
use serde_json::{Value, json};

use crate::calls::{Caller, described, with_tenant};
use crate::script::{Kept, Scenario, Step, difference, scripts};
use crate::server::Server;

#[tokio::test]
async fn sqlite() {
    play(Engine::Sqlite).await;
}

#[tokio::test]
async fn postgres() {
    play(Engine::Postgres).await;
}

/// Plays all scenarios one after the other, and tells of each that goes otherwise.
async fn play(engine: Engine) {
    let server = Server::start(engine);
    let mut wrong = Vec::new();
    let mut played = 0;
    for script in scripts() {
        for scenario in script.scenarios.iter().filter(|scenario| scenario.is_ours()) {
            played += 1;
            // Digits alone: keys of the env are in capitals, addresses of e-mail are not.
            let run = (1_000 + played).to_string();
            if let Err(what) = perform(&server.url, scenario, run).await {
                wrong.push(format!("{}: {}: {what}", script.file, scenario.name));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(played > 20, "only {played} scenarios were found");
}

async fn perform(url: &str, scenario: &Scenario, run: String) -> Result<(), String> {
    let mut kept = Kept::default();
    kept.keep("run", Value::String(run));
    for (index, step) in scenario.steps.iter().enumerate() {
        let told = |what: String| format!("step {} ({}): {what}", index + 1, step.call);
        let answer = take(url, step, &kept).await.map_err(told)?;
        if let Some(name) = &step.save {
            kept.keep(name, answer);
        }
    }
    Ok(())
}

async fn take(url: &str, step: &Step, kept: &Kept) -> Result<Value, String> {
    let args = step.args.iter().map(|(key, value)| (key.clone(), kept.fill(value))).collect();
    let mut filled = step.clone();
    filled.key = step.key.as_ref().map(|key| kept.fill(&json!(key)).as_str().unwrap().to_owned());
    let answer = Caller::new(url, step.role, kept).call(&filled, args).await;
    let (wanted, got) = match (&step.error, answer) {
        (None, Ok(answer)) => (&step.expect, with_tenant(answer)),
        (None, Err(error)) => return Err(error.to_string()),
        (Some(_), Ok(answer)) => return Err(format!("an error was expected, got {answer}")),
        (Some(_), Err(error)) => (&step.error, described(&error)),
    };
    let different = wanted.as_ref().and_then(|value| difference(&kept.fill(value), &got, "answer"));
    different.map_or(Ok(got), Err)
}
