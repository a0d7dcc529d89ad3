//! Trying a value where it will be used, before it takes the place of one that works.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use downcity_types::ErrorCode;
use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::input::At;
use super::service::{EnvService, slot_of};
use super::{CityEnv, EnvOf, Slot};
use crate::{Cx, Error, Result, Runtime, Secret};

/// How long a test may take, with the wait for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many tests run at the same time on a node.
const AT_ONCE: usize = 4;

/// How a service tries values of env keys: see [`crate::ServiceDef::env_probe`].
#[async_trait]
pub trait EnvProbe: Send + Sync + 'static {
    /// Whether it knows how to try a value of this key, which is normalised.
    fn knows(&self, key: &str) -> bool;

    /// Tries a value. It has a few seconds; a value that takes longer counts as untested.
    async fn probe(&self, candidate: &Candidate) -> Probed;

    /// Whether the service reads this key for a city, so that one may have a value of its own: see
    /// [`crate::Call::city_env`].
    fn reads_for_cities(&self, key: &str) -> bool {
        let _ = key;
        false
    }
}

/// A value that is to be tried.
pub struct Candidate {
    slot: Slot,
    value: Secret,
    /// What would be stored together with it.
    together: Arc<BTreeMap<String, Secret>>,
    runtime: Arc<Runtime>,
}

impl Candidate {
    /// The normalised key.
    pub fn key(&self) -> &str {
        self.slot.key()
    }

    /// The value.
    pub fn value(&self) -> &Secret {
        &self.value
    }

    /// The value of another key as it will be when this one is stored: for a city's value, as calls
    /// of that city will find it.
    pub fn env(&self, key: &str) -> Option<Secret> {
        self.city_env(key).map(|found| found.value)
    }

    /// Like [`Candidate::env`], with whose value it is.
    pub fn city_env(&self, key: &str) -> Option<CityEnv> {
        let city_id = self.slot.city_id();
        let together = self.together.get(key).filter(|value| !value.expose().is_empty());
        // What is stored together goes to the same slots.
        let of = if city_id.is_some() { EnvOf::City } else { EnvOf::Federation };
        let together = together.map(|value| CityEnv { value: value.clone(), of });
        together.or_else(|| self.runtime.snapshot().env().get_for(city_id, key))
    }
}

/// What became of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probed {
    /// The value works.
    Accepted,
    /// The value is refused where it would be used.
    Refused,
    /// Nobody can tell. The reason is a sentence for people, without anything secret.
    Unknown(String),
}

/// The turns of the tests on one node.
pub(super) struct Probes(Semaphore);

impl Default for Probes {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }
}

impl Probes {
    /// Tries a value; `None` where no service knows how.
    async fn run(&self, candidate: &Candidate) -> Option<Probed> {
        let probe = candidate.runtime.registry().env_probe(candidate.key())?;
        let tried = tokio::time::timeout(PATIENCE, async {
            let _turn = self.0.acquire().await;
            probe.probe(candidate).await
        });
        let late = || Probed::Unknown("The test did not end in time.".to_owned());
        Some(tried.await.unwrap_or_else(|_| late()))
    }
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct TestInput {
    /// The key, in any case.
    key: String,
    /// Test the value that this city has of its own.
    #[serde(default)]
    city_id: Option<String>,
}

/// What a test of a stored value showed.
#[derive(Serialize, JsonSchema)]
pub(super) struct Tested {
    /// The normalised key.
    key: String,
    result: TestResult,
    /// Why nobody can tell, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// `accepted`, `refused` where the value would be used, or `unknown`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum TestResult {
    Accepted,
    Refused,
    Unknown,
}

impl EnvService {
    pub(super) async fn test(self: Arc<Self>, cx: Cx, input: TestInput) -> Result<Tested> {
        let slot = slot_of(&cx, &input.key, input.city_id.as_deref())?;
        let runtime = cx.runtime().clone();
        let value = stored(&runtime, &slot);
        let Some(value) = value else {
            let key = slot.key();
            return Err(Error::new(ErrorCode::NotFound, format!("key: {key} has no value."))
                .with_field("key", "has no value"));
        };
        let candidate = Candidate { slot, value, together: Arc::default(), runtime };
        let (result, message) = match self.probes.run(&candidate).await {
            Some(Probed::Accepted) => (TestResult::Accepted, None),
            Some(Probed::Refused) => (TestResult::Refused, None),
            Some(Probed::Unknown(why)) => (TestResult::Unknown, Some(why)),
            None => {
                let why = "No service knows how to test this key.";
                (TestResult::Unknown, Some(why.to_owned()))
            }
        };
        Ok(Tested { key: candidate.slot.key().to_owned(), result, message })
    }

