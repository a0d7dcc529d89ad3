//! Keeping the Federation's own key out of what a provider says.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use downcity_core::Secret;
use memchr::memmem::Finder;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Shorter values are masked in sentences, not in bytes: there they could be part of the form.
const SHORTEST_IN_BYTES: usize = 6;
/// What takes the place of a key in a sentence.
const MASKED: &str = "***";

/// A provider's key in every spelling that an answer may repeat it in: as it is, escaped as in JSON,
/// and as in a URL. Most keys have one spelling.
#[derive(Default)]
pub(crate) struct Mask {
    spellings: Vec<Spelling>,
}

struct Spelling {
    text: Secret,
    finder: Finder<'static>,
}

impl Mask {
    pub(crate) fn new(secret: Option<&Secret>) -> Self {
        let key = secret.map_or("", |secret| secret.expose().trim());
        if key.is_empty() {
            return Self::default();
        }
        let quoted = serde_json::Value::from(key).to_string();
        let escaped = quoted[1..quoted.len() - 1].to_owned();
        let in_url = utf8_percent_encode(key, NON_ALPHANUMERIC).to_string();
        let slashed = escaped.replace('/', "\\/");
        let mut spellings: Vec<Spelling> = Vec::with_capacity(1);
        for text in [key.to_owned(), escaped, slashed, in_url] {
            if spellings.iter().all(|known| known.text.expose() != text) {
                let finder = Finder::new(text.as_bytes()).into_owned();
                spellings.push(Spelling { text: Secret::new(text), finder });
            }
        }
        // Streams keep it for as long as they are open.
        spellings.shrink_to_fit();
        Self { spellings }
    }

    /// A sentence without the key.
    pub(crate) fn sentence<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for spelling in &self.spellings {
            if text.contains(spelling.text.expose()) {
                text = Cow::Owned(text.replace(spelling.text.expose(), MASKED));
            }
        }
        text
    }

    /// Bytes without the key, their length unchanged; without a copy where they do not hold it.
    pub(crate) fn bytes(&self, bytes: Bytes) -> Bytes {
        let mut masked: Option<BytesMut> = None;
        for spelling in self.in_bytes() {
            let length = spelling.finder.needle().len();
            let mut from = 0;
            while let Some(hit) = spelling.finder.find(&bytes[from..]) {
                let copy = masked.get_or_insert_with(|| BytesMut::from(&bytes[..]));
                copy[from + hit..from + hit + length].fill(b'*');
                from += hit + length;
            }
        }
        masked.map_or(bytes, BytesMut::freeze)
    }

    /// How many of the last bytes may be the begin of a key, the rest of which is to come.
    pub(crate) fn begun(&self, bytes: &[u8]) -> usize {
        let begun = |spelling: &Spelling| {
            let key = spelling.finder.needle();
            let most = bytes.len().min(key.len() - 1);
            (1..=most).rev().find(|&length| bytes.ends_with(&key[..length])).unwrap_or(0)
        };
        self.in_bytes().map(begun).max().unwrap_or(0)
    }

    fn in_bytes(&self) -> impl Iterator<Item = &Spelling> {
        self.spellings.iter().filter(|spelling| spelling.finder.needle().len() >= SHORTEST_IN_BYTES)
    }
}

/// Masks a body that comes in pieces; a key may be split over them.
#[derive(Default)]
pub(crate) struct Rolling {
    mask: Mask,
    /// The end of the last piece, which may be the begin of a key.
    held: BytesMut,
}

impl Rolling {
    pub(crate) fn new(mask: Mask) -> Self {
        Self { mask, held: BytesMut::new() }
    }

    /// Takes a piece and gives what may be passed on.
    pub(crate) fn push(&mut self, piece: Bytes) -> Bytes {
        let piece = if self.held.is_empty() {
            piece
        } else {
            self.held.extend_from_slice(&piece);
            std::mem::take(&mut self.held).freeze()
        };
        let mut piece = self.mask.bytes(piece);
        let rest = piece.split_off(piece.len() - self.mask.begun(&piece));
        self.held.extend_from_slice(&rest);
        piece
    }

    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The end of the body: what was held is no key.
    pub(crate) fn end(&mut self) -> Bytes {
        std::mem::take(&mut self.held).freeze()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mask(key: &str) -> Mask {
        Mask::new(Some(&Secret::new(key)))
    }

    #[test]
    fn every_spelling_is_masked_and_nothing_else() {
        let key = " sk/a\"b+c-1234\n";
        let mask = mask(key);
        for text in
            ["sk/a\"b+c-1234", r#"sk/a\"b+c-1234"#, r#"sk\/a\"b+c-1234"#, "sk%2Fa%22b%2Bc%2D1234"]
        {
            assert_eq!(mask.sentence(&format!("<{text}>")), "<***>", "{text}");
            let masked = mask.bytes(Bytes::from(format!("<{text}{text}>")));
            assert_eq!(masked, format!("<{}>", "*".repeat(2 * text.len())), "{text}");
        }
        assert_eq!(mask.sentence("sk/a and b"), "sk/a and b");
        assert_eq!(Mask::new(None).sentence("text"), "text");
        assert_eq!(Mask::new(Some(&Secret::new("  "))).sentence("a  b"), "a  b");
    }

    #[test]
    fn short_keys_are_left_in_bytes() {
        assert_eq!(mask("data").bytes(Bytes::from("data: x")), "data: x");
        assert_eq!(mask("data").sentence("my data"), "my ***");
    }

    proptest! {
        #[test]
        fn a_key_that_is_split_is_masked_as_if_it_were_whole(
            before in "[ab]{0,6}", between in "[ab]{0,12}", after in "[ab]{0,6}",
            cuts in prop::collection::vec(0usize..40, 0..6),
        ) {
            let mask = || mask("aabaab");
            let whole = format!("{before}aabaab{between}aabaab{after}");
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= whole.len()).collect();
            cuts.sort_unstable();
            let mut rolling = Rolling::new(mask());
            let (mut out, mut from) = (Vec::new(), 0);
            for cut in cuts.into_iter().chain([whole.len()]) {
                out.extend_from_slice(&rolling.push(Bytes::copy_from_slice(&whole.as_bytes()[from..cut])));
                from = cut;
            }
            out.extend_from_slice(&rolling.end());
            prop_assert_eq!(out.len(), whole.len());
            let text = String::from_utf8(out).unwrap();
            prop_assert!(!text.contains("aabaab"), "{}", text);
            // Only what belongs to a key is masked.
            for (shown, sent) in text.chars().zip(whole.chars()) {
                prop_assert!(shown == sent || shown == '*');
            }
        }
    }
}
