//! The corpus: every way to fake a token that we could think of, by name.

use super::claims::{claims, payloads};
use super::headers::{algorithms, headers};
use super::material::{Material, b64, payload};
use super::signatures::{ed25519_signatures, hmac_signatures};

/// A name and a token that nobody may be let in with.
pub(crate) type Case = (String, String);

/// The whole corpus.
pub(crate) fn forgeries(keys: &Material) -> Vec<Case> {
    let mut cases = Vec::new();
    encodings(keys, &mut cases);
    segments(keys, &mut cases);
    prefixes(keys, &mut cases);
    hmac_signatures(keys, &mut cases);
    ed25519_signatures(keys, &mut cases);
    headers(keys, &mut cases);
    algorithms(keys, &mut cases);
    payloads(keys, &mut cases);
    claims(keys, &mut cases);
    sizes(keys, &mut cases);
    cases
}

pub(super) fn add(
    cases: &mut Vec<Case>,
    group: &str,
    name: impl AsRef<str>,
    token: impl Into<String>,
) {
    cases.push((format!("{group}: {}", name.as_ref()), token.into()));
}

/// The alphabet of base64url.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The same bytes to a lax reader: bits that no byte uses are set in the last character.
fn with_spare_bits(part: &str) -> String {
    let last = ALPHABET.iter().position(|c| part.as_bytes().last() == Some(c)).unwrap();
    let other = char::from(ALPHABET[last ^ 1]);
    format!("{}{other}", &part[..part.len() - 1])
}

/// One part of a token, written wrongly.
fn misspellings(part: &str) -> Vec<(&'static str, String)> {
    let mut spelt = vec![
        ("empty", String::new()),
        ("one padding", format!("{part}=")),
        ("two paddings", format!("{part}==")),
        ("padding of a letter", format!("{part}A")),
        ("two letters more", format!("{part}AA")),
        ("four letters more", format!("{part}AAAA")),
        ("a letter in front", format!("A{part}")),
        ("one letter short", part[..part.len() - 1].to_owned()),
        ("four letters short", part[..part.len() - 4].to_owned()),
        ("without its first letter", part[1..].to_owned()),
        ("half", part[..part.len() / 2].to_owned()),
        ("twice", format!("{part}{part}")),
        ("a plus", format!("+{}", &part[1..])),
        ("a slash", format!("/{}", &part[1..])),
        ("a blank within", format!("{} {}", &part[..4], &part[4..])),
        ("a blank for a letter", format!("{} {}", &part[..4], &part[5..])),
        ("a percent sign", format!("{}%2D{}", &part[..4], &part[4..])),
        ("a comma", format!("{},{}", &part[..4], &part[5..])),
        ("an umlaut", format!("ä{}", &part[1..])),
        ("a wide letter", format!("Ａ{}", &part[1..])),
        ("lower case", part.to_ascii_lowercase()),
        ("upper case", part.to_ascii_uppercase()),
        ("reversed", part.chars().rev().collect()),
        ("hexadecimal", part.bytes().map(|byte| format!("{byte:02x}")).collect()),
        ("encoded twice", b64(part)),
        ("null", "null".to_owned()),
    ];
    // A part whose bytes come out even has no spare bits: a change is one of the content.
    if !part.len().is_multiple_of(4) {
        spelt.push(("spare bits", with_spare_bits(part)));
    }
    spelt
}

fn encodings(keys: &Material, cases: &mut Vec<Case>) {
    for (kind, token) in [("ub", keys.ub(payload())), ("jwt", keys.jwt(payload()))] {
        let (prefix, body) = token.split_at(if kind == "ub" { 3 } else { 0 });
        let parts: Vec<&str> = body.split('.').collect();
        for place in 0..parts.len() {
            for (name, wrong) in misspellings(parts[place]) {
                let mut parts = parts.clone();
                parts[place] = &wrong;
                let name = format!("{kind} part {place}, {name}");
                add(cases, "encoding", name, format!("{prefix}{}", parts.join(".")));
            }
        }
    }
}

