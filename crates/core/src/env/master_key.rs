//! The master key: where it comes from, and the keys derived from it.

use std::fmt;
use std::io::{ErrorKind, Read, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use downcity_db::DbUrl;
use downcity_types::ErrorCode;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{Error, Random, Result};

/// The file that a first start makes beside a SQLite database.
const FILE_NAME: &str = "master.key";
/// The fewest characters of a passphrase.
const PASSPHRASE_MIN_CHARS: usize = 32;
const HOW_TO_SUPPLY: &str = "Set DOWNCITY_FEDERATION_MASTER_KEY to the key, or DOWNCITY_FEDERATION_MASTER_KEY_FILE to a file that holds it";

/// The key that seals the vault's data key: 32 bytes, wiped from memory after use.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// Reads a key: 32 bytes as 64 hexadecimal digits or as base64 or base64url (padding optional),
    /// or else a passphrase of at least 32 characters. White space around it does not count.
    ///
    /// # Errors
    /// When the text is none of these. The message shows nothing of it.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        if let Some(bytes) = from_hex(text).or_else(|| from_base64(text)) {
            return Ok(Self(bytes));
        }
        if text.chars().count() < PASSPHRASE_MIN_CHARS {
            return Err(refuse(format!(
                "The master key is too short: give 32 random bytes as base64 or hex (openssl rand -base64 32 makes them), or a passphrase of at least {PASSPHRASE_MIN_CHARS} characters."
            )));
        }
        Ok(Self(expand(b"downcity passphrase v1", text.as_bytes(), b"master key")))
    }

    /// A new random key, and the text of it for a file.
    pub fn generate(random: &dyn Random) -> (Self, Zeroizing<String>) {
        let mut bytes = Zeroizing::new([0u8; 32]);
        random.fill(&mut bytes[..]);
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(&bytes[..]));
        (Self(bytes), text)
    }

    /// The text of the key for a file.
    pub(crate) fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(&self.0[..]))
    }

    /// Reads the key that stands in a file.
    ///
    /// # Errors
    /// When the file cannot be read or holds no key; the message names the file.
    pub fn read_file(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| {
            refuse(format!("The master key file {} cannot be read: {error}.", path.display()))
        })?;
        warn_if_open_to_others(path);
        Self::parse(&text)
            .map_err(|error| refuse(format!("{}: {}", path.display(), error.message())))
    }

    /// Reads a key to the end of a stream, such as standard input.
    ///
    /// # Errors
    /// When the stream cannot be read or holds no key.
    pub fn read_stream(stream: &mut impl Read) -> Result<Self> {
        let mut text = Zeroizing::new(String::new());
        stream
            .read_to_string(&mut text)
            .map_err(|error| refuse(format!("The master key cannot be read: {error}.")))?;
        Self::parse(&text)
    }

    /// A key for one purpose: knowing it tells nothing about the master key or other purposes.
    pub(crate) fn derive(&self, purpose: &[u8]) -> Zeroizing<[u8; 32]> {
        expand(b"downcity master key v1", &self.0[..], purpose)
    }

    /// What tells one key from another without telling anything about it: 32 hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        let derived = self.derive(b"fingerprint");
        derived.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// Where the master key comes from.
#[derive(Clone, Debug)]
pub enum MasterKeySource {
    /// It was supplied.
    Given(MasterKey),
    /// It stands in this file, which a first start makes: only while the database holds nothing
    /// sealed, for what is sealed needs the key that sealed it.
    File(PathBuf),
}

impl From<MasterKey> for MasterKeySource {
    fn from(key: MasterKey) -> Self {
        Self::Given(key)
    }
}

impl MasterKeySource {
    /// Finds the source: the key itself (`DOWNCITY_FEDERATION_MASTER_KEY`), else a file that has to
    /// exist (`DOWNCITY_FEDERATION_MASTER_KEY_FILE`), else `master.key` beside a SQLite database.
    /// Blank counts as not given.
    ///
    /// # Errors
    /// When what is given is no key, or when nothing is given and there is no place for a file: a
    /// database that many nodes share needs one key that all of them know.
    pub fn resolve(key: Option<&str>, file: Option<&Path>, database: &DbUrl) -> Result<Self> {
        if let Some(text) = key.filter(|text| !text.trim().is_empty()) {
            return MasterKey::parse(text).map(Self::Given);
        }
        if let Some(path) = file.filter(|path| !path.as_os_str().is_empty()) {
            return MasterKey::read_file(path).map(Self::Given);
        }
        match database.sqlite_path() {
            Some(path) => Ok(Self::File(path.with_file_name(FILE_NAME))),
            None => Err(refuse(format!(
                "A PostgreSQL database needs a master key that all its nodes share. {HOW_TO_SUPPLY}; openssl rand -base64 32 makes one."
            ))),
        }
    }

