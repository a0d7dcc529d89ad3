//! The `signing_keys` table: Ed25519 keys, and HMAC keys that were retired.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use downcity_db::{Row, Tx, sql};
use downcity_types::{
    Ed25519Key, HmacKey, SigningKeyRecord, SigningKeyStatus, Timestamp, TokenAlgorithm,
};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

use super::rotate::TARGET;
use crate::audit::{Target, Trail};
use crate::env::{Place, Unreadable, Vault, Writer};
use crate::{Random, Result, Secret};

const TABLE: &str = "signing_keys";
/// A key never changes: each is sealed as the first version of itself.
const VERSION: i64 = 1;

/// An Ed25519 key that signs.
pub(crate) struct Ed25519Secret {
    pair: Ed25519KeyPair,
    public: Ed25519Key,
    /// The seed in base64url: what is stored, sealed.
    seed: Secret,
}

impl Ed25519Secret {
    /// A new key.
    pub(crate) fn generate(random: &dyn Random) -> Self {
        let mut seed = Zeroizing::new([0_u8; 32]);
        random.fill(&mut seed[..]);
        #[expect(clippy::expect_used, reason = "every 32 bytes are a seed (RFC 8032 §5.1.5)")]
        Self::from_seed(&seed[..]).expect("a seed of 32 bytes")
    }

    fn from_seed(seed: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let public = Ed25519Key::new(pair.public_key().as_ref().try_into().ok()?);
        Some(Self { pair, public, seed: Secret::new(URL_SAFE_NO_PAD.encode(seed)) })
    }

    fn parse(text: &Secret) -> Option<Self> {
        let seed = Zeroizing::new(URL_SAFE_NO_PAD.decode(text.expose()).ok()?);
        Self::from_seed(&seed[..])
    }

    /// Signs bytes.
    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(message).as_ref());
        signature
    }

    /// The public half.
    pub(super) fn public(&self) -> &Ed25519Key {
        &self.public
    }
}

impl fmt::Debug for Ed25519Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Ed25519Secret").field(&self.public.key_id()).finish()
    }
}

/// What the table holds, opened.
#[derive(Default)]
pub(crate) struct StoredKeys {
    pub(super) keys: Vec<StoredKey>,
    /// Keys that cannot be opened, by id.
    pub(super) unreadable: BTreeMap<String, Unreadable>,
}

/// A row, opened.
pub(super) struct StoredKey {
    pub(super) key_id: String,
    pub(super) secret: StoredSecret,
    /// `None` while the key is active.
    pub(super) retired: Option<Retirement>,
}

pub(super) enum StoredSecret {
    Hmac(HmacKey),
    Ed25519(Box<Ed25519Secret>),
}

/// The end of a key.
pub(super) struct Retirement {
    pub(super) at: Timestamp,
    pub(super) verifies_until: Timestamp,
    /// The id of the HMAC key that has to be active for this one to count.
    pub(super) successor: Option<String>,
}

/// Opens every key; what cannot be opened is noted by its id.
pub(crate) fn load(tx: &mut Tx<'_>, vault: &Vault) -> Result<StoredKeys> {
    let rows = tx.query(
        sql!(
            "SELECT key_id, algorithm, secret, successor, retired_at, verifies_until
             FROM signing_keys ORDER BY key_id"
        ),
        &[],
    )?;
    let mut stored = StoredKeys::default();
    for row in &rows {
        let key_id: String = row.get("key_id")?;
        match open(row, vault, &key_id)? {
            Ok(secret) => {
                let retired = retirement(row)?;
                stored.keys.push(StoredKey { key_id, secret, retired });
            }
            Err(reason) => drop(stored.unreadable.insert(key_id, reason)),
        }
    }
    Ok(stored)
}

fn open(row: &Row, vault: &Vault, key_id: &str) -> Result<Result<StoredSecret, Unreadable>> {
    let (algorithm, sealed): (String, String) = (row.get("algorithm")?, row.get("secret")?);
    let text = match vault.open_text(TABLE, key_id, &sealed) {
        Ok(text) => text,
        Err(reason) => return Ok(Err(reason)),
    };
    let secret = match TokenAlgorithm::parse(&algorithm) {
        Some(TokenAlgorithm::Hmac) => {
            Some(StoredSecret::Hmac(HmacKey::new(text.expose().as_bytes())))
        }
        Some(TokenAlgorithm::Ed25519) => Ed25519Secret::parse(&text)
            .filter(|key| key.public().key_id() == key_id)
            .map(|key| StoredSecret::Ed25519(Box::new(key))),
        None => None,
    };
    Ok(secret.ok_or(Unreadable::Broken))
}

fn retirement(row: &Row) -> Result<Option<Retirement>> {
    let (at, until): (Option<i64>, Option<i64>) =
        (row.get("retired_at")?, row.get("verifies_until")?);
    let successor = row.get("successor")?;
    Ok(at.zip(until).map(|(at, until)| Retirement {
        at: Timestamp::from_millis(at),
        verifies_until: Timestamp::from_millis(until),
        successor,
    }))
}

