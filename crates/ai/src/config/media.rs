//! How providers of images and video are asked, where their protocol leaves that open.

use std::collections::BTreeMap;

use http::{HeaderName, Method};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::validate::Found;
use super::{ProtocolKind, ProviderConfig};

/// The words of a provider of the protocol `async-image-jobs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JobsConfig {
    /// Path under `base_url` to which a job is posted as JSON.
    pub create_path: String,
    /// Path to which a job with images to draw from is posted, as `multipart/form-data` with the
    /// images in `image`.
    pub edit_path: String,
    /// Path at which a job is read; `{id}` stands for the provider's id of it.
    pub status_path: String,
    /// Milliseconds between two looks at a job.
    pub poll_ms: u64,
    /// Field of the request for the number of images.
    pub count_field: String,
    /// Field of the request by which the provider recognises a job that is sent again; empty for none.
    pub idempotency_field: String,
    /// Where things stand in the answers.
    pub answer: AnswerConfig,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self {
            create_path: "/api/relay/image-jobs/generations".to_owned(),
            edit_path: "/api/relay/image-jobs/edits".to_owned(),
            status_path: "/api/relay/image-jobs/{id}".to_owned(),
            poll_ms: 3_000,
            count_field: "count".to_owned(),
            idempotency_field: "client_job_id".to_owned(),
            answer: AnswerConfig::default(),
        }
    }
}

/// Where things stand in a provider's answer: JSON pointers (RFC 6901), of which the first that leads
/// to something counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AnswerConfig {
    /// The provider's id of the job.
    pub id: Vec<String>,
    /// The word for how far the job is.
    pub status: Vec<String>,
    /// The files: a list or a single one. Each is a URL, base64, or an object with `b64_json`,
    /// `base64`, `data`, `url`, `image_url` or `video_url`, and `media_type` and `filename`.
    pub files: Vec<String>,
    /// The seconds that a video lasts.
    pub seconds: Vec<String>,
    /// Words for a job that is done.
    pub done: Vec<String>,
    /// Words for a job that failed.
    pub failed: Vec<String>,
}

impl Default for AnswerConfig {
    fn default() -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Self {
            id: texts(&["/id", "/job_id", "/data/id", "/data/job_id", "/job/id", "/job/job_id"]),
            status: texts(&["/status", "/data/status", "/job/status"]),
            files: texts(&[
                "/data/result/data",
                "/data/result/images",
                "/data/images",
                "/job/result/data",
                "/job/result/images",
                "/result/data",
                "/result/images",
                "/images",
                "/data",
                "/data/result",
                "/result",
                "",
            ]),
            seconds: texts(&["/seconds", "/duration", "/data/seconds", "/data/duration"]),
            done: texts(&["succeeded", "success", "completed", "done"]),
            failed: texts(&["failed", "failure", "error", "cancelled", "canceled"]),
        }
    }
}

/// The requests and answers of a provider of the protocol `http-template`.
///
/// Texts may hold `{{name}}`: `prompt`, `model`, `n`, `size`, `width`, `height`, `ratio`, `quality`,
/// `seed`, `seconds`, `image` (the first image to draw from), `images` (all of them), `job_id` (the
/// Federation's id of the job), `id` (the provider's), and `options.NAME` for what the caller set in
/// `provider_options`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateConfig {
    /// The request that begins the work. Its answer is the result, where `status` is not set.
    pub create: RequestTemplate,
    /// The request that asks how far the work is, again and again until it is done.
    #[serde(default)]
    pub status: Option<RequestTemplate>,
    /// Milliseconds between two looks.
    #[serde(default = "poll_ms")]
    pub poll_ms: u64,
    /// Media type of files whose type nobody tells; `image/png` or `video/mp4` unless set.
    #[serde(default)]
    pub media_type: Option<String>,
    /// Where things stand in the answers. An answer of an image, audio or video type is the file
    /// itself.
    #[serde(default)]
    pub answer: AnswerConfig,
}

fn poll_ms() -> u64 {
    3_000
}

/// A request as it is written down, with `{{name}}` in its texts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestTemplate {
    /// The method; POST where there is a body, else GET.
    #[serde(default)]
    pub method: Option<String>,
    /// Path and query under `base_url`; values are percent-encoded.
    pub path: String,
    /// Further headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The JSON body. A text that is one `{{name}}` alone becomes the value with its type; without a
    /// value its field is left out.
    #[serde(default)]
    pub body: Option<Value>,
}

impl ProviderConfig {
    /// What is wrong with how images and video are asked for.
    pub(super) fn check_media(&self, at: &str, found: &mut Found) {
        match (&self.jobs, self.protocol) {
            (Some(jobs), ProtocolKind::AsyncImageJobs) => jobs.check(&format!("{at}.jobs"), found),
            (Some(_), _) => found.add(at, "jobs", "is for the protocol async-image-jobs"),
            (None, _) => {}
        }
        match (&self.template, self.protocol) {
            (Some(template), ProtocolKind::HttpTemplate) => {
                template.check(&format!("{at}.template"), found);
            }
            (None, ProtocolKind::HttpTemplate) => {
                found.add(at, "template", "is required: the request that begins the work");
            }
            (Some(_), _) => found.add(at, "template", "is for the protocol http-template"),
            (None, _) => {}
        }
    }
}

impl JobsConfig {
    fn check(&self, at: &str, found: &mut Found) {
        for (field, path) in [
            ("create_path", &self.create_path),
            ("edit_path", &self.edit_path),
            ("status_path", &self.status_path),
        ] {
            check_path(at, field, path, found);
        }
        if !self.status_path.contains("{id}") {
            found.add(at, "status_path", "must hold {id}, which stands for the job");
        }
        check_poll(at, self.poll_ms, found);
        self.answer.check(&format!("{at}.answer"), found);
    }
}

impl TemplateConfig {
    fn check(&self, at: &str, found: &mut Found) {
        self.create.check(&format!("{at}.create"), found);
        if let Some(status) = &self.status {
            status.check(&format!("{at}.status"), found);
        }
        check_poll(at, self.poll_ms, found);
        self.answer.check(&format!("{at}.answer"), found);
    }
}

impl RequestTemplate {
    fn check(&self, at: &str, found: &mut Found) {
        check_path(at, "path", &self.path, found);
        if let Some(method) = &self.method
            && Method::from_bytes(method.to_ascii_uppercase().as_bytes()).is_err()
        {
            found.add(at, "method", format!("{method:?} is not a method"));
        }
        for name in self.headers.keys().filter(|name| HeaderName::try_from(*name).is_err()) {
            found.add(at, "headers", format!("{name:?} is not a header name"));
        }
    }
}

impl AnswerConfig {
    fn check(&self, at: &str, found: &mut Found) {
        for (field, pointers) in [
            ("id", &self.id),
            ("status", &self.status),
            ("files", &self.files),
            ("seconds", &self.seconds),
        ] {
            let is_wrong = |at: &&String| !at.is_empty() && !at.starts_with('/');
            for pointer in pointers.iter().filter(is_wrong) {
                found.add(at, field, format!("{pointer:?} is not a JSON pointer; begin it with /"));
            }
        }
    }
}

fn check_path(at: &str, field: &str, path: &str, found: &mut Found) {
    if !path.starts_with('/') || path.chars().any(char::is_whitespace) {
        found.add(at, field, format!("{path:?} is not a path; begin it with /"));
    }
}

fn check_poll(at: &str, poll_ms: u64, found: &mut Found) {
    if !(200..=60_000).contains(&poll_ms) {
        found.add(at, "poll_ms", "must be 200 to 60000 milliseconds");
    }
}