    /// The key that has to exist already, because the database holds what it sealed.
    pub(crate) fn existing(&self) -> Result<MasterKey> {
        match self {
            Self::Given(key) => Ok(key.clone()),
            Self::File(path) if path.exists() => MasterKey::read_file(path),
            Self::File(path) => Err(refuse(format!(
                "The database holds sealed values, but their master key is not at {}. Put the file back. {HOW_TO_SUPPLY}.",
                path.display()
            ))),
        }
    }

    /// The key of a database with this fingerprint. A change of the key file that was broken off
    /// after the database took the new key is completed.
    pub(crate) fn that_opens(&self, fingerprint: &str) -> Result<MasterKey> {
        let Self::File(path) = self else { return self.existing() };
        let next = next_file(path);
        let read = |path: &Path| {
            let key = path.exists().then(|| MasterKey::read_file(path));
            key.and_then(Result::ok)
        };
        let opens = |key: &MasterKey| key.fingerprint() == fingerprint;
        let old = read(path);
        if !old.as_ref().is_some_and(opens)
            && let Some(key) = read(&next).filter(opens)
        {
            match take_next(path, &next, old.as_ref()) {
                Ok(_) => {
                    tracing::info!(file = %path.display(), "the change of the master key file was completed")
                }
                Err(error) => tracing::warn!(%error, "the new master key stays where it is"),
            }
            return Ok(key);
        }
        self.existing()
    }

    /// The key, made now where its file does not exist yet.
    pub(crate) fn existing_or_new(&self, random: &dyn Random) -> Result<MasterKey> {
        match self {
            Self::File(path) if !path.exists() => {
                let (_, text) = MasterKey::generate(random);
                create_file(path, &text).map_err(|error| {
                    refuse(format!(
                        "The master key file {} cannot be made: {error}. {HOW_TO_SUPPLY}.",
                        path.display()
                    ))
                })?;
                // What is used is what stands there: another node may have been first.
                MasterKey::read_file(path)
            }
            _ => self.existing(),
        }
    }
}

/// The answer to a key that did not seal this database.
pub(crate) fn wrong_key(given: &MasterKey, stored: &str) -> Error {
    refuse(format!(
        "This database was sealed with another master key: its fingerprint is {stored}, that of the given key is {}. Start with the key that sealed it. {HOW_TO_SUPPLY}.",
        given.fingerprint()
    ))
}

pub(crate) fn refuse(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::MissingConfig, message.into())
}

/// HKDF: a key for one purpose.
pub(super) fn expand(salt: &[u8], secret: &[u8], purpose: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut derived = Zeroizing::new([0u8; 32]);
    #[expect(clippy::expect_used, reason = "HKDF-SHA256 gives up to 8,160 bytes; these are 32")]
    Hkdf::<Sha256>::new(Some(salt), secret)
        .expand(purpose, &mut derived[..])
        .expect("32 bytes can be derived");
    derived
}

fn from_hex(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = Zeroizing::new([0u8; 32]);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}

fn from_base64(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let text = text.trim_end_matches('=');
    let decoded = URL_SAFE_NO_PAD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok()?;
    let decoded = Zeroizing::new(decoded);
    <[u8; 32]>::try_from(&decoded[..]).ok().map(Zeroizing::new)
}

