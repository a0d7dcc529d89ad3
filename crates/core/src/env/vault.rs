//! Sealing and opening of values at rest.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use downcity_db::{Db, Tx, sql};
use downcity_types::Timestamp;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::master_key::{expand, refuse, wrong_key};
use super::{MasterKey, MasterKeySource};
use crate::hex::hex;
use crate::{Error, Random, Result, Secret};

/// What every sealed text starts with: the form, not yet the version of the value.
const PREFIX: &str = "sealed:v1:";
const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;
/// Enough to tell secrets apart, too little to stand in for one.
const FINGERPRINT_BYTES: usize = 8;
/// The purpose for which the master key gives the key that seals the data key.
const DATA_KEY_PURPOSE: &[u8] = b"data key";

/// Seals and opens values under the data key of one database.
///
/// A sealed text is `sealed:v1:<version>:<base64url(nonce ‖ ciphertext)>`, the cipher
/// XChaCha20-Poly1305. Table, key and version are authenticated with it, so that no sealed text can
/// stand in for another.
pub struct Vault {
    cipher: XChaCha20Poly1305,
    fingerprint_key: Zeroizing<[u8; KEY_BYTES]>,
    /// See [`Vault::hash_key`].
    hash_key: [u8; 16],
    /// What the keys of [`Vault::derive`] come from.
    derivation_key: Zeroizing<[u8; KEY_BYTES]>,
}

/// Where a value stands; authenticated with it.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) table: &'a str,
    pub(crate) key: &'a str,
    pub(crate) version: i64,
}

impl Place<'_> {
    fn context(self) -> String {
        // Neither tables nor keys hold NUL, so no two places have one context.
        format!("{}\0{}\0{}", self.table, self.key, self.version)
    }
}

/// Randomness for the nonces of one transaction, drawn before it. The same text at the same place
/// gets the same nonce, so that a transaction can run again; anything else gets another one.
pub(crate) struct NonceSeed(Zeroizing<[u8; 32]>);

impl NonceSeed {
    pub(crate) fn draw(random: &dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0u8; 32]);
        random.fill(&mut bytes[..]);
        Self(bytes)
    }

    fn nonce(&self, context: &str, text: &[u8]) -> XNonce {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0[..]).expect("a key of 32 bytes");
        mac.update(context.as_bytes());
        mac.update(b"\0");
        mac.update(text);
        let mut nonce = XNonce::default();
        nonce.copy_from_slice(&mac.finalize().into_bytes()[..NONCE_BYTES]);
        nonce
    }
}

/// Why a stored value cannot be used. Names nothing but the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The text has the prefix of sealed texts, but not their form.
    Malformed,
    /// The seal is broken, or it is that of another key, row or database.
    Broken,
    /// The row's key is no name.
    BadKey,
    /// Another row has the same key in its normal form.
    Duplicate,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "The sealed text is damaged; set the value again.",
            Self::Broken => {
                "The value was sealed for another row or database, or it was changed; set it again."
            }
            Self::BadKey => "The key has to match [A-Z_][A-Z0-9_]*; rename or delete the row.",
            Self::Duplicate => "Another row holds this key in upper case; delete one of them.",
        })
    }
}

/// The one row of the table `vault`.
struct VaultRow {
    fingerprint: String,
    data_key: String,
}

impl Vault {
    /// Opens the vault of a database, or makes it on a first start. Nodes that start at the same
    /// time agree: the first one's data key stands, and the others open it.
    ///
    /// # Errors
    /// When the master key is missing or is not the one that sealed this database; the message says
    /// how to supply it.
    pub(crate) async fn open(
        db: &Db,
        source: &MasterKeySource,
        random: &dyn Random,
        now: Timestamp,
    ) -> Result<Self> {
        if let Some(row) = db.scan(find_or_empty).await? {
            return Self::unlock(&row, &source.that_opens(&row.fingerprint)?);
        }
        let master = source.existing_or_new(random)?;
        let mut data_key = Zeroizing::new([0u8; KEY_BYTES]);
        random.fill(&mut data_key[..]);
        let sealed = seal(
            &key_cipher(&master),
            &NonceSeed::draw(random),
            DATA_KEY_PLACE,
            URL_SAFE_NO_PAD.encode(&data_key[..]).as_bytes(),
        )?;
        let fingerprint = master.fingerprint();
        let row = db
            .write(move |tx| {
                tx.execute(
                    sql!(
                        "INSERT INTO vault (id, fingerprint, data_key, created_at)
                         VALUES (1, $1, $2, $3) ON CONFLICT (id) DO NOTHING"
                    ),
                    &[&fingerprint, &sealed, &now.millis()],
                )?;
                find(tx)?.ok_or_else(|| Error::internal("the vault's row is gone"))
            })
            .await?;
        Self::unlock(&row, &master)
    }

