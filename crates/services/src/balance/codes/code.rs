//! A redeem code as text: how one is made, read, shown and stored.

use downcity_core::hex::hex;
use downcity_core::{Error, Random, Result, Secret};
use sha2::{Digest as _, Sha256};

/// Letters and digits that nobody takes for one another; 32, so that five random bits make one.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Symbols of a generated code: 80 random bits.
pub(super) const SYMBOLS: usize = 16;

const GROUP: usize = 4;

/// Symbols of the shortest code that an operator may choose.
const SHORTEST: usize = 12;

/// Symbols of the longest.
const LONGEST: usize = 64;

/// Symbols that a mask shows on each side, at most.
const SHOWN: usize = 4;

/// A code in the form in which it is compared: letters and digits alone, in upper case.
#[derive(Clone, Debug)]
pub(super) struct Code(Secret);

impl Code {
    /// A new code.
    pub(super) fn generate(random: &dyn Random) -> Self {
        let mut bytes = [0; SYMBOLS];
        random.fill(&mut bytes);
        Self::of_bytes(bytes)
    }

    /// The code that these random bytes stand for; five bits of each count.
    pub(super) fn of_bytes(bytes: [u8; SYMBOLS]) -> Self {
        let symbols = bytes.map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
        Self(Secret::new(symbols.iter().collect::<String>()))
    }

    /// A code as somebody typed it: case, spaces and hyphens do not count.
    ///
    /// # Errors
    /// 400 for a text that is no code.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let symbols: String = text
            .trim()
            .chars()
            .filter(|symbol| !matches!(symbol, ' ' | '-'))
            .map(|symbol| symbol.to_ascii_uppercase())
            .collect();
        if symbols.is_empty() {
            return Err(Error::invalid("code", "is required"));
        }
        if !symbols.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Error::invalid("code", "must contain only letters and numbers"));
        }
        if symbols.len() > LONGEST {
            return Err(Error::invalid("code", format!("must have at most {LONGEST} symbols")));
        }
        Ok(Self(Secret::new(symbols)))
    }

    /// A code that an operator chose.
    ///
    /// # Errors
    /// 400 for a text that is no code, or one that is easily guessed.
    pub(super) fn choose(text: &str) -> Result<Self> {
        let code = Self::parse(text)?;
        if code.symbols().len() < SHORTEST {
            return Err(Error::invalid(
                "code",
                format!(
                    "must have at least {SHORTEST} letters and numbers; shorter ones are guessed"
                ),
            ));
        }
        Ok(code)
    }

    fn symbols(&self) -> &str {
        self.0.expose()
    }

    /// The code without hyphens.
    pub(super) fn plain(&self) -> String {
        self.symbols().to_owned()
    }

    /// The code in groups of four.
    pub(super) fn grouped(&self) -> String {
        let mut text = String::with_capacity(self.symbols().len() * 5 / 4);
        for (index, symbol) in self.symbols().chars().enumerate() {
            if index > 0 && index % GROUP == 0 {
                text.push('-');
            }
            text.push(symbol);
        }
        text
    }

    /// What lists show: both ends, never more than half of it.
    pub(super) fn mask(&self) -> String {
        let symbols = self.symbols();
        let side = SHOWN.min(symbols.len() / 4);
        let hidden = "*".repeat(symbols.len() - 2 * side);
        format!("{}-{hidden}-{}", &symbols[..side], &symbols[symbols.len() - side..])
    }

    /// What is stored: the SHA-256 of the symbols, in hexadecimal digits.
    pub(super) fn hash(&self) -> String {
        hex(&Sha256::digest(self.symbols()))
    }
}

#[cfg(test)]
mod tests {
    use downcity_testkit::TestRandom;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_known_code_has_a_known_hash() {
        let hash = "7cf629bb82226bfb6356859edb341b8f36a74d8997c4fe385dbef6dc85c5c4bb";
        for typed in ["ABCD-EFGH-JKLM-NPQR", " abcdefgh jklmnpqr\n", "AbCd--EfGh-jKlM npqr"] {
            assert_eq!(Code::parse(typed).unwrap().hash(), hash, "{typed}");
        }
    }

    #[test]
    fn masks_never_show_more_than_half() {
        let mask = |code| Code::parse(code).unwrap().mask();
        assert_eq!(mask("JKR6ABCDEFGHZN3M"), "JKR6-********-ZN3M");
        assert_eq!(mask("ABCDEFGH2345"), "ABC-******-345");
        assert_eq!(mask("ABCDEFGH"), "AB-****-GH");
        assert_eq!(mask("ABC"), "-***-");
        assert_eq!(mask(&"X".repeat(40)), format!("XXXX-{}-XXXX", "*".repeat(32)));
    }

    #[test]
    fn what_is_no_code_is_refused() {
        for (text, why) in [
            ("", "required"),
            (" - ", "required"),
            ("ABCD_EFGH", "letters"),
            ("ÄBCDEFGHIJKLM", "letters"),
            ("ABCD\0", "letters"),
            (&"A".repeat(65), "at most 64"),
        ] {
            let error = Code::parse(text).unwrap_err();
            assert_eq!(error.status(), 400);
            assert!(error.message().contains(why), "{text}: {error:?}");
        }
        assert_eq!(Code::choose("AB-AB-AB-AB-A").unwrap_err().status(), 400);
        assert!(Code::choose("AB-AB-AB-AB-AB-AB").is_ok());
    }

    #[test]
    fn generated_codes_use_every_symbol_and_read_back() {
        let random = TestRandom::new(7);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let code = Code::generate(&random);
            let shown = code.grouped();
            assert_eq!(shown.len(), 19);
            assert_eq!(shown.split('-').map(str::len).collect::<Vec<_>>(), [4; 4]);
            assert_eq!(Code::parse(&shown).unwrap().hash(), code.hash());
            seen.extend(code.plain().into_bytes());
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), {
            let mut all = ALPHABET.to_vec();
            all.sort_unstable();
            all
        });
    }

    proptest! {
        #[test]
        fn any_text_is_a_code_or_an_error(text: String) {
            if let Ok(code) = Code::parse(&text) {
                prop_assert_eq!(Code::parse(&code.grouped()).unwrap().plain(), code.plain());
                let shown = code.mask().bytes().filter(u8::is_ascii_alphanumeric).count();
                prop_assert!(shown * 2 <= code.plain().len());
            }
        }
    }
}
