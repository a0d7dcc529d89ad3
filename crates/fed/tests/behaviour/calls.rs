//! The calls of scenarios, made with the client.

use downcity::{
    AdminCity, Amount, AsrInput, BalanceQuery, City, CityCreate, CityId, Error, ExposeSecret as _,
    ImageInput, IssuedToken, Mutation, PollOptions, RedeemCreate, RedeemDisable, Result, TextInput,
    TokenRequest, Ttl, TtsInput, UserCity,
};
use futures_util::StreamExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::script::{Kept, Role, Step};
use crate::server::ADMIN_KEY;

/// Who makes a call.
pub(crate) enum Caller {
    Admin(AdminCity),
    User(UserCity),
}

impl Caller {
    pub(crate) fn new(url: &str, role: Role, kept: &Kept) -> Self {
        let admin = |key: &str| City::admin(url).admin_secret_key(key).build().unwrap();
        let tenant = |name: &str| kept.get(name)?["tenant_id"].as_str();
        let guest = || match tenant("token").or_else(|| tenant("tenant")) {
            Some(id) => City::user(url).city_id(id).build().unwrap(),
            None => City::user(url).build().unwrap(),
        };
        match role {
            Role::Admin => Self::Admin(admin(ADMIN_KEY)),
            Role::Stranger => Self::Admin(admin("a key that is wrong")),
            Role::Guest => Self::User(guest()),
            Role::User => {
                let token = kept.get("token").expect("a token is kept")["user_token"].as_str();
                Self::User(guest().with_token(token.unwrap()))
            }
        }
    }

    fn admin(&self) -> &AdminCity {
        match self {
            Self::Admin(admin) => admin,
            Self::User(_) => panic!("the call is for admins"),
        }
    }

    fn user(&self) -> &UserCity {
        match self {
            Self::User(user) => user,
            Self::Admin(_) => panic!("the call is for users"),
        }
    }

    /// Makes the call of a step.
    pub(crate) async fn call(&self, step: &Step, args: Map<String, Value>) -> Result<Value> {
        let mut args = Args { call: step.call.clone(), fields: args, key: step.key.clone() };
        let answer = match step.call.split_once('.').unwrap_or((step.call.as_str(), "")) {
            ("tenants", action) => self.tenants(action, &mut args).await,
            ("tokens", "apply") => self.apply(&mut args).await,
            ("env", action) => self.env(action, &mut args).await,
            ("balance", action) => self.balance(action, &mut args).await,
            ("redeem_codes", action) => self.redeem_codes(action, &mut args).await,
            ("ai", action) => self.ai(action, &mut args).await,
            ("payment", action) => self.payment(action, &mut args).await,
            ("service", action) => self.service(action, &mut args).await,
            ("services", "list") => match self {
                Self::Admin(admin) => answered(admin.list_services().await),
                Self::User(user) => answered(user.list_services().await),
            },
            ("models", "list") => match self {
                Self::Admin(admin) => answered(admin.list_models().await),
                Self::User(user) => {
                    user.ai().list_models().await.map(|catalog| json!(catalog.all()))
                }
            },
            ("instruction", "") => self.admin().instruction().await.map(Value::String),
            _ => args.unknown(),
        };
        args.done();
        answer
    }

    async fn tenants(&self, action: &str, args: &mut Args) -> Result<Value> {
        let cities = self.admin().cities();
        match action {
            "list" => answered(cities.list().await),
            "create" => {
                let mut city = CityCreate::new(args.text("name"));
                if let Some(id) = args.optional::<String>("tenant_id") {
                    city = city.city_id(id);
                }
                answered(cities.create(city).await)
            }
            "pause" => answered(cities.pause(&args.tenant()).await),
            "activate" => answered(cities.activate(&args.tenant()).await),
            "remove" => answered(cities.remove(&args.tenant()).await),
            _ => args.unknown(),
        }
    }

