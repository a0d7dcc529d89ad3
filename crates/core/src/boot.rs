//! What a first start makes, and what every start puts in order.

use std::sync::Arc;

use downcity_db::{Db, Tx, sql};
use downcity_types::{
    City, CityStatus, DEFAULT_CITY_ID, DEFAULT_CITY_NAME, ErrorCode, Timestamp, TokenAlgorithm,
};

use crate::audit::{self, Target, Trail};
use crate::cities;
use crate::env::{self, ADMIN_KEY, AUTH_SECRET, Backing, NonceSeed, SIGNING_KEY, Vault, Writer};
use crate::kernel::FirstStart;
use crate::token::{self, Ed25519Secret};
use crate::{Error, Ids, Random, Result, Secret};

/// What a start works with.
pub(crate) struct Boot<'a> {
    pub(crate) db: &'a Db,
    pub(crate) vault: &'a Arc<Vault>,
    pub(crate) backing: &'a Arc<Backing>,
    pub(crate) ids: &'a Ids,
    pub(crate) random: &'a dyn Random,
    pub(crate) now: Timestamp,
    /// How tokens are signed.
    pub(crate) algorithm: TokenAlgorithm,
}

/// A value that is stored where the database has none for its key.
struct Seed {
    key: String,
    value: Secret,
    /// Whether it was made up here; otherwise it comes from the process environment.
    generated: bool,
}

/// What the transaction of a start did and found.
#[derive(Default)]
struct Seeded {
    first_start: FirstStart,
    changed: bool,
    /// Whether rows were sealed that had been written by hand.
    sealed: bool,
    /// Keys that the process environment defines in another way than the database.
    ignored: Vec<String>,
}

impl Boot<'_> {
    /// Seals what was written by hand in the clear, then creates system secrets, given values, the
    /// Ed25519 key where tokens are signed with one, and the default city where the database lacks them: one transaction, after which nodes that
    /// start at the same time have the same secrets.
    ///
    /// # Errors
    /// When the database does not answer, or when a given system secret is too short to be used.
    pub(crate) async fn seed(&self, given: Vec<(String, Secret)>) -> Result<FirstStart> {
        let seeds = self.seeds(given);
        let (vault, now) = (self.vault.clone(), self.now);
        let trail = Trail::system(vault.clone(), audit::START, now);
        let nonces = NonceSeed::draw(self.random);
        let signer = match self.algorithm {
            TokenAlgorithm::Hmac => None,
            TokenAlgorithm::Ed25519 => Some(Ed25519Secret::generate(self.random)),
        };
        let turn = self.backing.turn().await?;
        let (held, backing) = (turn.clone(), self.backing.clone());
        let seeded = self
            .db
            .write(move |tx| {
                // In the order in which changes take them.
                tx.lock_revision()?;
                env::lock(tx)?;
                trail.run(tx, |tx, trail| {
                    held.run(|values| {
                        let writer = Writer { vault: &vault, seed: &nonces, now, values };
                        let signer = signer.as_ref();
                        Start { backing: &backing, seeds: &seeds, signer }.run(tx, trail, &writer)
                    })
                })
            })
            .await;
        let seeded = turn.end(seeded)?;
        if seeded.sealed {
            env::erase_clear_text(self.db).await;
            env::seal_copies(self.db, self.vault, NonceSeed::draw(self.random), now).await;
        }
        for key in seeded.ignored {
            tracing::warn!(
                key,
                "the process environment defines another value than the store of env values; the store's applies"
            );
        }
        Ok(seeded.first_start)
    }

    /// What is given, then what is generated: the first of a key wins.
    fn seeds(&self, given: Vec<(String, Secret)>) -> Vec<Seed> {
        let mut seeds = Vec::new();
        for (key, value) in given {
            if !env::is_given(&value) {
                continue;
            }
            match env::normalise_key(&key) {
                Some(key) => seeds.push(Seed { key, value, generated: false }),
                None => tracing::warn!(key, "a value of the process environment has no usable key"),
            }
        }
        let secret = |prefix| self.ids.secret::<32>(prefix);
        let made = [
            (ADMIN_KEY, secret("admin_")),
            (SIGNING_KEY, secret("sign_")),
            (AUTH_SECRET, secret("better_auth_") + &secret("")),
        ];
        seeds.extend(made.map(|(key, text)| Seed {
            key: key.to_owned(),
            value: Secret::new(text),
            generated: true,
        }));
        seeds
    }
}

