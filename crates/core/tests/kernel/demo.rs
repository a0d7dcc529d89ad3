//! A service with one action of every kind.

use std::sync::Arc;

use downcity_core::{
    ADMIN, Body, Cx, ErrorShape, JsonObject, NoInput, PUBLIC, RawRequest, Reply, Result, Service,
    ServiceDef, Sse, USER, USER_OR_ADMIN,
};
use downcity_types::{EnvRequirement, Items, Page};
use http::HeaderMap;
use http_body_util::BodyExt as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) struct Demo;

/// A thing.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Item {
    /// Its id.
    id: String,
    title: String,
    state: State,
    /// Things within.
    #[serde(default)]
    parts: Vec<Item>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    Open,
    Done,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ListItems {
    /// Only things in this state.
    state: Option<State>,
    #[serde(flatten)]
    page: Page,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct GetItem {
    /// The id of the thing.
    id: String,
    /// Whether its parts come too.
    #[serde(default)]
    deep: bool,
    depth: Option<u8>,
}

/// A type of a name that the Federation has, too.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct City {
    mayor: &'static str,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Rename {
    id: String,
    /// The new title.
    title: String,
}

impl Service for Demo {
    fn id(&self) -> &'static str {
        "demo.things"
    }

    fn name(&self) -> &'static str {
        "Things"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        s.env("THINGS_KEY", "Opens the box of things.", true);
        s.env("THINGS_COLOUR", "Colour of new things.", false);
        s.env_scope("thing-models", "Thing Models", || {
            vec![EnvRequirement {
                key: "MODEL_KEY".to_owned(),
                description: "Shapes things - used by Round".to_owned(),
                required: true,
            }]
        });
        s.instruction_with(|| "Things are made, kept and lost.\n".to_owned());
        s.get("list", USER_OR_ADMIN, &self, Self::list).summary("List things.");
        s.get("items/{id}", USER, &self, Self::get)
            .summary("Read one thing.")
            .description("Parts are left out unless `deep` is set.");
        s.post("items/{id}", ADMIN, &self, Self::rename).summary("Rename a thing.");
        s.post("create", ADMIN, &self, Self::create).summary("Make a thing.");
        s.post("chat/completions", USER, &self, Self::chat)
            .errors(ErrorShape::OpenAi)
            .summary("Talk to a thing.");
        s.get("city", PUBLIC, &self, Self::city).summary("Read the city of things.");
        s.get("watch", USER, &self, Self::watch).summary("Watch things change.");
        s.get("manual", PUBLIC, &self, Self::manual)
            .produces("text/plain; charset=utf-8")
            .summary("Read the manual.");
        s.action(None, "native/{*rest}", PUBLIC, &self, Self::native)
            .summary("Show the request as it came.");
        s.get("native/about", PUBLIC, &self, Self::manual).summary("Say what native is.");
        s.action(Some(http::Method::DELETE), "items/{id}", ADMIN, &self, Self::delete)
            .summary("Lose a thing.");
    }
}

fn item(id: &str, title: &str) -> Item {
    Item { id: id.to_owned(), title: title.to_owned(), state: State::Open, parts: Vec::new() }
}

impl Demo {
    async fn list(self: Arc<Self>, _: Cx, input: ListItems) -> Result<Items<Item>> {
        let mut one = item("1", "one");
        one.state = input.state.unwrap_or(State::Done);
        Ok(Items::all(vec![one; input.page.limit(1, 3) as usize]))
    }

    async fn get(self: Arc<Self>, _: Cx, input: GetItem) -> Result<Item> {
        let mut found = item(&input.id, "found");
        if input.deep {
            found.parts = vec![item("part", "part"); usize::from(input.depth.unwrap_or(1))];
        }
        Ok(found)
    }

    async fn rename(self: Arc<Self>, _: Cx, input: Rename) -> Result<Item> {
        Ok(item(&input.id, &input.title))
    }

    async fn create(self: Arc<Self>, _: Cx, input: Item) -> Result<Item> {
        Ok(input)
    }

    async fn chat(self: Arc<Self>, _: Cx, input: JsonObject<Item>) -> Result<Reply> {
        Ok(Reply::typed(http::HeaderValue::from_static("application/json"), input.bytes))
    }

    async fn city(self: Arc<Self>, _: Cx, _: NoInput) -> Result<City> {
        Ok(City { mayor: "the oldest thing" })
    }

    async fn watch(self: Arc<Self>, _: Cx, _: NoInput) -> Result<Sse> {
        Ok(Sse(Body::from("data: {}\n\n")))
    }

    async fn manual(self: Arc<Self>, _: Cx, _: NoInput) -> Result<Reply> {
        Ok(Reply::text("Turn it off and on again."))
    }

    async fn native(self: Arc<Self>, cx: Cx, input: RawRequest) -> Result<Reply> {
        let body = input.body.collect().await.map_err(downcity_core::Error::internal)?.to_bytes();
        let headers = |headers: &HeaderMap| -> Value {
            headers.iter().map(|(name, value)| (name.to_string(), value.to_str().ok())).collect()
        };
        let reply = Reply::json(&json!({
            "method": input.parts.method.as_str(),
            "uri": input.parts.uri.to_string(),
            "rest": input.params,
            "headers": headers(&input.parts.headers),
            "body": String::from_utf8_lossy(&body),
            "identity": cx.identity().kind(),
        }))?;
        Ok(reply.with_status(http::StatusCode::ACCEPTED))
    }

    async fn delete(self: Arc<Self>, _: Cx, input: GetItem) -> Result<Item> {
        Ok(item(&input.id, "lost"))
    }
}