    async fn apply(&self, args: &mut Args) -> Result<Value> {
        let tenant = args.tenant();
        let mut request = TokenRequest::new(args.text("user_id"));
        if let Some(metadata) = args.optional::<Map<String, Value>>("metadata") {
            request = request.metadata(metadata);
        }
        match args.optional::<Value>("ttl") {
            Some(Value::String(text)) => request = request.ttl(text),
            Some(seconds) => request = request.ttl(Ttl::Seconds(seconds.as_u64().unwrap())),
            None => {}
        }
        let token = self.admin().cities().tokens().apply(&tenant, request).await?;
        let IssuedToken { user_token, city_id, user_id, expires_at, .. } = token;
        Ok(json!({
            "user_token": user_token.expose_secret(), "city_id": city_id, "user_id": user_id,
            "expires_at": expires_at,
        }))
    }

    async fn env(&self, action: &str, args: &mut Args) -> Result<Value> {
        let tenant = args.optional::<String>("tenant_id").map(CityId::from);
        let env = self.admin().env();
        let env = tenant.as_ref().map_or(env, |tenant| env.of_city(tenant));
        match action {
            "list" => answered(env.list().await),
            "catalog" => answered(env.catalog().await),
            "upsert" => answered(env.upsert(args.text("key"), args.text("value")).await),
            "remove" => answered(env.remove(args.text("key")).await),
            "import" => answered(env.import(args.text("raw")).await),
            "refresh" => answered(env.refresh().await),
            _ => args.unknown(),
        }
    }

    async fn balance(&self, action: &str, args: &mut Args) -> Result<Value> {
        let money = self.admin().balance();
        match action {
            "add" => answered(money.add(args.mutation()).await),
            "sub" => answered(money.sub(args.mutation()).await),
            "users" => answered(money.list_users(args.query()).await.map(|page| page.items)),
            "history" => answered(money.list_history(args.query()).await.map(|page| page.items)),
            _ => args.unknown(),
        }
    }

    async fn redeem_codes(&self, action: &str, args: &mut Args) -> Result<Value> {
        let codes = self.admin().balance().redeem_codes();
        match action {
            "list" => answered(codes.list(args.query()).await.map(|page| page.items)),
            "disable" => {
                answered(codes.disable(RedeemDisable::new(args.text("redeem_code_id"))).await)
            }
            "create" => {
                let mut input = RedeemCreate::new(args.amount());
                if let Some(note) = args.optional::<String>("note") {
                    input = input.note(note);
                }
                let made = codes.create(input).await?;
                let mut record = json!(made.record);
                record["code"] = json!(made.code.expose_secret());
                Ok(record)
            }
            _ => args.unknown(),
        }
    }

    async fn ai(&self, action: &str, args: &mut Args) -> Result<Value> {
        let ai = self.user().ai();
        match action {
            "text" => answered(ai.text(args.text_input()).await),
            "tts" => {
                let input = TtsInput::new(args.text("text"));
                let input = args.rest().fold(input, |input, (key, value)| input.extra(key, value));
                answered(ai.tts(input).await)
            }
            "asr" => {
                let input = AsrInput::default();
                let input = args.rest().fold(input, |input, (key, value)| input.extra(key, value));
                answered(ai.asr(input).await)
            }
            "image" => {
                let input = ImageInput::new();
                let input = args.rest().fold(input, |input, (key, value)| input.extra(key, value));
                answered(ai.image(input, PollOptions::default()).await)
            }
            "stream" => {
                let mut chunks = ai.stream(args.text_input()).await?;
                let (mut text, mut types) = (String::new(), Vec::new());
                while let Some(chunk) = chunks.next().await {
                    let chunk = chunk?;
                    text.push_str(chunk.text_delta().unwrap_or_default());
                    types.push(
                        json!(chunk.known().expect("a chunk of a known type"))["type"].take(),
                    );
                }
                Ok(json!({ "text": text, "types": types }))
            }
            _ => args.unknown(),
        }
    }

    async fn payment(&self, action: &str, args: &mut Args) -> Result<Value> {
        let payment = self.user().payment();
        match action {
            "methods" => answered(payment.methods().await),
            "invoke" => {
                let input = args.optional::<Value>("input");
                payment.invoke(args.text("method_id"), input).await
            }
            _ => args.unknown(),
        }
    }

