//! A bucket, on a server that checks signatures by itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use downcity_core::hex::hex;
use downcity_testkit::{Answer, MockUpstream, Recorded, block_on};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::World;
use crate::upstream::Upstream as _;

const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The signature of a request (AWS Signature Version 4, in the query): the algorithm as its
/// documentation gives it, apart from what the storage uses.
fn signature(method: &str, target: &str, header: impl Fn(&str) -> String, region: &str) -> String {
    let (path, query) = target.split_once('?').unwrap();
    let mut parameters: Vec<&str> =
        query.split('&').filter(|pair| !pair.starts_with("X-Amz-Signature=")).collect();
    parameters.sort_unstable();
    let value = |name: &str| {
        let pair = parameters.iter().find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        percent_encoding::percent_decode_str(pair.unwrap()).decode_utf8().unwrap().into_owned()
    };
    let signed = value("X-Amz-SignedHeaders");
    let headers: String =
        signed.split(';').map(|name| format!("{name}:{}\n", header(name))).collect();
    let query = parameters.join("&");
    let canonical = format!("{method}\n{path}\n{query}\n{headers}\n{signed}\nUNSIGNED-PAYLOAD");
    let time = value("X-Amz-Date");
    let scope = format!("{}/{region}/s3/aws4_request", &time[..8]);
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
        hex(&Sha256::digest(canonical.as_bytes()))
    );
    let day = mac(format!("AWS4{SECRET}").as_bytes(), &time[..8]);
    let key = mac(&mac(&mac(&day, region), "s3"), "aws4_request");
    hex(&mac(&key, &to_sign))
}