/// Makes the file, whole or not at all, readable by its owner alone; an existing file stays as it is.
pub(super) fn create_file(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = folder_of(path);
    std::fs::create_dir_all(folder)?;
    // Written under another name first, so that nobody ever reads half a key.
    let draft = beside(path, &format!("{}.new", std::process::id()));
    let made = write_new(&draft, text).and_then(|()| match std::fs::hard_link(&draft, path) {
        // Some file systems know no links. A rename could replace what another node has just made.
        Err(error) if error.kind() != ErrorKind::AlreadyExists => write_new(path, text),
        linked => linked,
    });
    let _ = std::fs::remove_file(&draft);
    match made {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => made?,
    }
    #[cfg(unix)]
    std::fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// Where the next key of a key file stands while the database changes to it.
pub(super) fn next_file(path: &Path) -> PathBuf {
    beside(path, "next")
}

/// Puts the next key in the place of the one in the file, which is kept under a name with its
/// fingerprint; gives that name.
///
/// # Errors
/// When the folder cannot be written; the message says what to do.
pub(super) fn take_next(
    path: &Path,
    next: &Path,
    old: Option<&MasterKey>,
) -> Result<Option<PathBuf>> {
    let kept = old.map(|old| (beside(path, &old.fingerprint()[..8]), old.text()));
    let taken = || -> std::io::Result<()> {
        if let Some((kept, text)) = &kept {
            create_file(kept, text)?;
        }
        match std::fs::rename(next, path) {
            // Somebody else, such as a node that starts, has completed the change.
            Err(error) if error.kind() == ErrorKind::NotFound && path.exists() => {}
            renamed => renamed?,
        }
        #[cfg(unix)]
        std::fs::File::open(folder_of(path))?.sync_all()?;
        Ok(())
    };
    taken().map_err(|error| {
        refuse(format!(
            "The database has the new master key, which stands in {}, but that file cannot take the place of {}: {error}. Rename it by hand.",
            next.display(),
            path.display()
        ))
    })?;
    Ok(kept.map(|(kept, _)| kept))
}

pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

fn warn_if_open_to_others(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).map(|found| found.permissions().mode()).unwrap_or(0);
        if mode & 0o077 != 0 {
            tracing::warn!(
                file = %path.display(),
                "others can read the master key file; chmod 600 it"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemRandom;

    fn url(text: &str) -> DbUrl {
        text.parse().unwrap()
    }

    #[test]
    fn one_key_in_every_spelling() {
        let hex = "00".repeat(31) + "Ff";
        let base64 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAP8=";
        let fingerprint = MasterKey::parse(&hex).unwrap().fingerprint();
        assert_eq!(fingerprint.len(), 32);
        for text in [base64, base64.trim_end_matches('='), &format!(" {base64}\n")] {
            assert_eq!(MasterKey::parse(text).unwrap().fingerprint(), fingerprint, "{text:?}");
        }
        let standard = MasterKey::parse(&format!("{}+/8=", "A".repeat(40))).unwrap();
        let url_safe = MasterKey::parse(&format!("{}-_8", "A".repeat(40))).unwrap();
        assert_eq!(standard.fingerprint(), url_safe.fingerprint());
    }

    #[test]
    fn passphrases_are_long_and_refusals_show_nothing() {
        let phrase = "correct horse battery staple, and more of that";
        let key = MasterKey::parse(phrase).unwrap();
        assert_ne!(
            key.fingerprint(),
            MasterKey::parse(&format!("{phrase}!")).unwrap().fingerprint()
        );
        for text in ["", "hunter2hunter2", &"x".repeat(31)] {
            let error = MasterKey::parse(text).unwrap_err();
            assert!(error.message().contains("too short"), "{text:?}");
            assert!(text.is_empty() || !format!("{error:?}").contains(text));
        }
        assert!(!format!("{key:?}").contains("correct"));
    }

    #[test]
    fn a_generated_key_is_read_back_from_its_text() {
        let (key, text) = MasterKey::generate(&SystemRandom);
        assert_eq!(MasterKey::parse(&text).unwrap().fingerprint(), key.fingerprint());
        assert_eq!(text.len(), 43);
    }

    #[test]
    fn the_key_beats_the_file_and_the_file_beats_the_place_beside_the_database() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("k");
        std::fs::write(&file, "a".repeat(64)).unwrap();
        let given = |source| match source {
            MasterKeySource::Given(key) => key.fingerprint(),
            MasterKeySource::File(path) => path.display().to_string(),
        };
        let sqlite = url("sqlite:.base/downcity.sqlite");
        let key = "b".repeat(64);
        let of = |text: &str| MasterKey::parse(text).unwrap().fingerprint();
        let resolve = |key: Option<&str>, file: Option<&Path>| {
            given(MasterKeySource::resolve(key, file, &sqlite).unwrap())
        };
        assert_eq!(resolve(Some(&key), Some(&file)), of(&key));
        assert_eq!(resolve(Some(" "), Some(&file)), of(&"a".repeat(64)));
        assert_eq!(resolve(None, None), ".base/master.key");
        let missing = MasterKeySource::resolve(None, Some(&folder.path().join("none")), &sqlite);
        assert!(missing.unwrap_err().message().contains("cannot be read"));
        let postgres = MasterKeySource::resolve(None, None, &url("postgres://u@localhost/d"));
        assert!(postgres.unwrap_err().message().contains("DOWNCITY_FEDERATION_MASTER_KEY"));
    }

    #[test]
    fn a_key_file_is_private_whole_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/master.key");
        let source = MasterKeySource::File(path.clone());
        assert!(source.existing().unwrap_err().message().contains("Put the file back"));
        let key = source.existing_or_new(&SystemRandom).unwrap();
        assert_eq!(source.existing_or_new(&SystemRandom).unwrap().fingerprint(), key.fingerprint());
        create_file(&path, "another").unwrap();
        assert_eq!(source.existing().unwrap().fingerprint(), key.fingerprint());
        let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1, "no draft is left behind");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