/// Stores the first Ed25519 key of a Federation; one that is there stays. Says whether it was the
/// first.
pub(crate) fn insert_first(
    tx: &mut Tx<'_>,
    trail: &mut Trail,
    writer: &Writer<'_>,
    key: &Ed25519Secret,
) -> Result<bool> {
    let found = tx.query_opt(
        sql!("SELECT key_id FROM signing_keys WHERE algorithm = 'ed25519' AND retired_at IS NULL"),
        &[],
    )?;
    if found.is_some() {
        return Ok(false);
    }
    insert_active(tx, writer, key)?;
    let after = SigningKeyRecord {
        key_id: key.public().key_id().to_owned(),
        algorithm: TokenAlgorithm::Ed25519,
        status: SigningKeyStatus::Active,
        issues: true,
        retired_at: None,
        verifies_until: None,
    };
    trail.record(Target::new(TARGET, key.public().key_id()), (), after);
    Ok(true)
}

/// Stores an Ed25519 key as the active one; there must be none.
pub(super) fn insert_active(
    tx: &mut Tx<'_>,
    writer: &Writer<'_>,
    key: &Ed25519Secret,
) -> Result<()> {
    let key_id = key.public().key_id();
    let place = Place { table: TABLE, key: key_id, version: VERSION };
    let sealed = writer.vault.seal(writer.seed, place, key.seed.expose())?;
    tx.execute(
        sql!(
            "INSERT INTO signing_keys (key_id, algorithm, secret, created_at)
             VALUES ($1, 'ed25519', $2, $3)"
        ),
        &[&key_id, &sealed, &writer.now.millis()],
    )?;
    Ok(())
}

/// Retires the active Ed25519 key, if there is one.
pub(super) fn retire_active(tx: &mut Tx<'_>, now: Timestamp, until: Timestamp) -> Result<()> {
    tx.execute(
        sql!(
            "UPDATE signing_keys SET retired_at = $1, verifies_until = $2
             WHERE algorithm = 'ed25519' AND retired_at IS NULL"
        ),
        &[&now.millis(), &until.millis()],
    )?;
    Ok(())
}

/// An HMAC key that another one follows.
pub(super) struct Succession<'a> {
    pub(super) key_id: &'a str,
    pub(super) key: &'a Secret,
    pub(super) successor: &'a str,
    pub(super) until: Timestamp,
}

/// Retires an HMAC key. Keys that counted while it was active count on.
pub(super) fn retire_hmac(
    tx: &mut Tx<'_>,
    writer: &Writer<'_>,
    succession: &Succession<'_>,
) -> Result<()> {
    let Succession { key_id, key, successor, until } = succession;
    tx.execute(
        sql!("UPDATE signing_keys SET successor = $2 WHERE algorithm = 'hmac' AND successor = $1"),
        &[key_id, successor],
    )?;
    let place = Place { table: TABLE, key: key_id, version: VERSION };
    let sealed = writer.vault.seal(writer.seed, place, key.expose())?;
    // The key was retired before when an operator has written its value back since.
    tx.execute(
        sql!(
            "INSERT INTO signing_keys
                 (key_id, algorithm, secret, successor, created_at, retired_at, verifies_until)
             VALUES ($1, 'hmac', $2, $3, $4, $4, $5)
             ON CONFLICT (key_id) DO UPDATE SET
                 secret = excluded.secret, successor = excluded.successor,
                 retired_at = excluded.retired_at, verifies_until = excluded.verifies_until"
        ),
        &[key_id, &sealed, successor, &writer.now.millis(), &until.millis()],
    )?;
    Ok(())
}

/// Lets no retired key of this algorithm verify beyond `until`.
pub(super) fn shorten(tx: &mut Tx<'_>, algorithm: TokenAlgorithm, until: Timestamp) -> Result<()> {
    tx.execute(
        sql!(
            "UPDATE signing_keys SET verifies_until = $2
             WHERE algorithm = $1 AND verifies_until > $2"
        ),
        &[&algorithm.as_str(), &until.millis()],
    )?;
    Ok(())
}

/// Deletes retired keys, one or all; gives their ids.
pub(super) fn delete_retired(tx: &mut Tx<'_>, key_id: Option<&str>) -> Result<Vec<String>> {
    let rows = match key_id {
        Some(key_id) => tx.query(
            sql!(
                "DELETE FROM signing_keys WHERE retired_at IS NOT NULL AND key_id = $1
                 RETURNING key_id"
            ),
            &[&key_id],
        ),
        None => tx.query(
            sql!("DELETE FROM signing_keys WHERE retired_at IS NOT NULL RETURNING key_id"),
            &[],
        ),
    }?;
    let mut ids: Vec<String> =
        rows.iter().map(|row| row.get("key_id")).collect::<Result<_, _>>()?;
    ids.sort();
    Ok(ids)
}

/// Deletes keys that are past their end.
pub(super) fn delete_overdue(tx: &mut Tx<'_>, now: Timestamp) -> Result<u64> {
    Ok(tx.execute(sql!("DELETE FROM signing_keys WHERE verifies_until <= $1"), &[&now.millis()])?)
}
