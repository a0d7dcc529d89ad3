//! The examples of the guide, and what comes of them.

use std::time::Duration;

use downcity::{
    AdminCity, Amount, BalanceQuery, Charge, City, CityCreate, CityId, Credits, Error,
    ExposeSecret as _, Mutation, RedeemCreate, RedeemDisable, Request, Response, Result,
    RetryPolicy, SendFuture, StatusCode, TextInput, TokenRequest, Transport, UserCity, header,
};
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) async fn everything(federation_url: &str, key: &str) -> Result<()> {
    let admin = builders(federation_url, key)?;
    cities(&admin).await?;
    let user = tokens(&admin, federation_url).await?;
    env(&admin).await?;
    wallets(&admin).await?;
    catalogs(&admin).await?;
    services(&admin).await?;
    models(&user).await?;
    sign_in(federation_url).await?;
    payment(&user).await?;
    errors(&admin).await;
    patience(federation_url, key)?;
    tests_of_yours().await
}

fn builders(federation_url: &str, key: &str) -> Result<AdminCity> {
    let admin = City::admin(federation_url).city_id("city_demo").admin_secret_key(key).build()?;
    Ok(admin)
}

async fn cities(admin: &AdminCity) -> Result<()> {
    let city = admin.cities().create(CityCreate::new("Demo").city_id("city_demo")).await?;
    admin.cities().pause(&city.city_id).await?;
    admin.cities().activate(&city.city_id).await?;
    for city in admin.cities().list().await? {
        println!("{} is {:?}", city.name, city.status);
    }

    let second = admin.cities().create(CityCreate::new("Second")).await?;
    assert_eq!(second.name, "Second");
    admin.cities().remove(&second.city_id).await?;
    let left = admin.cities().list().await?;
    assert!(left.iter().all(|city| city.city_id != second.city_id));
    Ok(())
}

async fn tokens(admin: &AdminCity, federation_url: &str) -> Result<UserCity> {
    let request = TokenRequest::new("user_123").ttl("7d").metadata([("plan", json!("pro"))]);
    let issued = admin.tokens().apply(request.clone()).await?;
    let user =
        City::user(federation_url).city_id("city_demo").user_token(issued.user_token).build()?;

    assert!(issued.expires_at.is_some());
    let city = CityId::from("city_demo");
    let other = admin.cities().tokens().apply(&city, request).await?;
    assert!(admin.tokens().verify(&other.user_token).await?.active);
    admin.tokens().revoke(&other.user_token).await?;
    assert!(!admin.tokens().verify(&other.user_token).await?.active);
    let third =
        admin.tokens().apply(TokenRequest::new("user_9").ttl(Duration::from_hours(1))).await?;
    admin.tokens().revoke_user(&third.user_id).await?;
    assert!(!admin.tokens().verify(&third.user_token).await?.active);
    Ok(user)
}

async fn env(admin: &AdminCity) -> Result<()> {
    admin.env().upsert("GREETING", "hello").await?;
    admin.env().import("GREETING=hi\nSIGNATURE=bye").await?;
    let versions = admin.env().history("GREETING").await?;
    admin.env().rollback("GREETING", versions[1].version).await?;
    admin.env().remove("SIGNATURE").await?;
    let entries = admin.env().list().await?;

    assert_eq!(versions.len(), 2);
    let keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
    assert!(keys.contains(&"GREETING") && !keys.contains(&"SIGNATURE"), "{keys:?}");
    assert!(admin.env().refresh().await?.count > 0);
    assert!(!admin.env().catalog().await?.is_empty());

    let city = CityId::from("city_demo");
    let own = admin.env().of_city(&city);
    own.upsert("GROQ_API_KEY", "sk-of-the-city").await?;
    let keys_of_city = own.list().await?;
    own.remove("GROQ_API_KEY").await?;

    assert_eq!(keys_of_city.len(), 1);
    assert_eq!(keys_of_city[0].city_id.as_deref(), Some("city_demo"));
    assert!(own.list().await?.is_empty());
    Ok(())
}

async fn wallets(admin: &AdminCity) -> Result<()> {
    let gift = Mutation::new("user_123", Amount::credits("12.5".parse()?)).note("welcome");
    let wallet = admin.balance().add(gift).await?;
    let charge = Charge::new("user_123", Amount::microcredits(250_000)).reference("order_7");
    admin.balance().charge(charge).await?;
    let history = admin.balance().list_history(BalanceQuery::new().user_id("user_123")).await?;
    for entry in history.items {
        println!("{} {} credits, then {}", entry.kind, entry.amount, entry.balance_after);
    }

    assert!(wallet.balance.get() >= 12_500_000, "{}", wallet.balance);
    let wallets = admin.balance().list_users(BalanceQuery::new()).await?.items;
    assert_eq!(wallets[0].balance.get(), wallet.balance.get() - 250_000);
    let taken = Mutation::new("user_123", Amount::microcredits(1)).idempotency_key("once_1");
    let first = admin.balance().sub(taken.clone()).await?;
    assert_eq!(admin.balance().sub(taken).await?.balance, first.balance, "taken once");
    assert_eq!(admin.balance().list_charges(BalanceQuery::new()).await?.items.len(), 1);
    assert!(admin.balance().list_topups(BalanceQuery::new()).await?.items.is_empty());

    let code = RedeemCreate::new(Amount::credits(Credits::from(300))).note("campaign gift");
    let issued = admin.balance().redeem_codes().create(code).await?;
    println!("give away {}", issued.code.expose_secret());
    let unused = RedeemDisable::new(issued.record.redeem_code_id);
    admin.balance().redeem_codes().disable(unused).await?;

    assert_eq!(issued.record.amount.credits(), "300");
    let codes = admin.balance().redeem_codes().list(BalanceQuery::new()).await?.items;
    assert_eq!(codes.len(), 1);
    Ok(())
}

