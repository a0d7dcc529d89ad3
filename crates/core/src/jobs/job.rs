//! Kinds of jobs.

/// A kind of durable work.
pub trait Job: Send + Sync + 'static {
    /// The name in the `jobs` table; never changed once rows exist.
    const KIND: &'static str;
}

/// A kind of job with its types erased.
pub(crate) struct JobRegistration {
    kind: &'static str,
}

impl JobRegistration {
    pub(crate) fn new<J: Job>(_job: J) -> Self {
        Self { kind: J::KIND }
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }
}