    fn unlock(row: &VaultRow, master: &MasterKey) -> Result<Self> {
        if row.fingerprint != master.fingerprint() {
            return Err(wrong_key(master, &row.fingerprint));
        }
        let text = Self::data_key(row, master)?;
        let bytes = URL_SAFE_NO_PAD.decode(text.expose()).map_err(|_| damaged())?;
        Self::with_data_key(&Zeroizing::new(bytes)).ok_or_else(damaged)
    }

    /// The text of the data key, opened.
    fn data_key(row: &VaultRow, master: &MasterKey) -> Result<Secret> {
        let Place { table, key, .. } = DATA_KEY_PLACE;
        open(&key_cipher(master), table, key, &row.data_key).map_err(|_| damaged())
    }

    /// Seals the data key under another master key.
    ///
    /// # Errors
    /// 409 when the database has another master key than `old`.
    pub(crate) fn seal_anew(
        tx: &mut Tx<'_>,
        old: &MasterKey,
        new: &MasterKey,
        seed: &NonceSeed,
    ) -> Result<()> {
        let row = find(tx)?.ok_or_else(|| Error::internal("the vault's row is gone"))?;
        let raced = || {
            Error::new(
                downcity_types::ErrorCode::Conflict,
                "Another change of the master key was quicker; nothing was done.",
            )
        };
        if row.fingerprint != old.fingerprint() {
            return Err(raced());
        }
        let text = Self::data_key(&row, old)?;
        let sealed = seal(&key_cipher(new), seed, DATA_KEY_PLACE, text.expose().as_bytes())?;
        let changed = tx.execute(
            sql!(
                "UPDATE vault SET fingerprint = $1, data_key = $2
                 WHERE id = 1 AND fingerprint = $3"
            ),
            &[&new.fingerprint(), &sealed, &row.fingerprint],
        )?;
        if changed == 1 { Ok(()) } else { Err(raced()) }
    }

    /// The vault of a data key; `None` when that has not the length of one.
    fn with_data_key(data_key: &[u8]) -> Option<Self> {
        let cipher = XChaCha20Poly1305::new_from_slice(data_key).ok()?;
        let fingerprint_key = expand(b"downcity data key v1", data_key, b"fingerprints");
        let mut hash_key = [0; 16];
        hash_key.copy_from_slice(&expand(b"downcity data key v1", data_key, b"hash tables")[..16]);
        let derivation_key = expand(b"downcity data key v1", data_key, b"derived keys");
        Some(Self { cipher, fingerprint_key, hash_key, derivation_key })
    }