#[test]
fn the_check_agrees_with_the_example_of_aws() {
    // "Authenticating Requests: Using Query Parameters" of the documentation of Amazon S3.
    let target = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host";
    let host = |_: &str| "examplebucket.s3.amazonaws.com".to_owned();
    assert_eq!(
        signature("GET", target, host, "us-east-1"),
        "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    );
}

type Objects = Arc<Mutex<BTreeMap<String, (String, Bytes)>>>;

/// Stores and gives objects to whoever signs.
fn answer(request: &Recorded, objects: &Objects) -> Answer {
    let (method, target) = request.target.split_once(' ').unwrap();
    let header = |name: &str| request.headers[name].to_str().unwrap().to_owned();
    let refuse = |code: &str| {
        Answer::text(403, "application/xml", &format!("<Error><Code>{code}</Code></Error>"))
    };
    let Some((path, query)) = target.split_once('?') else { return refuse("AccessDenied") };
    let sent = query.split('&').find_map(|pair| pair.strip_prefix("X-Amz-Signature="));
    if sent != Some(&signature(method, target, header, "auto")) {
        return refuse("SignatureDoesNotMatch");
    }
    let mut objects = objects.lock().unwrap();
    if method == "PUT" {
        objects.insert(path.to_owned(), (header("content-type"), request.body.clone()));
        return Answer::text(200, "application/xml", "");
    }
    let Some((media_type, bytes)) = objects.get(path).cloned() else {
        return Answer::text(404, "application/xml", "<Error><Code>NoSuchKey</Code></Error>");
    };
    Answer::text(200, &media_type, std::str::from_utf8(&bytes).unwrap())
}

struct Cloud {
    world: World,
    server: MockUpstream,
    objects: Objects,
}

impl Cloud {
    async fn with(more: Value) -> Self {
        let server = MockUpstream::start().await;
        let objects = Objects::default();
        let kept = objects.clone();
        server.by(move |request| answer(request, &kept));
        let endpoint = server.url().trim_end_matches("/v1").to_owned();
        let mut storage = json!({
            "kind": "s3", "bucket": "pictures", "region": "auto", "endpoint": endpoint,
            "path_style": true, "prefix": "fed/one", "download": {"allow_private": true},
        });
        storage.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let world = World::with(storage, |builder| builder).await;
        let cloud = Self { world, server, objects };
        cloud.set("S3_ACCESS_KEY_ID", ID).await;
        cloud.set("S3_SECRET_ACCESS_KEY", SECRET).await;
        cloud
    }

    async fn set(&self, key: &str, value: &str) {
        let input = json!({"key": key, "value": value, "test": false});
        self.world.app.admin().post("/v1/env/upsert", input).await.expect(200);
    }

    /// What stands at a link.
    async fn get(&self, url: &str) -> (u16, String) {
        let upstream = self.world.ai.catalog().upstream.clone();
        let answer = upstream.send(Request::get(url).body(Bytes::new()).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

#[test]
fn a_file_is_put_and_linked_with_signatures() {
    block_on(async {
        let cloud = Cloud::with(json!({})).await;
        let (stored, url) = cloud.world.put("abc", "image/png", Some("a cat.png")).await;
        let key = stored["key"].as_str().unwrap();
        let path = format!("/pictures/fed/one/{key}");
        let kept = cloud.objects.lock().unwrap().clone();
        assert_eq!(kept[&path], ("image/png".to_owned(), Bytes::from("abc")));
        assert!(cloud.world.files().is_empty(), "nothing is in the directory");
        let put = cloud.server.request();
        assert!(put.headers.get("content-disposition").is_none());
        assert_eq!(put.headers["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(cloud.get(&url).await, (200, "abc".to_owned()));
        assert!(
            url.contains("X-Amz-Expires=604800") && url.contains("response-content-disposition")
        );
        let changed = url.replace("X-Amz-Expires=604800", "X-Amz-Expires=604801");
        assert_eq!(cloud.get(&changed).await.0, 403);
        // The same file again is the same object.
        let (same, _) = cloud.world.put("abc", "image/png", None).await;
        assert_eq!(same["key"], stored["key"]);
        assert_eq!(cloud.objects.lock().unwrap().len(), 1);
    });
}

#[test]
fn a_file_is_read_back_from_the_bucket() {
    block_on(async {
        let cloud = Cloud::with(json!({"max_bytes": 5})).await;
        let guest = cloud.world.app.guest();
        let read =
            async |stored: &Value| guest.post("/v1/maker/get", json!({"stored": stored})).await;
        let (stored, _) = cloud.world.put("abc", "image/png", None).await;
        assert_eq!(read(&stored).await.expect(200)["text"], "abc");
        let path = cloud.objects.lock().unwrap().keys().next().unwrap().clone();
        let put = |text: &'static str| {
            let object = ("image/png".to_owned(), Bytes::from(text));
            cloud.objects.lock().unwrap().insert(path.clone(), object);
        };
        // Somebody else has put more there than is ever read.
        put("abcdef");
        read(&stored).await.expect_error(502, "upstream_error");
        put("abc");
        cloud.objects.lock().unwrap().clear();
        read(&stored).await.expect_error(404, "not_found");
        put("abc");
        cloud.set("S3_SECRET_ACCESS_KEY", "another secret of some length").await;
        let refused = read(&stored).await.expect_error(502, "upstream_error");
        let told = refused.to_string();
        assert!(!told.contains("Signature") && !told.contains("127.0.0.1"), "{told}");
        assert!(refused["error"].as_str().unwrap().contains("did not give"), "{told}");
    });
}

#[test]
fn what_is_fetched_goes_to_the_bucket() {
    block_on(async {
        let (cloud, source) = (Cloud::with(json!({})).await, MockUpstream::start().await);
        source.then(Answer::pieces("image/png").write("ab").write("c"));
        let input = json!({"url": source.url()});
        let taken = cloud.world.app.guest().post("/v1/maker/take", input).await.expect(200);
        assert_eq!(cloud.get(taken["url"].as_str().unwrap()).await.1, "abc");
    });
}

#[test]
fn files_with_scripts_are_saved_not_shown() {
    block_on(async {
        let cloud = Cloud::with(json!({})).await;
        for media_type in ["image/svg+xml", "text/html", "application/pdf"] {
            cloud.world.put("<script>", media_type, None).await;
        }
        for put in cloud.server.requests() {
            assert_eq!(put.headers["content-disposition"], "attachment");
        }
    });
}

#[test]
fn a_public_address_needs_no_signature() {
    block_on(async {
        let public = json!({"public_url_prefix": "https://files.example.com/"});
        let cloud = Cloud::with(public).await;
        let (stored, url) = cloud.world.put("abc", "image/png", Some("cat.png")).await;
        let key = stored["key"].as_str().unwrap();
        assert_eq!(url, format!("https://files.example.com/fed/one/{key}"));
    });
}

#[test]
fn own_links_are_known() {
    block_on(async {
        let cloud = Cloud::with(json!({"public_url_prefix": "https://files.example.com"})).await;
        let (stored, url) = cloud.world.put("abc", "image/png", None).await;
        let key = stored["key"].as_str().unwrap();
        let bucket = cloud.server.url().replace("/v1", "/pictures");
        let storage = cloud.world.ai.catalog().storage.clone();
        let owns = |url: &str| storage.owns(cloud.world.app.runtime(), url);
        assert!(owns(&url) && owns(&format!("{bucket}/fed/one/{key}?X-Amz-Date=1")));
        // Of the time before the bucket.
        assert!(owns(&format!("/v1/ai/files/{key}?expires=1")));
        for other in [
            format!("{bucket}/fed/two/{key}"),
            format!("{bucket}-2/fed/one/{key}"),
            format!("https://files.example.com.evil.example/fed/one/{key}"),
            format!("https://files.example.com/fed/one/x{key}"),
        ] {
            assert!(!owns(&other), "{other}");
        }
    });
}

#[test]
fn what_the_bucket_refuses_is_the_operators_matter() {
    block_on(async {
        let cloud = Cloud::with(json!({})).await;
        cloud.set("S3_SECRET_ACCESS_KEY", "another secret of some length").await;
        let input = json!({"text": "abc", "media_type": "image/png"});
        let guest = cloud.world.app.guest();
        let refused = guest.post("/v1/maker/put", input.clone()).await;
        let refused = refused.expect_error(502, "upstream_error").to_string();
        assert!(!refused.contains("Signature") && !refused.contains("127.0.0.1"), "{refused}");
        cloud.set("S3_SECRET_ACCESS_KEY", "").await;
        guest.post("/v1/maker/put", input).await.expect_error(500, "missing_config");
        assert!(cloud.objects.lock().unwrap().is_empty());
    });
}

#[test]
fn a_bucket_that_does_not_answer_is_given_up() {
    block_on(async {
        let cloud = Cloud::with(json!({"download": {"timeout_ms": 100}})).await;
        cloud.server.then(Answer::text(200, "application/xml", "").silent());
        let input = json!({"text": "abc", "media_type": "image/png"});
        let refused = cloud.world.app.guest().post("/v1/maker/put", input).await;
        refused.expect_error(504, "upstream_timeout");
    });
}

#[test]
fn a_link_ends_when_it_says() {
    block_on(async {
        let cloud = Cloud::with(json!({"url_ttl_ms": 60_000})).await;
        let (stored, first) = cloud.world.put("abc", "image/png", None).await;
        assert!(first.contains("X-Amz-Expires=60&"), "{first}");
        cloud.world.app.clock().advance(Duration::from_secs(61));
        let input = json!({"stored": stored});
        let next = cloud.world.app.guest().post("/v1/maker/link", input).await.expect(200);
        assert_ne!(next["url"], first.as_str());
    });
}

#[test]
fn the_env_catalog_names_the_keys_of_the_bucket() {
    block_on(async {
        let own = json!({"access_key_env": "R2_ID", "secret_key_env": "R2_SECRET"});
        let cloud = Cloud::with(own).await;
        let catalog = cloud.world.app.admin().get("/v1/env/catalog").await.expect(200).to_string();
        assert!(catalog.contains("R2_ID") && catalog.contains("R2_SECRET"), "{catalog}");
        let local = World::new().await;
        let catalog = local.app.admin().get("/v1/env/catalog").await.expect(200).to_string();
        assert!(!catalog.contains("S3_ACCESS_KEY_ID"), "{catalog}");
    });
}
