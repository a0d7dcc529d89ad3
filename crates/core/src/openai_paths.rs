//! Which paths belong to the API of OpenAI, whose clients ask for all of it under `/v1`.
//!
//! Source: <https://platform.openai.com/docs/api-reference>.

/// The first segments of the paths of OpenAI's API, under `/v1`.
const OF_OPENAI: &[&str] = &[
    "assistants",
    "audio",
    "batches",
    "chat",
    "completions",
    "containers",
    "conversations",
    "edits",
    "embeddings",
    "evals",
    "files",
    "fine-tunes",
    "fine_tuning",
    "images",
    "models",
    "moderations",
    "organization",
    "realtime",
    "responses",
    "threads",
    "uploads",
    "vector_stores",
    "videos",
];

/// The first segment of a path under `/v1`, where it is one of OpenAI's.
pub(crate) fn segment(path: &str) -> Option<&str> {
    let segment = path.strip_prefix("/v1/")?.split('/').next()?;
    OF_OPENAI.contains(&segment).then_some(segment)
}
