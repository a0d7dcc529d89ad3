//! Passwords: what is taken, and how their hashes are written and compared. Nothing here waits or
//! limits itself: see [`super::hasher`].

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use downcity_core::{Error, Result, Secret};
use downcity_types::ErrorCode;
use subtle::ConstantTimeEq as _;
use unicode_normalization::UnicodeNormalization as _;

/// Fewest and most characters of a password.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=128;

/// Longest text that is compared with a hash: what cannot be a password costs no hash.
const MAX_ATTEMPT_BYTES: usize = 4_096;

/// Memory in KiB, passes and lanes of new hashes (OWASP's first choice of 2024).
const MEMORY: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const HASH_BYTES: usize = 32;
pub(super) const SALT_BYTES: usize = 16;

/// The most that a stored hash may ask for; imported ones could ask for anything.
const MAX_MEMORY: u32 = 65_536;
const MAX_PASSES: u32 = 10;
const MAX_LANES: u32 = 4;

/// Kinds of hashes, as the table names them.
pub(super) const ARGON2ID: &str = "argon2id";
const SCRYPT: &str = "scrypt";

/// scrypt as earlier generations use it: N = 2^14, r = 16, p = 1.
const SCRYPT_LOG_N: u8 = 14;
const SCRYPT_R: u32 = 16;
const SCRYPT_P: u32 = 1;
const SCRYPT_BYTES: usize = 64;

/// A password in its normal form (NFKC), so that it is one text on every keyboard.
#[derive(Clone, Debug)]
pub(super) struct Password(Secret);

impl Password {
    /// A password that somebody chooses.
    ///
    /// # Errors
    /// 400 when it has fewer than 8 or more than 128 characters.
    pub(super) fn new(text: &Secret) -> Result<Self> {
        let password = Self::attempt(text);
        let length = password.0.expose().chars().count();
        let problem = if length < *LENGTH.start() {
            "password must be at least 8 characters"
        } else if length > *LENGTH.end() {
            "password must be at most 128 characters"
        } else {
            return Ok(password);
        };
        Err(Error::new(ErrorCode::InvalidInput, problem).with_field("password", problem))
    }

    /// A password that somebody tries; any text.
    pub(super) fn attempt(text: &Secret) -> Self {
        let text = text.expose();
        if text.len() > MAX_ATTEMPT_BYTES {
            // The empty text is the password of nobody.
            return Self(Secret::default());
        }
        Self(Secret::new(text.nfkc().collect::<String>()))
    }

    fn bytes(&self) -> &[u8] {
        self.0.expose().as_bytes()
    }
}

/// A stored hash, taken apart.
#[derive(Clone, Debug)]
pub(super) enum Stored {
    /// `$argon2id$v=19$m=19456,t=2,p=1$salt$hash`
    Argon2 { memory: u32, passes: u32, lanes: u32, salt: Vec<u8>, hash: Vec<u8> },
    /// `salt:key`: a salt whose characters are its bytes, and a key in hexadecimal.
    Scrypt { salt: String, key: Vec<u8> },
}

impl Stored {
    /// Takes a stored hash apart; `None` when it has neither form, or asks for more work than this
    /// server does for one password.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("$argon2id$v=19$") {
            return Self::parse_argon2(rest);
        }
        let (salt, key) = text.split_once(':')?;
        let key = unhex(key)?;
        let good =
            (1..=128).contains(&salt.len()) && !salt.contains('\0') && key.len() == SCRYPT_BYTES;
        good.then(|| Self::Scrypt { salt: salt.to_owned(), key })
    }

    fn parse_argon2(rest: &str) -> Option<Self> {
        let mut parts = rest.split('$');
        let (costs, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
        let mut costs = costs.split(',');
        let mut cost =
            |name: &str| costs.next()?.strip_prefix(name)?.strip_prefix('=')?.parse::<u32>().ok();
        let (memory, passes, lanes) = (cost("m")?, cost("t")?, cost("p")?);
        let salt = STANDARD_NO_PAD.decode(salt).ok()?;
        let hash = STANDARD_NO_PAD.decode(hash).ok()?;
        let fits = (1..=MAX_LANES).contains(&lanes)
            && (8 * lanes..=MAX_MEMORY).contains(&memory)
            && (1..=MAX_PASSES).contains(&passes)
            && (8..=64).contains(&salt.len())
            && (16..=64).contains(&hash.len());
        let whole = parts.next().is_none() && costs.next().is_none();
        (fits && whole).then_some(Self::Argon2 { memory, passes, lanes, salt, hash })
    }

    /// The kind, as the table names it.
    pub(super) fn scheme(&self) -> &'static str {
        match self {
            Self::Argon2 { .. } => ARGON2ID,
            Self::Scrypt { .. } => SCRYPT,
        }
    }

    /// Whether new hashes are made with these figures.
    pub(super) fn is_current(&self) -> bool {
        matches!(self, Self::Argon2 { memory: MEMORY, passes: PASSES, lanes: LANES, hash, .. }
            if hash.len() == HASH_BYTES)
    }

    /// Whether this is the hash of the password.
    pub(super) fn matches(&self, password: &Password, blocks: &mut [Block]) -> bool {
        match self {
            Self::Argon2 { memory, passes, lanes, salt, hash } => {
                let mut found = vec![0; hash.len()];
                let costs = (*memory, *passes, *lanes);
                argon2(password, salt, costs, &mut found, blocks) && equal(&found, hash)
            }
            Self::Scrypt { salt, key } => equal(&scrypt_key(password, salt), key),
        }
    }
}

