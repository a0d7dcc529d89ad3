//! The `[ai.storage]` section: where generated files are kept.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::validate::{Found, MAX_CALL_MS};

/// The longest life of a link: seven days, the most that S3 signs for.
const MAX_URL_TTL_MS: u64 = 7 * 24 * 3_600_000;
/// The shortest life of a link: a minute.
const MIN_URL_TTL_MS: u64 = 60_000;
/// The longest that files are kept, if not for ever: a hundred years.
const MAX_KEEP_DAYS: u32 = 36_500;
/// The largest file that can be allowed: one that S3 takes in one request.
const MAX_FILE_BYTES: u64 = 5_000_000_000;

/// Where generated images, videos and audio files are kept, and how clients get at them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// Where files go: `local`, a directory that the Federation serves, or `s3`, a bucket of S3 or of
    /// a server that speaks like it (R2, MinIO).
    pub kind: StorageKind,
    /// The directory of `local`, made on first use; absent = `files` beside a SQLite database. With
    /// PostgreSQL it has to be named, and be one that all nodes share. Files that are there are
    /// served under `s3`, too.
    pub dir: Option<PathBuf>,
    /// Milliseconds for which a link to a file works, from a minute (60000) to seven days (604800000,
    /// the default). Not for links with
    /// `public_url_prefix`, which do not end.
    pub url_ttl_ms: u64,
    /// The largest file that is stored, in bytes, whether a provider sends it or it is fetched.
    pub max_bytes: u64,
    /// Days for which files are kept after they were made last, and jobs of images and videos after
    /// their end; some days more at times. Absent = files are kept for ever, and such jobs for 30
    /// days. Files in a bucket are its own matter: give it a rule of a longer time.
    pub keep_days: Option<u32>,
    /// The bucket of `s3`.
    pub bucket: Option<String>,
    /// The region of the bucket; `auto` for R2.
    pub region: String,
    /// The address of the S3 server, such as `https://ACCOUNT.r2.cloudflarestorage.com`; absent = AWS
    /// in `region`.
    pub endpoint: Option<String>,
    /// Whether the bucket stands in the path of its addresses instead of in their host, as MinIO
    /// wants it.
    pub path_style: bool,
    /// What the names of all objects begin with, such as `downcity/`.
    pub prefix: String,
    /// The address of the bucket for everybody, such as `https://files.example.com`: links are this
    /// and the name of the object, unsigned and without an end. Absent = signed links to the bucket.
    pub public_url_prefix: Option<String>,
    /// The env key that holds the id of the S3 access key.
    pub access_key_env: String,
    /// The env key that holds the secret of the S3 access key.
    pub secret_key_env: String,
    /// How files are fetched that providers name by their addresses.
    pub download: DownloadConfig,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            kind: StorageKind::Local,
            dir: None,
            url_ttl_ms: MAX_URL_TTL_MS,
            max_bytes: 100 * 1024 * 1024,
            keep_days: None,
            bucket: None,
            region: "us-east-1".to_owned(),
            endpoint: None,
            path_style: false,
            prefix: String::new(),
            public_url_prefix: None,
            access_key_env: "S3_ACCESS_KEY_ID".to_owned(),
            secret_key_env: "S3_SECRET_ACCESS_KEY".to_owned(),
            download: DownloadConfig::default(),
        }
    }
}

/// Where files go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StorageKind {
    /// A directory that the Federation serves.
    #[default]
    Local,
    /// A bucket of S3, or of a server that speaks like it.
    S3,
}

/// How files are fetched that providers name by their addresses. Only public addresses of the
/// internet are asked, at every redirect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DownloadConfig {
    /// Milliseconds that one file may take to be fetched or to be stored, redirects included.
    pub timeout_ms: u64,
    /// Milliseconds that all files of one answer may take together. What is not stored by then stays
    /// where its provider has it, where everybody can get it there.
    pub all_timeout_ms: u64,
    /// The media types that are fetched, and that files of images and videos may have, by their first
    /// bytes; `image/*` is every image.
    pub types: Vec<String>,
    /// Whether files are fetched from private addresses, too. Dangerous: whoever decides on an
    /// address reaches everything that this machine reaches, such as the metadata of a cloud. For
    /// tests and development only.
    pub allow_private: bool,
}

impl Default for DownloadConfig {
    fn default() -> Self {
        let types =
            ["image/*", "video/*", "audio/*", "application/pdf", "application/octet-stream"];
        Self {
            timeout_ms: 120_000,
            all_timeout_ms: 300_000,
            types: types.map(str::to_owned).to_vec(),
            allow_private: false,
        }
    }
}

impl StorageConfig {
    /// The address of the S3 server.
    pub(crate) fn s3_endpoint(&self) -> String {
        let aws = || format!("https://s3.{}.amazonaws.com", self.region);
        self.endpoint.clone().unwrap_or_else(aws)
    }

    /// The env keys that are read; none for a directory.
    pub fn env_keys(&self) -> impl Iterator<Item = &str> {
        let keys = match self.kind {
            StorageKind::Local => None,
            StorageKind::S3 => Some([self.access_key_env.as_str(), self.secret_key_env.as_str()]),
        };
        keys.into_iter().flatten()
    }

