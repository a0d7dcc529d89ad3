//! Files of the directory, and links to them.

use std::time::Duration;

use downcity_core::Body;
use downcity_testkit::{Client, Engine, TestApp, TestReply, block_on};
use http::Method;
use serde_json::json;

use super::{Maker, World, service};

const DAY: u64 = 24 * 3600;

/// GET with one header.
async fn with(client: Client, name: &'static str, value: &str, url: &str) -> TestReply {
    client.with_header(name, value).get(url).await
}

#[test]
fn a_link_gives_the_file_as_it_was_stored() {
    block_on(async {
        let world = World::new().await;
        let (stored, url) = world.put("abc", "image/png", Some("a/cät.png")).await;
        let name = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad.png";
        assert_eq!(
            stored,
            json!({"key": name, "media_type": "image/png", "size": 3, "filename": "cät.png"})
        );
        assert!(url.starts_with(&format!("/v1/ai/files/{name}?expires=")), "{url}");
        let answer = world.app.guest().get(&url).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "abc"));
        for (header, value) in [
            ("content-type", "image/png"),
            ("content-length", "3"),
            ("content-disposition", "inline; filename=\"c_t.png\"; filename*=UTF-8''c%C3%A4t.png"),
            ("cache-control", "private, max-age=604800, immutable"),
            ("x-content-type-options", "nosniff"),
            ("accept-ranges", "bytes"),
            ("cross-origin-resource-policy", "cross-origin"),
        ] {
            assert_eq!(answer.header(header), Some(value), "{header}");
        }
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && policy.ends_with("; sandbox"));
        world.app.clock().advance(Duration::from_secs(DAY));
        let later = world.app.guest().get(&url).await;
        assert_eq!(later.header("cache-control"), Some("private, max-age=518400, immutable"));
    });
}

#[test]
fn the_same_content_is_stored_once() {
    block_on(async {
        let world = World::new().await;
        let (first, _) = world.put("abc", "image/png", Some("one.png")).await;
        let (second, _) = world.put("abc", "IMAGE/PNG; q=1", Some("two.png")).await;
        assert_eq!(first["key"], second["key"]);
        assert_eq!(world.files().len(), 1);
        world.put("abd", "image/png", None).await;
        assert_eq!(world.files().len(), 2);
    });
}

#[test]
fn documents_are_saved_not_shown() {
    block_on(async {
        let world = World::new().await;
        for (media_type, served, kind) in [
            ("text/html", "application/octet-stream", "attachment"),
            ("application/pdf", "application/pdf", "attachment"),
            ("text/plain", "text/plain; charset=utf-8", "attachment"),
            ("image/svg+xml", "image/svg+xml", "inline"),
        ] {
            let (_, url) = world.put("<script>", media_type, Some("x.html")).await;
            let answer = world.app.guest().get(&url).await;
            assert_eq!(answer.header("content-type"), Some(served));
            assert!(
                answer.header("content-disposition").unwrap().starts_with(kind),
                "{media_type}"
            );
            assert!(answer.header("content-security-policy").unwrap().contains("sandbox"));
        }
    });
}

#[test]
fn a_link_that_was_changed_is_refused() {
    block_on(async {
        let world = World::new().await;
        let (_, url) = world.put("abc", "image/png", Some("a.png")).await;
        let (other, _) = world.put("abd", "image/png", Some("a.png")).await;
        let guest = world.app.guest();
        let path = url.split('?').next().unwrap();
        let key = path.rsplit('/').next().unwrap();
        let (bare, signature) = url.split_once("&signature=").unwrap();
        for changed in [
            path.to_owned(),
            bare.to_owned(),
            format!("{bare}&signature="),
            format!("{bare}&signature=%FF"),
            format!("{bare}&signature={}", &signature[1..]),
            format!("{bare}&signature={}", signature.to_ascii_lowercase()),
            url.replace("expires=1", "expires=9"),
            url.replace("name=a.png", "name=b.png"),
            url.replace("&name=a.png", ""),
            url.replace(key, other["key"].as_str().unwrap()),
        ] {
            let refused = guest.get(&changed).await.expect_error(403, "forbidden");
            assert!(
                refused["error"].as_str().unwrap().contains("was not signed here"),
                "{changed}"
            );
        }
        // No credential makes up for it.
        world.app.admin().get(bare).await.expect_error(403, "forbidden");
        assert_eq!(guest.get(&url).await.status, 200);
    });
}

