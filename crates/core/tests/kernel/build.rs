//! What a registry refuses to be built from.

use std::sync::Arc;

use downcity_core::{
    ADMIN, Alias, Cx, Dialect, Hook, NoInput, RawRequest, Registry, RegistryError, Reply, Result,
    Service, ServiceDef, USER,
};
use http::Method;

/// A service that declares what a test says.
struct Fake {
    id: &'static str,
    define: fn(&Arc<Fake>, &mut ServiceDef),
}

impl Service for Fake {
    fn id(&self) -> &'static str {
        self.id
    }

    fn name(&self) -> &'static str {
        "Fake"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        (self.define)(&self, s);
    }
}

impl Fake {
    async fn act(self: Arc<Self>, _: Cx, _: NoInput) -> Result<NoOutput> {
        Ok(NoOutput {})
    }

    async fn raw(self: Arc<Self>, _: Cx, _: RawRequest) -> Result<Reply> {
        Ok(Reply::text(""))
    }
}

#[derive(serde::Serialize, schemars::JsonSchema)]
struct NoOutput {}

struct Nothing;

impl Hook for Nothing {}

fn error_of(id: &'static str, define: fn(&Arc<Fake>, &mut ServiceDef)) -> RegistryError {
    let built = Registry::builder().service(Arc::new(Fake { id, define })).build();
    built.err().expect("the registry refuses this service")
}

fn good(own: &Arc<Fake>, s: &mut ServiceDef) {
    s.get("act", USER, own, Fake::act).summary("Act.");
}

#[test]
fn ids_are_plain_unique_and_not_those_of_the_federation() {
    for id in ["", "Notes", "a b", "a/b", "nötes"] {
        assert_eq!(error_of(id, good), RegistryError::BadId(id.to_owned()));
    }
    for id in ["env", "ai", "federation", "metrics", "payment.stripe"] {
        assert_eq!(error_of(id, good), RegistryError::ReservedId(id.to_owned()));
    }
    let twice = Registry::builder()
        .service(Arc::new(Fake { id: "notes", define: good }))
        .service(Arc::new(Fake { id: "notes", define: good }))
        .build();
    assert_eq!(twice.err(), Some(RegistryError::DuplicateService("notes".to_owned())));
}

#[test]
fn an_action_has_a_summary_and_stays_in_its_space() {
    let error = error_of("notes", |own, s| {
        s.get("act", USER, own, Fake::act);
    });
    assert_eq!(error, RegistryError::MissingSummary("GET /v1/notes/act".to_owned()));
    let error = error_of("notes", |own, s| {
        s.get("/v1/other/act", USER, own, Fake::act).summary("Act.");
    });
    assert_eq!(
        error,
        RegistryError::ForeignPath("GET /v1/other/act".to_owned(), "notes".to_owned())
    );
}

#[test]
fn routes_are_unique_well_formed_and_of_a_known_method() {
    let error = error_of("notes", |own, s| {
        s.get("act", USER, own, Fake::act).summary("Act.");
        s.get("/v1/notes/act", ADMIN, own, Fake::act).summary("Act again.");
    });
    assert_eq!(error, RegistryError::DuplicateRoute("GET /v1/notes/act".to_owned()));
    let error = error_of("notes", |own, s| {
        s.action(None, "act", USER, own, Fake::act).summary("Act.");
        s.action(None, "act", USER, own, Fake::act).summary("Act again.");
    });
    assert_eq!(error, RegistryError::DuplicateRoute("* /v1/notes/act".to_owned()));
    for path in ["{id", "{*rest}/more", "{a}{b}"] {
        let built = Registry::builder().service(Arc::new(BadPath(path))).build();
        let error = built.err().expect("the path is refused");
        assert!(matches!(&error, RegistryError::BadPath(at, _) if at.ends_with(path)), "{error}");
    }
    let error = error_of("notes", |own, s| {
        s.get("{id}", USER, own, Fake::act).summary("Act.");
        s.get("{name}", USER, own, Fake::act).summary("Act again.");
    });
    assert!(matches!(error, RegistryError::BadPath(..)), "{error}");
    for method in [Method::HEAD, Method::TRACE, Method::CONNECT] {
        let built = Registry::builder().service(Arc::new(BadMethod(method.clone()))).build();
        let expected = RegistryError::BadMethod(format!("{method} /v1/notes/act"));
        assert_eq!(built.err(), Some(expected));
    }
}

#[test]
fn raw_actions_have_no_hooks() {
    let error = error_of("notes", |own, s| {
        s.post("raw", USER, own, Fake::raw).summary("Take it raw.").hook(Nothing);
    });
    assert_eq!(error, RegistryError::HooksOnRaw("POST /v1/notes/raw".to_owned()));
}

#[test]
fn every_refusal_is_a_sentence_that_names_the_culprit() {
    let error = error_of("env", good);
    assert_eq!(error.to_string(), "service id \"env\" belongs to the Federation; choose another");
}

struct BadPath(&'static str);

impl Service for BadPath {
    fn id(&self) -> &'static str {
        "notes"
    }

    fn name(&self) -> &'static str {
        "Notes"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        let own = Arc::new(Fake { id: "notes", define: good });
        s.get(self.0, USER, &own, Fake::act).summary("Act.");
    }
}

struct BadMethod(Method);

impl Service for BadMethod {
    fn id(&self) -> &'static str {
        "notes"
    }

    fn name(&self) -> &'static str {
        "Notes"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        let own = Arc::new(Fake { id: "notes", define: good });
        s.action(Some(self.0.clone()), "act", USER, &own, Fake::act).summary("Act.");
    }
}

#[test]
fn an_alias_names_an_action_and_takes_no_ones_route() {
    let alias = |method, path, target| Alias {
        method,
        path,
        target,
        dialect: Some(Dialect::Gate),
        only_stated: false,
    };
    let build = |aliases: &[Alias]| {
        let own = Arc::new(Fake { id: "notes", define: good });
        Registry::builder().service(own).aliases(aliases.iter().copied()).build().err()
    };
    let old = alias(&Method::GET, "/v1/old", "/v1/notes/act");
    assert_eq!(build(&[old]), None);
    for (method, target) in [(&Method::GET, "/v1/notes/nothing"), (&Method::POST, "/v1/notes/act")]
    {
        assert_eq!(
            build(&[alias(method, "/v1/old", target)]),
            Some(RegistryError::AliasOfNothing(
                format!("{method} /v1/old"),
                format!("{method} {target}")
            ))
        );
    }
    // An alias of an alias is none: the table says what a route is, in one step.
    let second = alias(&Method::GET, "/v1/older", "/v1/old");
    assert!(matches!(build(&[old, second]), Some(RegistryError::AliasOfNothing(..))));
    let duplicate = |path: &str| Some(RegistryError::DuplicateRoute(format!("GET {path}")));
    assert_eq!(build(&[old, old]), duplicate("/v1/old"));
    let taken = alias(&Method::GET, "/v1/cities/list", "/v1/notes/act");
    assert_eq!(build(&[taken]), duplicate("/v1/cities/list"));
    // Where it is there for one dialect alone, it may stand in the place of another action.
    let stated = Alias { only_stated: true, ..taken };
    assert_eq!(build(&[stated]), None);
    assert_eq!(build(&[stated, stated]), duplicate("/v1/cities/list"));
}