    pub(super) fn check(&self, found: &mut Found) {
        const AT: &str = "storage";
        if !(MIN_URL_TTL_MS..=MAX_URL_TTL_MS).contains(&self.url_ttl_ms) {
            let message = format!("must be {MIN_URL_TTL_MS} to {MAX_URL_TTL_MS} milliseconds");
            found.add(AT, "url_ttl_ms", message);
        }
        if !(1..=MAX_FILE_BYTES).contains(&self.max_bytes) {
            found.add(AT, "max_bytes", format!("must be 1 to {MAX_FILE_BYTES}"));
        }
        if self.keep_days.is_some_and(|days| !(1..=MAX_KEEP_DAYS).contains(&days)) {
            found.add(AT, "keep_days", format!("must be 1 to {MAX_KEEP_DAYS}"));
        }
        for (field, value) in [
            ("download.timeout_ms", self.download.timeout_ms),
            ("download.all_timeout_ms", self.download.all_timeout_ms),
        ] {
            if !(1..=MAX_CALL_MS).contains(&value) {
                found.add(AT, field, format!("must be 1 to {MAX_CALL_MS} milliseconds"));
            }
        }
        for media_type in self.download.types.iter().filter(|text| !is_media_type(text)) {
            let message = format!("{media_type:?} is none; write image/png, or image/* for all");
            found.add(AT, "download.types", message);
        }
        if self.dir.as_ref().is_some_and(|dir| dir.as_os_str().is_empty()) {
            found.add(AT, "dir", "must not be empty; leave it out for the default");
        }
        if self.kind == StorageKind::S3 {
            self.check_s3(AT, found);
        }
    }

    fn check_s3(&self, at: &str, found: &mut Found) {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let is_plain = |text: &str| !text.is_empty() && text.chars().all(is_name);
        match &self.bucket {
            None => found.add(at, "bucket", "is required for \"s3\""),
            Some(bucket) if !is_plain(bucket) => {
                found.add(at, "bucket", "must be the name of a bucket, without slashes");
            }
            Some(_) => {}
        }
        if !is_plain(&self.region) {
            found.add(at, "region", "must be a region such as \"eu-central-1\", or \"auto\"");
        }
        let addresses =
            [("endpoint", &self.endpoint), ("public_url_prefix", &self.public_url_prefix)];
        for (field, address) in addresses {
            if address.as_ref().is_some_and(|address| !is_address(address)) {
                let message = "must be an address such as https://files.example.com, without query";
                found.add(at, field, message);
            }
        }
        let parts = self.prefix.strip_suffix('/').unwrap_or(&self.prefix).split('/');
        let is_part = |part: &str| is_plain(part) && part != "." && part != "..";
        if !self.prefix.is_empty() && !parts.into_iter().all(is_part) {
            found.add(at, "prefix", "must be of a-z, A-Z, 0-9, '.', '-', '_' and single slashes");
        }
        for (field, key) in
            [("access_key_env", &self.access_key_env), ("secret_key_env", &self.secret_key_env)]
        {
            found.env_key(at, field, key);
        }
    }
}

/// Whether the text is a media type, or all of a kind (`image/*`).
fn is_media_type(text: &str) -> bool {
    let is_token = |part: &str| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-._".contains(&b);
        !part.is_empty() && part.bytes().all(plain)
    };
    text.split_once('/').is_some_and(|(kind, sub)| is_token(kind) && (sub == "*" || is_token(sub)))
}

/// Whether the text is an address of the web that others can be built on.
fn is_address(text: &str) -> bool {
    text.parse::<Url>().is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::config::AiConfig;

    /// The fields of `[ai.storage]` that are wrong.
    fn wrong(storage: Value) -> Vec<String> {
        let config: AiConfig = serde_json::from_value(json!({"storage": storage})).unwrap();
        config.validate().into_iter().map(|problem| problem.path).collect()
    }

    #[test]
    fn what_can_be_used_passes() {
        assert!(wrong(json!({})).is_empty());
        assert!(wrong(json!({"dir": "/var/lib/files", "url_ttl_ms": 60_000})).is_empty());
        let r2 = json!({
            "kind": "s3", "bucket": "files", "region": "auto", "prefix": "fed/one/",
            "endpoint": "https://account.r2.cloudflarestorage.com",
            "public_url_prefix": "https://files.example.com/all",
        });
        assert!(wrong(r2).is_empty());
        assert!(wrong(json!({"kind": "s3", "bucket": "files"})).is_empty());
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (field, value) in [
            ("url_ttl_ms", json!(59_999)),
            ("url_ttl_ms", json!(604_800_001)),
            ("max_bytes", json!(0)),
            ("keep_days", json!(0)),
            ("dir", json!("")),
        ] {
            assert_eq!(wrong(json!({field: value})), [format!("storage.{field}")], "{value}");
        }
        for (field, value) in [
            ("timeout_ms", json!(0)),
            ("all_timeout_ms", json!(0)),
            ("types", json!(["image"])),
            ("types", json!(["Image/PNG"])),
            ("types", json!(["*/*"])),
        ] {
            let found = wrong(json!({"download": {field: value}}));
            assert_eq!(found, [format!("storage.download.{field}")], "{value}");
        }
        assert_eq!(wrong(json!({"kind": "s3"})), ["storage.bucket"]);
        for (field, value) in [
            ("bucket", "a/b"),
            ("region", "eu/1"),
            ("endpoint", "s3.example.com"),
            ("endpoint", "https://key@s3.example.com"),
            ("public_url_prefix", "https://files.example.com/?x=1"),
            ("public_url_prefix", "ftp://files.example.com"),
            ("prefix", "/a"),
            ("prefix", "a//b"),
            ("prefix", "a/../b"),
            ("access_key_env", "s3 key"),
        ] {
            let mut storage = json!({"kind": "s3", "bucket": "files"});
            storage[field] = json!(value);
            assert_eq!(wrong(storage), [format!("storage.{field}")], "{value}");
        }
    }
}
