//! A Federation to measure: its folder, its start, and what a load needs to know of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::client::Client;
use crate::process::{Server, free_port};
use crate::upstream::SLOW;

/// The admin key that the process environment gives to a new database.
pub(crate) const ADMIN_KEY: &str = "admin_of_a_benchmark_on_the_loopback";
pub(crate) const MODEL: &str = "bench-chat";
/// A model of the protocol `anthropic-messages`.
pub(crate) const CLAUDE: &str = "bench-claude";
/// Milliseconds of silence after which a message stream shows that it is alive.
pub(crate) const KEEP_ALIVE_MS: u64 = 1_000;

/// A folder with configuration and database; servers come and go.
pub(crate) struct Federation {
    fed: PathBuf,
    dir: PathBuf,
}

impl Federation {
    /// Makes the folder. The models are at this port of the loopback.
    pub(crate) fn new(fed: &Path, dir: PathBuf, upstream: u16) -> Result<Self> {
        std::fs::create_dir_all(&dir)?;
        std::fs::write(dir.join("federation.toml"), configuration(upstream))?;
        Ok(Self { fed: fed.to_owned(), dir })
    }

    /// Starts a server and waits for its first healthy answer.
    pub(crate) fn start(&self) -> Result<Server> {
        let port = free_port()?;
        let mut command = Command::new(&self.fed);
        command
            .arg("serve")
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .current_dir(&self.dir)
            .env("DOWNCITY_FEDERATION_ADMIN_SECRET_KEY", ADMIN_KEY);
        let log = self.dir.join("server.log");
        let mut server = Server::start(command, port, &log)?;
        server.healthy("/health").with_context(|| {
            format!("{}:\n{}", log.display(), std::fs::read_to_string(&log).unwrap_or_default())
        })?;
        Ok(server)
    }
}

/// What loads need to know of a running Federation.
pub(crate) struct Access {
    /// A `user_token`.
    pub(crate) user_token: String,
    /// The city that it was issued for.
    pub(crate) city_id: String,
}

/// Makes a city and a token in a running server, and stores the upstream's key.
pub(crate) async fn furnish(client: &Client, server: &Server) -> Result<Access> {
    let url = |path: &str| format!("http://127.0.0.1:{}{path}", server.port);
    let city_id = "bench".to_owned();
    client
        .post(&url("/v1/cities/create"), ADMIN_KEY, &json!({"name": "Bench", "city_id": city_id}))
        .await?;
    client
        .post(
            &url("/v1/env/upsert"),
            ADMIN_KEY,
            &json!({"key": "BENCH_API_KEY", "value": "key-of-the-upstream"}),
        )
        .await?;
    let issued =
        client.post(&url("/v1/cities/tokens/apply"), ADMIN_KEY, &token_request(&city_id)).await?;
    let user_token = issued["user_token"].as_str().context("no user_token")?.to_owned();
    Ok(Access { user_token, city_id })
}

/// What the trusted side sends for a user's token.
pub(crate) fn token_request(city_id: &str) -> serde_json::Value {
    json!({
        "city_id": city_id,
        "user_id": "user_123",
        "metadata": {"plan": "pro", "org_id": "org_001"},
        "ttl": "7d",
    })
}

/// What a product client sends for a chat with this model, streamed.
pub(crate) fn stream_request(model: &str) -> serde_json::Value {
    let mut request = chat_request(true);
    request["model"] = json!(model);
    request
}

/// What a product client sends for a UI message stream of this model.
pub(crate) fn message_request(model: &str) -> serde_json::Value {
    json!({
        "model": model,
        "system": "You are brief.",
        "messages": [{
            "id": "u1", "role": "user",
            "parts": [{"type": "text", "text": "Which animal jumps over the dog?"}],
        }],
    })
}

/// What a product client sends for a chat, streamed or not.
pub(crate) fn chat_request(stream: bool) -> serde_json::Value {
    json!({
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "You are brief."},
            {"role": "user", "content": "Which animal jumps over the dog?"},
        ],
        "stream": stream,
    })
}

fn configuration(upstream: u16) -> String {
    format!(
        r#"[limits]
address = 1000000000
user = 1000000000
city = 1000000000
credential = 1000000000

[ai]
keep_alive_ms = {KEEP_ALIVE_MS}

[[ai.provider]]
id = "bench"
protocol = "openai-chat"
base_url = "http://127.0.0.1:{upstream}/v1"
env_key = "BENCH_API_KEY"

[[ai.model]]
id = "{MODEL}"
name = "Bench"
provider = "bench"
upstream_model = "bench"
default = true

[[ai.model]]
id = "{SLOW}"
name = "Slow"
provider = "bench"
upstream_model = "{SLOW}"

[[ai.provider]]
id = "bench-anthropic"
protocol = "anthropic-messages"
base_url = "http://127.0.0.1:{upstream}/v1"
env_key = "BENCH_API_KEY"

[[ai.model]]
id = "{CLAUDE}"
name = "Claude"
provider = "bench-anthropic"
upstream_model = "bench"
"#
    )
}