fn segments(keys: &Material, cases: &mut Vec<Case>) {
    let (ub, jwt) = (keys.ub(payload()), keys.jwt(payload()));
    let (claims, signature) = ub[3..].split_once('.').unwrap();
    let [header, body, proof]: [&str; 3] = jwt.split('.').collect::<Vec<_>>().try_into().unwrap();
    for (name, token) in [
        ("a dot", ".".to_owned()),
        ("two dots", "..".to_owned()),
        ("many dots", ".".repeat(200)),
        ("prefix alone", "ub_".to_owned()),
        ("prefix and a dot", "ub_.".to_owned()),
        ("claims alone", format!("ub_{claims}")),
        ("claims and a dot", format!("ub_{claims}.")),
        ("signature alone", format!("ub_.{signature}")),
        ("a dot behind", format!("{ub}.")),
        ("a part behind", format!("{ub}.x")),
        ("the signature twice", format!("{ub}.{signature}")),
        ("two dots between", format!("ub_{claims}..{signature}")),
        ("a dot in front", format!("ub_.{claims}.{signature}")),
        ("a colon between", format!("ub_{claims}:{signature}")),
        ("parts swapped", format!("ub_{signature}.{claims}")),
        ("two tokens with a comma", format!("{ub},{ub}")),
        ("two tokens with a blank", format!("{ub} {ub}")),
        ("quoted", format!("\"{ub}\"")),
        ("a semicolon behind", format!("{ub};")),
        ("a JWT of two parts", format!("{header}.{body}")),
        ("a JWT of two parts and a dot", format!("{header}.{body}.")),
        ("a JWT without header", format!("{body}.{proof}")),
        ("a JWT with an empty header", format!(".{body}.{proof}")),
        ("a JWT with a dot behind", format!("{jwt}.")),
        ("a JWT of four parts", format!("{jwt}.{proof}")),
        ("a JWT of five parts, as if encrypted", format!("{header}..{body}.{proof}.{proof}")),
        ("a JWT with its parts swapped", format!("{body}.{header}.{proof}")),
        (
            "a JWT in JSON form",
            format!(r#"{{"protected":"{header}","payload":"{body}","signature":"{proof}"}}"#),
        ),
        ("a detached JWT", format!("{header}..{proof}")),
        ("both tokens joined", format!("{ub}.{jwt}")),
        ("an HMAC on a JWT", format!("{header}.{body}.{signature}")),
        ("an Ed25519 signature on ub", format!("ub_{body}.{proof}")),
    ] {
        add(cases, "segments", name, token);
    }
}

fn prefixes(keys: &Material, cases: &mut Vec<Case>) {
    let (ub, jwt) = (keys.ub(payload()), keys.jwt(payload()));
    let body = &ub[3..];
    for prefix in [
        "",
        "UB_",
        "Ub_",
        "uB_",
        "ub-",
        "ub",
        "ub.",
        "ub__",
        "_ub_",
        "xub_",
        "ub_ub_",
        "ub_UB_",
        "ub_ub_ub_",
        "ub%5F",
        "ub_ ",
        "ub_.",
        "ub_=",
        "u\u{432}_",
        "\u{1d4b7}_",
        "vb_",
        "fk_",
        "sk_",
        "Bearer ub_",
    ] {
        add(cases, "prefix", format!("{prefix:?} on ub"), format!("{prefix}{body}"));
    }
    for prefix in ["ub_", "UB_", "fk_", "jwt_", ".", "eyJ.", "Bearer "] {
        add(cases, "prefix", format!("{prefix:?} on a JWT"), format!("{prefix}{jwt}"));
    }
}

/// Tokens that are too long, properly signed.
fn sizes(keys: &Material, cases: &mut Vec<Case>) {
    for length in [6_200, 8_192, 20_000, 60_000] {
        let padded = format!("{}{}", payload(), " ".repeat(length));
        for (kind, token) in ["ub", "jwt"].into_iter().zip(keys.both(padded)) {
            assert!(token.len() > downcity_types::MAX_TOKEN_BYTES);
            add(cases, "size", format!("{kind} of {length} blanks"), token);
        }
    }
    for length in [1, 100, 8_192, 100_000] {
        add(cases, "size", format!("{length} letters"), "A".repeat(length));
        add(
            cases,
            "size",
            format!("{length} letters behind the prefix"),
            format!("ub_{}", "A".repeat(length)),
        );
    }
}