#[test]
fn a_link_ends() {
    block_on(async {
        let ttl = json!({"url_ttl_ms": 60_000});
        let world = World::with(ttl, |builder| builder).await;
        let (stored, url) = world.put("abc", "image/png", None).await;
        let guest = world.app.guest();
        world.app.clock().advance(Duration::from_secs(59));
        assert_eq!(guest.get(&url).await.status, 200);
        world.app.clock().advance(Duration::from_secs(1));
        let refused = guest.get(&url).await.expect_error(403, "forbidden");
        assert!(refused["error"].as_str().unwrap().contains("has expired"), "{refused}");
        // The file outlives its links.
        let again = guest.post("/v1/maker/link", json!({"stored": stored})).await.expect(200);
        assert_eq!(guest.get(again["url"].as_str().unwrap()).await.status, 200);
    });
}

#[test]
fn what_is_no_key_is_nowhere() {
    block_on(async {
        let world = World::new().await;
        let (_, url) = world.put("abc", "image/png", None).await;
        std::fs::write(world.folder.path().join("secret"), "secret").unwrap();
        let key = url.split('?').next().unwrap().rsplit('/').next().unwrap();
        let guest = world.app.guest();
        for name in [
            "..%2F..%2Fsecret",
            "..%2Fsecret",
            "%2e%2e%2f%2e%2e%2fsecret",
            "%2Fetc%2Fpasswd",
            "secret",
            "incoming",
            &format!("{key}%00"),
            &format!("{key}%2F..%2F{key}"),
            &key.replace(".png", ".html"),
        ] {
            guest.get(&url.replace(key, name)).await.expect_error(404, "not_found");
        }
        let path = world.files().into_iter().find(|path| path.ends_with(key)).unwrap();
        std::fs::remove_file(path).unwrap();
        guest.get(&url).await.expect_error(404, "not_found");
    });
}

#[test]
fn parts_of_files_are_served() {
    block_on(async {
        let world = World::new().await;
        let (_, url) = world.put("0123456789", "video/mp4", None).await;
        let guest = || world.app.guest();
        for (range, part, content_range) in [
            ("bytes=0-3", "0123", "bytes 0-3/10"),
            ("bytes=4-", "456789", "bytes 4-9/10"),
            ("bytes=-2", "89", "bytes 8-9/10"),
            ("bytes=8-100", "89", "bytes 8-9/10"),
        ] {
            let answer = with(guest(), "range", range, &url).await;
            assert_eq!((answer.status.as_u16(), answer.text().as_str()), (206, part), "{range}");
            assert_eq!(answer.header("content-range"), Some(content_range));
            assert_eq!(answer.header("content-length").unwrap(), part.len().to_string());
        }
        for range in ["bytes=0-1,4-5", "items=0-1", "bytes=5-4"] {
            let answer = with(guest(), "range", range, &url).await;
            assert_eq!((answer.status.as_u16(), answer.text().len()), (200, 10), "{range}");
        }
        let beyond = with(guest(), "range", "bytes=10-", &url).await;
        beyond.expect_error(416, "invalid_input");
        assert_eq!(beyond.header("content-range"), Some("bytes */10"));
        let etag = guest().get(&url).await.header("etag").unwrap().to_owned();
        for (tag, status) in [(etag.as_str(), 206), ("\"other\"", 200)] {
            let client = guest().with_header("if-range", tag);
            assert_eq!(with(client, "range", "bytes=0-3", &url).await.status, status, "{tag}");
        }
    });
}

#[test]
fn what_a_client_has_is_not_sent_again() {
    block_on(async {
        let world = World::new().await;
        let (_, url) = world.put("abc", "image/png", None).await;
        let etag = world.app.guest().get(&url).await.header("etag").unwrap().to_owned();
        for known in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
            let answer = with(world.app.guest(), "if-none-match", &known, &url).await;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0), "{known}");
            assert_eq!(answer.header("etag"), Some(etag.as_str()));
        }
        assert_eq!(with(world.app.guest(), "if-none-match", "\"x\"", &url).await.status, 200);
    });
}

#[test]
fn head_tells_what_get_would() {
    block_on(async {
        let world = World::new().await;
        let (_, url) = world.put("abc", "image/png", None).await;
        let answer = world.app.guest().send(Method::HEAD, &url, Body::Empty).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
        assert_eq!(answer.header("content-length"), Some("3"));
        assert_eq!(answer.header("content-type"), Some("image/png"));
        let path = url.split('?').next().unwrap();
        let refused = world.app.guest().send(Method::HEAD, path, Body::Empty).await;
        assert_eq!(refused.status, 403);
    });
}