    /// What tells one secret from another without telling anything about it: `fp_` and 16
    /// hexadecimal digits of an HMAC. Equal secrets have equal fingerprints in one database, other
    /// ones in the next.
    pub(crate) fn fingerprint(&self, secret: &Secret) -> String {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.fingerprint_key[..]).expect("32 bytes");
        mac.update(secret.expose().as_bytes());
        format!("fp_{}", hex(&mac.finalize().into_bytes()[..FINGERPRINT_BYTES]))
    }

    /// A key for hash tables, the same on every node of this database and unknown outside, so that
    /// nobody can choose what collides.
    pub(crate) fn hash_key(&self) -> &[u8; 16] {
        &self.hash_key
    }

    /// A key for one purpose: the same on every node of this database and after each restart, also
    /// under another master key. Knowing it tells nothing about other keys.
    pub(crate) fn derive(&self, purpose: &str) -> Zeroizing<[u8; KEY_BYTES]> {
        expand(b"downcity derived key v1", &self.derivation_key[..], purpose.as_bytes())
    }

    /// Seals a text for a place.
    pub(crate) fn seal(&self, seed: &NonceSeed, place: Place<'_>, text: &str) -> Result<String> {
        seal(&self.cipher, seed, place, text.as_bytes())
    }

    /// Opens a sealed text that stands in this table under this key.
    pub(crate) fn open_text(
        &self,
        table: &str,
        key: &str,
        sealed: &str,
    ) -> Result<Secret, Unreadable> {
        open(&self.cipher, table, key, sealed)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

const DATA_KEY_PLACE: Place<'static> = Place { table: "vault", key: "data_key", version: 1 };

fn damaged() -> Error {
    refuse("The data key in the table vault is damaged: restore that table from a backup.")
}

/// Whether a stored text is sealed; anything else was written by hand in the clear.
pub(crate) fn is_sealed(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// The version in a sealed text; `None` when it does not have the form of one.
pub(crate) fn version_of(sealed: &str) -> Option<i64> {
    split(sealed).map(|(version, _)| version)
}

fn split(sealed: &str) -> Option<(i64, &str)> {
    let (version, rest) = sealed.strip_prefix(PREFIX)?.split_once(':')?;
    Some((version.parse().ok().filter(|version| *version > 0)?, rest))
}

fn key_cipher(master: &MasterKey) -> XChaCha20Poly1305 {
    let key = master.derive(DATA_KEY_PURPOSE);
    #[expect(clippy::expect_used, reason = "the derived key has the length of the cipher's")]
    XChaCha20Poly1305::new_from_slice(&key[..]).expect("a key of 32 bytes")
}

fn seal(
    cipher: &XChaCha20Poly1305,
    seed: &NonceSeed,
    place: Place<'_>,
    text: &[u8],
) -> Result<String> {
    let context = place.context();
    let nonce = seed.nonce(&context, text);
    let sealed = cipher
        .encrypt(&nonce, Payload { msg: text, aad: context.as_bytes() })
        .map_err(|_too_long| Error::internal("a value is too long to be sealed"))?;
    let mut bytes = nonce.to_vec();
    bytes.extend_from_slice(&sealed);
    Ok(format!("{PREFIX}{}:{}", place.version, URL_SAFE_NO_PAD.encode(bytes)))
}

fn open(
    cipher: &XChaCha20Poly1305,
    table: &str,
    key: &str,
    sealed: &str,
) -> Result<Secret, Unreadable> {
    let (version, body) = split(sealed).ok_or(Unreadable::Malformed)?;
    let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| Unreadable::Malformed)?;
    let (nonce, ciphertext) = bytes.split_at_checked(NONCE_BYTES).ok_or(Unreadable::Malformed)?;
    let nonce = XNonce::try_from(nonce).map_err(|_| Unreadable::Malformed)?;
    let context = Place { table, key, version }.context();
    let text = cipher
        .decrypt(&nonce, Payload { msg: ciphertext, aad: context.as_bytes() })
        .map_err(|_| Unreadable::Broken)?;
    String::from_utf8(text).map(Secret::new).map_err(|_| Unreadable::Broken)
}

fn find(tx: &mut Tx<'_>) -> Result<Option<VaultRow>> {
    let row = tx.query_opt(sql!("SELECT fingerprint, data_key FROM vault WHERE id = 1"), &[])?;
    row.map(|row| {
        Ok(VaultRow { fingerprint: row.get("fingerprint")?, data_key: row.get("data_key")? })
    })
    .transpose()
}

/// The vault's row; `None` in a database that holds nothing sealed. One transaction sees both: what
/// another node that starts now makes in between must not look like a row that was lost.
fn find_or_empty(tx: &mut Tx<'_>) -> Result<Option<VaultRow>> {
    let row = find(tx)?;
    if row.is_none() && holds_sealed_values(tx)? {
        return Err(refuse(
            "The database holds sealed values, but the table vault, which holds their key, is empty: restore that table from a backup.",
        ));
    }
    Ok(row)
}

fn holds_sealed_values(tx: &mut Tx<'_>) -> Result<bool> {
    let sealed = tx.query(
        sql!("SELECT key FROM env WHERE substr(CAST(value AS TEXT), 1, 10) = $1 LIMIT 1"),
        &[&PREFIX],
    )?;
    let kept = tx.query(sql!("SELECT key FROM env_versions LIMIT 1"), &[])?;
    let of_cities = tx.query(
        sql!("SELECT key FROM city_env WHERE substr(CAST(value AS TEXT), 1, 10) = $1 LIMIT 1"),
        &[&PREFIX],
    )?;
    Ok(!sealed.is_empty() || !kept.is_empty() || !of_cities.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemRandom;

    fn vault() -> Vault {
        Vault::with_data_key(&[7; KEY_BYTES]).unwrap()
    }

    fn place(key: &str, version: i64) -> Place<'_> {
        Place { table: "env", key, version }
    }

    #[test]
    fn what_is_sealed_opens_at_its_place_only() {
        let vault = vault();
        let seed = NonceSeed::draw(&SystemRandom);
        for text in ["", "x", "sk-secret", "line\nline\0ü"] {
            let sealed = vault.seal(&seed, place("K", 3), text).unwrap();
            assert!(sealed.starts_with("sealed:v1:3:"), "{sealed}");
            assert_eq!(version_of(&sealed), Some(3));
            assert_eq!(vault.open_text("env", "K", &sealed).unwrap().expose(), text);
            let elsewhere = [("env", "L"), ("other", "K")];
            for (table, key) in elsewhere {
                let found = vault.open_text(table, key, &sealed);
                assert_eq!(found.unwrap_err(), Unreadable::Broken);
            }
            let later = sealed.replacen(":3:", ":4:", 1);
            assert_eq!(vault.open_text("env", "K", &later).unwrap_err(), Unreadable::Broken);
        }
    }

    #[test]
    fn fingerprints_tell_secrets_and_databases_apart() {
        let fingerprint = |vault: &Vault, text: &str| vault.fingerprint(&Secret::new(text));
        let other = Vault::with_data_key(&[8; KEY_BYTES]).unwrap();
        let one = fingerprint(&vault(), "sk-one");
        assert_eq!((one.len(), &one[..3]), (19, "fp_"));
        assert_eq!(fingerprint(&vault(), "sk-one"), one);
        assert_ne!(fingerprint(&vault(), "sk-two"), one);
        assert_ne!(fingerprint(&other, "sk-one"), one);
        assert!(Vault::with_data_key(&[7; KEY_BYTES - 1]).is_none());
    }

    #[test]
    fn derived_keys_are_those_of_one_purpose_and_database() {
        let other = Vault::with_data_key(&[8; KEY_BYTES]).unwrap();
        assert_eq!(vault().derive("files"), vault().derive("files"));
        assert_ne!(vault().derive("files"), vault().derive("file"));
        assert_ne!(vault().derive("files"), other.derive("files"));
        assert_ne!(vault().derive("fingerprints"), vault().fingerprint_key);
    }

    #[test]
    fn every_changed_byte_breaks_the_seal() {
        let vault = vault();
        let sealed = vault.seal(&NonceSeed::draw(&SystemRandom), place("K", 1), "value").unwrap();
        let body = sealed.strip_prefix("sealed:v1:1:").unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(body).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let text = format!("sealed:v1:1:{}", URL_SAFE_NO_PAD.encode(changed));
            assert_eq!(vault.open_text("env", "K", &text).unwrap_err(), Unreadable::Broken);
        }
        for text in
            ["sealed:v1:", "sealed:v1:1:", "sealed:v1:0:AA", "sealed:v1:x:AA", "sealed:v1:1:ä"]
        {
            assert_eq!(vault.open_text("env", "K", text).unwrap_err(), Unreadable::Malformed);
        }
    }

    #[test]
    fn nonces_repeat_for_the_same_text_at_the_same_place_only() {
        let vault = vault();
        let seed = NonceSeed::draw(&SystemRandom);
        let nonce = |seed: &NonceSeed, key: &str, version: i64, text: &str| {
            let sealed = vault.seal(seed, place(key, version), text).unwrap();
            let (_, body) = split(&sealed).unwrap();
            URL_SAFE_NO_PAD.decode(body).unwrap()[..NONCE_BYTES].to_vec()
        };
        let first = nonce(&seed, "K", 1, "a");
        assert_eq!(nonce(&seed, "K", 1, "a"), first);
        for (key, version, text) in [("K", 1, "b"), ("K", 2, "a"), ("L", 1, "a")] {
            assert_ne!(nonce(&seed, key, version, text), first);
        }
        assert_ne!(nonce(&NonceSeed::draw(&SystemRandom), "K", 1, "a"), first);
    }
}