/// What the transaction of a start works with.
struct Start<'a> {
    backing: &'a Backing,
    seeds: &'a [Seed],
    signer: Option<&'a Ed25519Secret>,
}

impl Start<'_> {
    fn run(self, tx: &mut Tx<'_>, trail: &mut Trail, writer: &Writer<'_>) -> Result<Seeded> {
        // Most starts find everything in place.
        trail.unchanged();
        let sealed = env::seal_clear_rows(tx, writer)?;
        let mut seeded =
            Seeded { changed: sealed.len() > 0, sealed: sealed.len() > 0, ..Seeded::default() };
        if seeded.changed {
            sealed.record(trail);
        }
        self.fill(tx, trail, writer, &mut seeded)?;
        if let Some(signer) = self.signer {
            seeded.changed |= token::insert_first(tx, trail, writer, signer)?;
        }
        if seed_default_city(tx, trail, writer.now)? {
            seeded.changed = true;
            seeded.first_start.city_id = Some(DEFAULT_CITY_ID.to_owned());
        }
        if seeded.changed {
            tx.bump_revision()?;
        }
        Ok(seeded)
    }

    /// Stores the seeds whose keys have no value.
    fn fill(
        &self,
        tx: &mut Tx<'_>,
        trail: &mut Trail,
        writer: &Writer<'_>,
        seeded: &mut Seeded,
    ) -> Result<()> {
        let mut values = writer.values.load(tx, writer.vault)?;
        for Seed { key, value, generated } in self.seeds {
            if values.is_unreadable(key) {
                // Kept for the operator, who may still have the key or the row it was sealed for.
                continue;
            }
            if values.holds(key) {
                let stored = &values.entries[key].value;
                if !generated && stored.expose() != value.expose() {
                    seeded.ignored.push(key.clone());
                }
                continue;
            }
            let used = self.backing.stands_in(key);
            if let Some(problem) = env::system_key_problem(key, used.unwrap_or(value).expose()) {
                return Err(Error::new(
                    ErrorCode::MissingConfig,
                    format!(
                        "{key} of the process environment {problem} Change it, or leave it out to have one generated."
                    ),
                ));
            }
            if used.is_some() {
                // It applies from where it stands.
                continue;
            }
            env::put(tx, trail, writer, &env::Slot::federation(key.as_str()), value)?;
            values.entries.insert(key.clone(), value.clone().into());
            seeded.changed = true;
            if *generated && key == ADMIN_KEY {
                seeded.first_start.admin_key = Some(value.clone());
            }
        }
        Ok(())
    }
}

/// Creates the default city, once in the life of a database: one that was removed stays away.
fn seed_default_city(tx: &mut Tx<'_>, trail: &mut Trail, now: Timestamp) -> Result<bool> {
    let first = tx.execute(
        sql!(
            "INSERT INTO federation (name, value) VALUES ('default_city', $1)
             ON CONFLICT (name) DO NOTHING"
        ),
        &[&DEFAULT_CITY_ID],
    )?;
    if first == 0 {
        return Ok(false);
    }
    let city = City {
        city_id: DEFAULT_CITY_ID.to_owned(),
        name: DEFAULT_CITY_NAME.to_owned(),
        status: CityStatus::Active,
        created_at: now,
        updated_at: now,
    };
    let inserted = cities::insert(tx, &city)?;
    if inserted {
        trail.record(Target::new("city", &city.city_id), (), &city);
    }
    Ok(inserted)
}