async fn catalogs(admin: &AdminCity) -> Result<()> {
    assert!(admin.list_services().await?.iter().any(|service| service.id == "accounts"));
    assert!(admin.list_models().await?.iter().any(|model| model.id.as_ref() == "echo"));
    assert!(admin.instruction().await?.contains("/v1/"));
    Ok(())
}

async fn services(admin: &AdminCity) -> Result<()> {
    #[derive(Deserialize)]
    struct Users {
        items: Vec<Value>,
    }
    let accounts = admin.service("accounts")?;
    let users: Users = accounts.get("users", json!({ "limit": 50 })).await?;
    println!("{} users have registered", users.items.len());

    let sessions: Value = accounts.get("sessions", ()).await?;
    assert!(sessions["items"].is_array());
    let payments: Value = admin.service("payment")?.get("payments", ()).await?;
    assert!(payments["items"].is_array());
    Ok(())
}

async fn models(user: &UserCity) -> Result<()> {
    let answer = user.ai().text(TextInput::prompt("What is a Federation?")).await?;

    let mut chunks = user.ai().stream(TextInput::prompt("Tell me more.")).await?;
    while let Some(chunk) = chunks.next().await {
        if let Some(text) = chunk?.text_delta() {
            print!("{text}");
        }
    }

    assert!(!answer.parts.is_empty());
    let whole = user.ai().stream(TextInput::prompt("Hi")).await?.collect_message().await?;
    assert!(!whole.parts.is_empty());

    let catalog = user.ai().list_models().await?;
    if let Some(model) = catalog.for_modality("text").next() {
        let handle = user.ai().model(model);
        handle.text(TextInput::prompt("Hi")).await?;
    }

    assert!(catalog.get("echo").is_some());
    Ok(())
}

async fn sign_in(federation_url: &str) -> Result<()> {
    #[derive(Deserialize)]
    struct Session {
        user_token: String,
    }
    let guest = City::user(federation_url).city_id("city_demo").build()?;
    let person = json!({ "email": "ada@example.com", "password": "correct horse battery" });
    let accounts = guest.service("accounts")?;
    let session: Session = accounts.action("register").invoke(person).await?;
    let user = guest.with_token(session.user_token);
    let me: Value = user.service("accounts")?.get("me", ()).await?;

    assert!(me.to_string().contains("ada@example.com"), "{me}");
    let refused = guest.service("accounts")?.get::<Value>("me", ()).await.unwrap_err();
    assert!(refused.is_unauthorized(), "{refused}");
    Ok(())
}

async fn payment(user: &UserCity) -> Result<()> {
    for method in user.payment().methods().await? {
        println!("{}: {}", method.label, if method.enabled { "ready" } else { "not set up" });
    }
    let stripe = user.payment().method("stripe")?;
    match stripe.invoke::<Value>(json!({ "topup_id": "topup_1" })).await {
        Err(Error::PaymentDisabled { reason, .. }) => println!("not now: {reason:?}"),
        Err(error) => return Err(error),
        Ok(checkout) => println!("go to {}", checkout["checkout_url"]),
    }
    Ok(())
}

async fn errors(admin: &AdminCity) {
    match admin.cities().pause(&"city_gone".into()).await {
        Ok(_) => {}
        Err(error) if error.is_not_found() => println!("there is no such city"),
        Err(error) if error.code() == Some("rate_limited") => println!("later"),
        Err(error) => eprintln!("{error}"),
    }

    let refused = admin.cities().pause(&"city_gone".into()).await.unwrap_err();
    assert_eq!((refused.status(), refused.code()), (Some(404), Some("city_not_found")));
}

fn patience(federation_url: &str, key: &str) -> Result<()> {
    let hasty = City::admin(federation_url)
        .admin_secret_key(key)
        .timeout(Duration::from_secs(5))
        .retry(RetryPolicy::none())
        .build()?;

    assert!(format!("{hasty:?}").contains("REDACTED"), "{hasty:?}");
    Ok(())
}

/// Answers every request with an empty list.
struct Empty;

impl Transport for Empty {
    fn send(&self, request: Request) -> SendFuture<'_> {
        assert!(request.headers.contains_key(header::AUTHORIZATION));
        let body = stream::iter([Ok("{\"items\":[]}".into())]);
        let answer = Response::new(StatusCode::OK, header::HeaderMap::new(), Box::pin(body));
        Box::pin(async move { Ok(answer) })
    }
}

async fn tests_of_yours() -> Result<()> {
    let admin = City::admin("https://fed.example.com").admin_secret_key("any").transport(Empty);
    assert!(admin.build()?.cities().list().await?.is_empty());
    Ok(())
}