/// The number of memory blocks (of 1 KiB) of one new hash.
pub(super) const BLOCKS: usize = MEMORY as usize;

/// A new hash.
pub(super) fn hash(
    password: &Password,
    salt: &[u8; SALT_BYTES],
    blocks: &mut [Block],
) -> Result<String> {
    let mut hash = [0; HASH_BYTES];
    if !argon2(password, salt, (MEMORY, PASSES, LANES), &mut hash, blocks) {
        return Err(Error::internal("the parameters of argon2 are wrong"));
    }
    let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    Ok(format!("$argon2id$v=19$m={MEMORY},t={PASSES},p={LANES}${salt}${hash}"))
}

/// The work of comparing with a hash of the earlier kind, for nothing.
pub(super) fn waste_scrypt(password: &Password, salt: &[u8; SALT_BYTES]) {
    std::hint::black_box(scrypt_key(password, &STANDARD_NO_PAD.encode(salt)));
}

fn argon2(
    password: &Password,
    salt: &[u8],
    (memory, passes, lanes): (u32, u32, u32),
    hash: &mut [u8],
    blocks: &mut [Block],
) -> bool {
    let Ok(params) = Params::new(memory, passes, lanes, Some(hash.len())) else { return false };
    let needed = params.block_count();
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    match blocks.get_mut(..needed) {
        Some(blocks) => {
            hasher.hash_password_into_with_memory(password.bytes(), salt, hash, blocks).is_ok()
        }
        None => hasher.hash_password_into(password.bytes(), salt, hash).is_ok(),
    }
}

fn scrypt_key(password: &Password, salt: &str) -> [u8; SCRYPT_BYTES] {
    let mut key = [0; SCRYPT_BYTES];
    if let Ok(params) = scrypt::Params::new(SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P) {
        // Cannot fail for a key of this length; a key of zeros would match no stored one.
        let _ = scrypt::scrypt(password.bytes(), salt.as_bytes(), &params, &mut key);
    }
    key
}

fn equal(found: &[u8], stored: &[u8]) -> bool {
    found.ct_eq(stored).into()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digits.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hash that an earlier generation has stored.
    const VECTOR: &str = "000102030405060708090a0b0c0d0e0f:eedf8cd62212c4ef27d18a5f1f23f875e2571a8d6bc3cea577255d2cfe8729d8d4646badd72958bccbc96ef736af3a9cc0a4735cee8541bee27d392aeafffc3c";

    fn attempt(text: &str) -> Password {
        Password::attempt(&Secret::new(text))
    }

    #[test]
    fn hashes_of_earlier_generations_compare() {
        let stored = Stored::parse(VECTOR).unwrap();
        assert_eq!((stored.scheme(), stored.is_current()), (SCRYPT, false));
        assert!(stored.matches(&attempt("password123"), &mut []));
        assert!(stored.matches(&attempt("ｐassword123"), &mut []), "NFKC makes them one");
        assert!(!stored.matches(&attempt("password124"), &mut []));
    }

    #[test]
    fn new_hashes_compare_and_are_current() {
        let mut blocks = vec![Block::new(); BLOCKS];
        let text = hash(&attempt("correct horse"), &[7; SALT_BYTES], &mut blocks).unwrap();
        let stored = Stored::parse(&text).unwrap();
        assert!(stored.is_current() && stored.scheme() == ARGON2ID);
        assert!(stored.matches(&attempt("correct horse"), &mut blocks));
        assert!(stored.matches(&attempt("correct horse"), &mut []), "with memory of its own");
        assert!(!stored.matches(&attempt("correct horsf"), &mut blocks));
    }

    #[test]
    fn hashes_that_ask_for_too_much_are_no_hashes() {
        let salt = "c2FsdHNhbHQ";
        let key = STANDARD_NO_PAD.encode([1; 32]);
        let argon2 = |costs: &str| Stored::parse(&format!("$argon2id$v=19${costs}${salt}${key}"));
        assert!(argon2("m=19456,t=2,p=1").is_some_and(|stored| stored.is_current()));
        assert!(argon2("m=65536,t=3,p=4").is_some_and(|stored| !stored.is_current()));
        for bad in [
            "m=65537,t=2,p=1",
            "m=64,t=11,p=1",
            "m=64,t=1,p=5",
            "m=64,t=1,p=4294967295",
            "m=64,t=1,p=536870912",
            "m=64,t=1,p=0",
            "m=7,t=1,p=1",
            "t=2,m=64,p=1",
        ] {
            assert!(argon2(bad).is_none(), "{bad}");
        }
        for bad in [
            "",
            ":",
            "salt:",
            "salt:00",
            &VECTOR.replacen('0', "\0", 1),
            "$argon2id$v=19$",
            "$2b$12$x",
            &VECTOR[1..VECTOR.len() - 2],
        ] {
            assert!(Stored::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn passwords_have_8_to_128_characters() {
        let new = |text: &str| Password::new(&Secret::new(text));
        for good in ["12345678", "пароль12", &"x".repeat(128)] {
            assert!(new(good).is_ok(), "{good}");
        }
        for bad in ["", "1234567", &"x".repeat(129), &"x".repeat(5_000)] {
            assert_eq!(new(bad).unwrap_err().details()[0].path, "password");
        }
    }
}
