//! `fed chat`: a conversation with a model in the terminal.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use clap::Args;
use downcity::{City, TextInput, UiMessage, UiRole, UserCity};
use futures_util::StreamExt as _;
use secrecy::SecretString;
use serde_json::json;

use crate::commands::block_on;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::fed::Flags;
use crate::output::{note, print};
use crate::remote::{Remote, city_of, failure};

/// The user of tokens that are issued for a chat.
const USER: &str = "fed-chat";
/// How long such a token works.
const TTL: &str = "1h";

/// Whom to talk to.
#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    /// Id of the model; without it, the default one.
    #[arg(long, short, value_name = "MODEL")]
    model: Option<String>,
    /// The city to talk in; without it, that of DOWNCITY_USER_TOKEN, else the first one.
    #[arg(long, value_name = "CITY")]
    city: Option<String>,
    /// Tell the model how to answer.
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Say this, print the answer, and end.
    #[arg(value_name = "TEXT")]
    text: Option<String>,
}

/// Talks with a model, as a user: with the token of DOWNCITY_USER_TOKEN, else with one that is issued
/// for an hour.
pub(crate) fn run(flags: &Flags, args: ChatArgs) -> Result<(), Failure> {
    let connection = flags.target.resolve()?;
    block_on(async {
        let user = user(&connection, args.city.as_deref()).await?;
        let mut talk = Talk { url: &connection.url, user, args: &args, messages: Vec::new() };
        match &args.text {
            Some(text) => talk.say(text).await,
            None => talk.converse().await,
        }
    })?
}

/// The client of the user who talks.
async fn user(connection: &Connection, city: Option<&str>) -> Result<UserCity, Failure> {
    let (token, city) = match &connection.user_token {
        Some(token) => (token.clone(), city.map(str::to_owned).or_else(|| city_of(token))),
        None => {
            let (token, city) = issued(connection, city).await?;
            (token, Some(city))
        }
    };
    let Some(city) = city else {
        return Err(Failure::usage("The city of the token is not known: name it with --city."));
    };
    City::user(&connection.url)
        .user_token(token)
        .city_id(city)
        .build()
        .map_err(|error| failure(&connection.url, &error))
}

/// Issues a token for an hour.
async fn issued(
    connection: &Connection,
    city: Option<&str>,
) -> Result<(SecretString, String), Failure> {
    let remote = Remote::admin(connection.clone())?;
    let city = match city {
        Some(city) => city.to_owned(),
        None => {
            let cities = remote.get("cities/list", json!({})).await?;
            let cities = cities["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            let active = cities.iter().find(|city| city["status"] == "active");
            let Some(city) = active.and_then(|city| city["city_id"].as_str()) else {
                return Err(Failure::usage(
                    "There is no active city. Make one: fed city create NAME",
                ));
            };
            city.to_owned()
        }
    };
    let input = json!({ "city_id": city, "user_id": USER, "ttl": TTL });
    let token = remote.post("cities/tokens/apply", input).await?;
    let token = token["user_token"].as_str().unwrap_or_default();
    note(&format!("Talking as the user {USER} of {city}."));
    Ok((SecretString::from(token), city))
}

/// A conversation.
struct Talk<'a> {
    url: &'a str,
    user: UserCity,
    args: &'a ChatArgs,
    messages: Vec<UiMessage>,
}

impl Talk<'_> {
    /// Turn by turn, until the input ends.
    async fn converse(&mut self) -> Result<(), Failure> {
        let is_terminal = std::io::stdin().is_terminal();
        if is_terminal {
            note("/exit ends.");
        }
        loop {
            if is_terminal {
                let mut err = std::io::stderr();
                // A prompt that cannot be shown is none.
                let _ = write!(err, "> ").and_then(|()| err.flush());
            }
            let mut line = String::new();
            if std::io::stdin().lock().read_line(&mut line)? == 0 {
                return Ok(());
            }
            match line.trim() {
                "" => continue,
                "/exit" | "/quit" => return Ok(()),
                text => {
                    if let Err(error) = self.say(text).await {
                        if !is_terminal {
                            return Err(error);
                        }
                        note(error.message());
                        // What was not answered is not part of the conversation.
                        self.messages.pop();
                    }
                }
            }
        }
    }

    /// One turn: the answer is printed as it comes.
    async fn say(&mut self, text: &str) -> Result<(), Failure> {
        self.messages.push(UiMessage::from_text(UiRole::User, text));
        let mut input = TextInput::default().messages(self.messages.clone());
        if let Some(model) = &self.args.model {
            input = input.model(model.as_str());
        }
        if let Some(system) = &self.args.system {
            input = input.system(system);
        }
        let failed = |error: downcity::Error| failure(self.url, &error);
        let mut words = self.user.ai().stream(input).await.map_err(failed)?.text_deltas();
        let mut answer = String::new();
        while let Some(word) = words.next().await {
            let word = word.map_err(failed)?;
            print(&crate::output::steady(&word))?;
            std::io::stdout().flush()?;
            answer.push_str(&word);
        }
        print("\n")?;
        self.messages.push(UiMessage::from_text(UiRole::Assistant, answer));
        Ok(())
    }
}