    async fn service(&self, action: &str, args: &mut Args) -> Result<Value> {
        let name = args.text("service");
        let service = match self {
            Self::Admin(admin) => admin.service(name)?,
            Self::User(user) => user.service(name)?,
        };
        let path = args.text("action");
        match action {
            "get" => service.get(&path, args.optional::<Value>("query")).await,
            "invoke" => {
                let mut action = service.action(&path);
                if let Some(key) = args.key.take() {
                    action = action.idempotency_key(key);
                }
                action.invoke(args.optional::<Value>("input")).await
            }
            _ => args.unknown(),
        }
    }
}

fn answered(answer: Result<impl Serialize>) -> Result<Value> {
    answer.map(|answer| json!(answer))
}

/// The arguments of a call; what is left over at the end fails the test.
struct Args {
    call: String,
    fields: Map<String, Value>,
    key: Option<String>,
}

impl Args {
    fn unknown(&self) -> ! {
        panic!("no call has the name `{}`", self.call)
    }

    fn done(&self) {
        assert!(self.fields.is_empty(), "{}: nobody reads {:?}", self.call, self.fields);
        assert!(self.key.is_none(), "{} takes no key", self.call);
    }

    fn optional<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let value = self.fields.remove(name)?;
        Some(serde_json::from_value(value).unwrap_or_else(|error| panic!("{name}: {error}")))
    }

    fn text(&mut self, name: &str) -> String {
        self.optional(name).unwrap_or_else(|| panic!("{} needs `{name}`", self.call))
    }

    fn tenant(&mut self) -> CityId {
        self.text("tenant_id").into()
    }

    /// An amount of credits.
    fn amount(&mut self) -> Amount {
        let amount: Value = self.optional("amount").expect("an amount");
        Amount::credits(amount.to_string().parse().unwrap())
    }

    fn mutation(&mut self) -> Mutation {
        let mut input = Mutation::new(self.text("user_id"), self.amount());
        if let Some(note) = self.optional::<String>("note") {
            input = input.note(note);
        }
        if let Some(key) = self.key.take() {
            input = input.idempotency_key(key);
        }
        input
    }

    fn query(&mut self) -> BalanceQuery {
        let mut query = BalanceQuery::new();
        if let Some(user) = self.optional::<String>("user_id") {
            query = query.user_id(user);
        }
        if let Some(limit) = self.optional("limit") {
            query = query.limit(limit);
        }
        query
    }

    fn text_input(&mut self) -> TextInput {
        let mut input = match self.optional::<String>("prompt") {
            Some(prompt) => TextInput::prompt(prompt),
            None => TextInput::new(),
        };
        if let Some(model) = self.optional::<String>("model") {
            input = input.model(model);
        }
        if let Some(messages) = self.optional("messages") {
            input = input.messages(messages);
        }
        self.rest().fold(input, |input, (key, value)| input.extra(key, value))
    }

    /// What nobody has read yet.
    fn rest(&mut self) -> impl Iterator<Item = (String, Value)> + use<> {
        std::mem::take(&mut self.fields).into_iter()
    }
}

/// An error as scenarios describe it.
pub(crate) fn described(error: &Error) -> Value {
    match error {
        Error::Status { status, body, code, .. } => {
            json!({ "status": status, "code": code.as_deref().map(neutral), "body": body })
        }
        Error::Config { .. }
        | Error::MissingCityId
        | Error::MissingUserToken
        | Error::PaymentUnavailable { .. }
        | Error::PaymentDisabled { .. } => json!({ "local": true }),
        other => json!({ "other": other.to_string() }),
    }
}

/// Cities are tenants in scenarios, in codes too.
fn neutral(code: &str) -> String {
    match code {
        "city_paused" | "city_not_found" | "city_exists" | "city_mismatch" => {
            code.replacen("city", "tenant", 1)
        }
        _ => code.to_owned(),
    }
}

/// An answer with `tenant_id` for `city_id`, at the top and in the items of a list.
pub(crate) fn with_tenant(mut answer: Value) -> Value {
    if let Value::Array(items) = &mut answer {
        items.iter_mut().for_each(rename);
    } else {
        rename(&mut answer);
    }
    answer
}

fn rename(record: &mut Value) {
    if let Value::Object(fields) = record
        && let Some(id) = fields.remove("city_id")
    {
        fields.insert("tenant_id".to_owned(), id);
    }
}