#[test]
fn a_large_file_comes_in_pieces_and_whole() {
    block_on(async {
        let world = World::new().await;
        let text: String = (0..60_000).map(|number| format!("{number:05},")).collect();
        let (stored, url) = world.put(&text, "audio/wav", None).await;
        assert_eq!(stored["size"], text.len());
        let answer = world.app.guest().open(Method::GET, &url, Body::Empty).await;
        assert!(answer.body().is_stream());
        assert_eq!(world.app.guest().get(&url).await.text(), text);
        let part = with(world.app.guest(), "range", "bytes=100000-299999", &url).await;
        assert_eq!(part.text(), text[100_000..300_000]);
    });
}

#[test]
fn a_file_beyond_the_limit_is_not_stored() {
    block_on(async {
        let world = World::with(json!({"max_bytes": 3}), |builder| builder).await;
        world.put("abc", "image/png", None).await;
        let input = json!({"text": "abcd", "media_type": "image/png"});
        let refused = world.app.guest().post("/v1/maker/put", input).await;
        refused.expect_error(413, "payload_too_large");
        assert_eq!(world.files().len(), 1);
    });
}

#[test]
fn links_begin_with_the_address_of_the_federation() {
    block_on(async {
        let public = "https://fed.example.com/";
        let world = World::with(json!({}), |builder| {
            builder.settings(|settings| settings.public_url = Some(public.to_owned()))
        })
        .await;
        let (_, url) = world.put("abc", "image/png", None).await;
        assert!(url.starts_with("https://fed.example.com/v1/ai/files/"), "{url}");
        let storage = world.ai.catalog().storage.clone();
        let owns = |url: &str| storage.owns(world.app.runtime(), url);
        let path = url.strip_prefix("https://fed.example.com").unwrap();
        assert!(owns(&url) && owns(path) && owns(path.split('?').next().unwrap()));
        for other in [
            url.replace("fed.example.com", "fed.example.com.evil.example"),
            url.replace("https:", "http:"),
            url.replace("/files/", "/models/"),
            url.replace(".png", ".exe"),
            format!("http://127.0.0.1:1{path}"),
            "https://fed.example.com/v1/ai/files/".to_owned(),
            "data:image/png;base64,AAAA".to_owned(),
        ] {
            assert!(!owns(&other), "{other}");
        }
    });
}

#[test]
fn a_call_to_this_machine_gets_whole_links() {
    block_on(async {
        let world = World::new().await;
        let local = world.app.guest().with_header("host", "localhost:43127");
        let input = json!({"text": "abc", "media_type": "image/png"});
        let answer = local.post("/v1/maker/put", input).await.expect(200);
        let url = answer["url"].as_str().unwrap();
        assert!(url.starts_with("http://localhost:43127/v1/ai/files/"), "{url}");
        assert!(world.ai.catalog().storage.owns(world.app.runtime(), url));
        assert_eq!(local.get(url).await.text(), "abc");
    });
}

#[test]
fn links_work_after_a_restart_and_on_other_nodes_of_the_database_alone() {
    block_on(async {
        let world = World::new().await;
        let (_, url) = world.put("abc", "image/png", None).await;
        let dir = json!({"dir": world.folder.path().join("files")});
        let node = service(dir.clone());
        let node = TestApp::builder(Engine::Sqlite).on_database_of(&world.app).builtin(node);
        assert_eq!(node.start().await.guest().get(&url).await.text(), "abc");
        let stranger = World::with(dir, |builder| builder.seed(2)).await;
        stranger.app.guest().get(&url).await.expect_error(403, "forbidden");
    });
}

#[test]
fn files_are_kept_beside_a_sqlite_database_unless_told_otherwise() {
    block_on(async {
        let ai = service(json!({}));
        let builder = TestApp::builder(Engine::Sqlite).builtin(ai.clone());
        let app = builder.service(Maker(ai.clone())).start().await;
        let input = json!({"text": "abc", "media_type": "image/png"});
        let answer = app.guest().post("/v1/maker/put", input).await.expect(200);
        assert_eq!(app.guest().get(answer["url"].as_str().unwrap()).await.text(), "abc");
        let url = app.database_url();
        let dir = url.sqlite_path().unwrap().with_file_name("files");
        assert!(dir.join("ba").is_dir());
    });
}

#[test]
fn with_postgresql_a_directory_has_to_be_named() {
    block_on(async {
        let ai = service(json!({}));
        let builder = TestApp::builder(Engine::Postgres).builtin(ai.clone());
        let app = builder.service(Maker(ai.clone())).start().await;
        let input = json!({"text": "abc", "media_type": "image/png"});
        let refused = app.admin().post("/v1/maker/put", input).await;
        let refused = refused.expect_error(500, "missing_config");
        assert!(refused.to_string().contains("no place for files"), "{refused}");
    });
}
