//! The table of routes, and the page that shows it.

use std::collections::BTreeSet;

use downcity_core::{Alias, Dialect};
use downcity_db::Engine;
use downcity_testkit::block_on;
use http::Request;
use serde_json::Value;

use crate::world::{ADMIN, World};

const PAGE: &str = include_str!("../../../../docs/generations.md");

/// How the page shows a route.
fn row(alias: &Alias) -> String {
    let Alias { method, path, target, dialect, only_stated } = alias;
    let dialect = match dialect {
        None => "–".to_owned(),
        Some(dialect) if *only_stated => format!("{}, where stated", dialect.as_str()),
        Some(dialect) => dialect.as_str().to_owned(),
    };
    format!("| `{method} {path}` | `{target}` | {dialect} |")
}

#[test]
fn every_route_names_an_action_and_answers_as_that_does() {
    block_on(async {
        let world = World::start(Engine::Sqlite).await;
        let registry = world.federation.runtime().registry().clone();
        assert!(registry.aliases().len() > 20);
        for alias in registry.aliases() {
            let action = registry.actions().find(|action| {
                action.path() == alias.target && action.method() == Some(alias.method)
            });
            let action = action.unwrap_or_else(|| panic!("{} is no action", alias.target));
            let mounted = match alias.dialect {
                Some(dialect) if alias.only_stated => format!("/compat/{}", dialect.as_str()),
                _ => String::new(),
            };
            let route = format!("{} {mounted}{}", alias.method, alias.path);
            let guest = world.call("", "", &route, &Value::Null).await.status;
            if action.access().is_public() {
                assert!(![401, 403, 404, 405].contains(&guest), "{route}: {guest}");
            } else {
                assert_eq!(guest, 401, "{route}");
            }
            let other = if alias.method == http::Method::GET { "PUT" } else { "DELETE" };
            let route = format!("{other} {mounted}{}", alias.path);
            let answer = world.call(ADMIN, "", &route, &Value::Null).await;
            assert!([404, 405].contains(&answer.status), "{route}: {}", answer.status);
        }
    });
}

#[test]
fn the_page_shows_exactly_the_table() {
    block_on(async {
        let world = World::start(Engine::Sqlite).await;
        let registry = world.federation.runtime().registry().clone();
        let in_code: BTreeSet<String> = registry.aliases().iter().map(row).collect();
        let is_route = |line: &&str| line.starts_with("| `GET ") || line.starts_with("| `POST ");
        let on_page: BTreeSet<String> =
            PAGE.lines().filter(is_route).map(|line| line.trim().to_owned()).collect();
        let missing: Vec<_> = in_code.difference(&on_page).collect();
        let stale: Vec<_> = on_page.difference(&in_code).collect();
        assert!(
            missing.is_empty() && stale.is_empty(),
            "docs/generations.md lacks {missing:#?} and has in vain {stale:#?}"
        );
    });
}

#[test]
fn the_instruction_is_one_text_under_all_of_its_names() {
    block_on(async {
        let world = World::start(Engine::Sqlite).await;
        let text = world.get(ADMIN, "/v1/base/instruction").await;
        assert_eq!(text.status, 200);
        for name in ["federation", "city", "infra"] {
            let path = format!("/v1/{name}/instruction");
            let other = world.get(ADMIN, &path).await;
            assert_eq!((other.status, &other.text), (200, &text.text));
            assert_eq!(other.headers["content-type"], "text/plain; charset=utf-8");
            world.get("", &path).await.expect_error(401, "missing_credential");
        }
    });
}

#[test]
fn documents_show_the_routes_of_today_alone() {
    block_on(async {
        let world = World::start(Engine::Sqlite).await;
        let document = world.get("", "/openapi.json").await.expect(200);
        for alias in world.federation.runtime().registry().aliases() {
            if !alias.only_stated {
                assert!(document["paths"].get(alias.path).is_none(), "{}", alias.path);
            }
        }
    });
}

#[test]
fn every_dialect_has_a_name_of_its_own() {
    for dialect in Dialect::ALL {
        let same = |other: &&Dialect| {
            other.tenant_field() == dialect.tenant_field() || other.as_str() == dialect.as_str()
        };
        assert_eq!(Dialect::ALL.iter().filter(same).count(), 1);
        assert_eq!(dialect.tenant_field(), format!("{}_id", dialect.noun()));
    }
}

#[test]
fn limits_and_head_requests_follow_the_action() {
    block_on(async {
        let world = World::start(Engine::Sqlite).await;
        let answer = world.call(ADMIN, "", "HEAD /v1/studios/list", &Value::Null).await;
        assert_eq!(answer.status, 200);
        let request = Request::options("/v1/studios/list").body("".into()).unwrap();
        let answer = world.federation.handle(request).await;
        assert_eq!(answer.headers()["allow"], "GET, HEAD, OPTIONS");
    });
}