    /// Tries values that are about to be stored together, and gives a warning for each that nobody
    /// can tell about, after its key.
    ///
    /// # Errors
    /// 422 `env_refused` for the first value that is refused.
    pub(super) async fn try_values(
        &self,
        cx: &Cx,
        city_id: Option<&str>,
        values: &BTreeMap<String, (Secret, At<'_>)>,
    ) -> Result<Vec<(String, String)>> {
        let plain = values.iter().map(|(key, (value, _))| (key.clone(), value.clone()));
        let together: Arc<BTreeMap<String, Secret>> = Arc::new(plain.collect());
        let tests = values.iter().filter(|(_, (value, _))| can_be_tried(value)).map(
            async |(key, (value, at))| {
                let candidate = Candidate {
                    slot: Slot::of(city_id, key.as_str()),
                    value: value.clone(),
                    together: together.clone(),
                    runtime: cx.runtime().clone(),
                };
                (key, *at, self.probes.run(&candidate).await)
            },
        );
        let mut warnings = Vec::new();
        for (key, at, probed) in join_all(tests).await {
            match probed {
                None | Some(Probed::Accepted) => {}
                Some(Probed::Refused) => {
                    let what = "is refused where it would be used; nothing was stored.";
                    return Err(at.refuse(ErrorCode::EnvRefused, what).with_fix(
                        "Check the value. Send \"test\": false to store it without a test.",
                    ));
                }
                Some(Probed::Unknown(why)) => {
                    tracing::warn!(key, why, "an env value is stored untested");
                    warnings.push((key.clone(), format!("The value was not tested. {why}")));
                }
            }
        }
        Ok(warnings)
    }

    /// [`EnvService::try_values`] for one value.
    pub(super) async fn try_value(
        &self,
        cx: &Cx,
        slot: &Slot,
        value: &Secret,
    ) -> Result<Option<String>> {
        let values = BTreeMap::from([(slot.key().to_owned(), (value.clone(), At::Field))]);
        let warnings = self.try_values(cx, slot.city_id(), &values).await?;
        Ok(warnings.into_iter().next().map(|(_, warning)| warning))
    }
}

/// A warning for a city's value of a key that no service reads for cities; it would wait in vain.
pub(super) fn not_read(cx: &Cx, slot: &Slot) -> Option<String> {
    slot.city_id()?;
    let is_read = cx.runtime().registry().is_read_for_cities(slot.key());
    (!is_read).then(|| {
        "No service reads this key for a city now: it has no effect until a model's provider names it."
            .to_owned()
    })
}

/// The value that applies for a slot itself, nothing standing in for a city's.
fn stored(runtime: &Runtime, slot: &Slot) -> Option<Secret> {
    let snapshot = runtime.snapshot();
    let found = snapshot.env().get_for(slot.city_id(), slot.key())?;
    (slot.city_id().is_none() || found.of == EnvOf::City).then_some(found.value)
}

/// Blank values end the use of a key, and masks are refused when they are stored.
fn can_be_tried(value: &Secret) -> bool {
    !value.expose().trim().is_empty() && !Secret::looks_like_preview(value.expose())
}
