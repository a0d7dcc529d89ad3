//! Good parts under signatures that no key of the Federation has made.

use hmac::{KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256, Sha512};

use super::corpus::{Case, add};
use super::material::{CITY, Key, Material, NOW, b64, mac, payload};

pub(super) fn hmac_signatures(keys: &Material, cases: &mut Vec<Case>) {
    let good = keys.ub(payload());
    let (claims, signature) = good[3..].split_once('.').unwrap();
    let key = keys.hmac.as_bytes();
    let public = keys.active.public();
    let sha512 = hmac::Hmac::<Sha512>::new_from_slice(key);
    let sha512 = sha512.unwrap().chain_update(claims).finalize().into_bytes();
    let mut flipped = mac(key, claims.as_bytes());
    flipped[31] ^= 1;
    let signatures: Vec<(&str, Vec<u8>)> = vec![
        ("no key", mac(b"", claims.as_bytes()).into()),
        ("a key of zeros", mac(&[0; 32], claims.as_bytes()).into()),
        ("the key without its prefix", mac(&key[5..], claims.as_bytes()).into()),
        ("the prefix of the key", mac(&key[..5], claims.as_bytes()).into()),
        ("the key and a blank", mac(&[key, b" "].concat(), claims.as_bytes()).into()),
        ("the key in upper case", mac(&key.to_ascii_uppercase(), claims.as_bytes()).into()),
        ("the key in base64", mac(b64(key).as_bytes(), claims.as_bytes()).into()),
        ("the digest of the key", mac(&Sha256::digest(key), claims.as_bytes()).into()),
        (
            "the name of the key",
            mac(b"DOWNCITY_FEDERATION_TOKEN_SIGNING_KEY", claims.as_bytes()).into(),
        ),
        ("the admin key", mac(downcity_testkit::ADMIN_KEY.as_bytes(), claims.as_bytes()).into()),
        ("the public key", mac(public, claims.as_bytes()).into()),
        ("the text of the public key", mac(b64(public).as_bytes(), claims.as_bytes()).into()),
        ("the key id", mac(keys.active.kid.as_bytes(), claims.as_bytes()).into()),
        ("the decoded payload", mac(key, payload().as_bytes()).into()),
        ("the payload with prefix", mac(key, format!("ub_{claims}").as_bytes()).into()),
        ("the payload with a dot", mac(key, format!("{claims}.").as_bytes()).into()),
        ("the payload of another", mac(key, b64("{}").as_bytes()).into()),
        ("nothing", mac(key, b"").into()),
        ("its own message", mac(key, b"downcity signing key id v1").into()),
        ("key and message swapped", mac(claims.as_bytes(), key).into()),
        ("a plain digest", Sha256::digest(claims).to_vec()),
        ("a digest of key and payload", Sha256::digest([key, claims.as_bytes()].concat()).to_vec()),
        ("a digest of payload and key", Sha256::digest([claims.as_bytes(), key].concat()).to_vec()),
        ("SHA-512", sha512.to_vec()),
        ("SHA-512 cut to 32 bytes", sha512[..32].to_vec()),
        ("31 bytes", mac(key, claims.as_bytes())[..31].to_vec()),
        ("16 bytes", mac(key, claims.as_bytes())[..16].to_vec()),
        ("33 bytes", [&mac(key, claims.as_bytes())[..], &[0]].concat()),
        ("zeros", vec![0; 32]),
        ("ones", vec![255; 32]),
        ("the last bit flipped", flipped.to_vec()),
    ];
    for (name, bytes) in signatures {
        add(cases, "hmac", name, format!("ub_{claims}.{}", b64(bytes)));
    }
    for (name, from, to) in [
        ("another user", r#""u""#, r#""v""#),
        ("another city", CITY, "city_other"),
        ("a later end", &*(NOW + 3_600).to_string(), "9999999999"),
        ("more rights", "{}", r#"{"plan":"pro"}"#),
        ("a blank", "}", "} "),
    ] {
        let changed = payload().replacen(from, to, 1);
        add(
            cases,
            "hmac",
            format!("{name} under the old signature"),
            format!("ub_{}.{signature}", b64(changed)),
        );
    }
}

/// The order of the base point (RFC 8032 §5.1), little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Points whose multiples are few, as a lax verifier accepts them for keys and commitments.
const SMALL_ORDER: [[u8; 32]; 4] = {
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    minus_one[31] = 0x7f;
    let mut sign = identity;
    sign[31] = 0x80;
    [identity, [0; 32], minus_one, sign]
};

/// `signature` with a multiple of the order added to its scalar.
fn with_order_added(signature: &[u8], times: u8) -> Vec<u8> {
    let (point, scalar) = signature.split_at(32);
    let mut carry = 0_u32;
    let sum = scalar.iter().zip(ORDER).map(|(digit, order)| {
        carry += u32::from(*digit) + u32::from(order) * u32::from(times);
        let low = carry & 0xff;
        carry >>= 8;
        low as u8
    });
    let sum: Vec<u8> = sum.collect();
    [point, &sum].concat()
}

pub(super) fn ed25519_signatures(keys: &Material, cases: &mut Vec<Case>) {
    let good = keys.jwt(payload());
    let (message, text) = good.rsplit_once('.').unwrap();
    let (header, claims) = message.split_once('.').unwrap();
    let signature = keys.active.pair.sign(message.as_bytes()).as_ref().to_vec();
    assert_eq!(b64(&signature), text, "Ed25519 signs in one way alone");
    let over = |bytes: &[u8]| keys.active.pair.sign(bytes).as_ref().to_vec();
    let stranger = Key::of_seed(&[7; 32]);
    let mut flipped = signature.clone();
    flipped[63] ^= 0x80;
    let mut signatures: Vec<(String, Vec<u8>)> = [
        ("zeros", vec![0; 64]),
        ("ones", vec![255; 64]),
        ("63 bytes", signature[..63].to_vec()),
        ("65 bytes", [&signature[..], &[0]].concat()),
        ("32 bytes", signature[..32].to_vec()),
        ("its halves swapped", [&signature[32..], &signature[..32]].concat()),
        ("the scalar zero", [&signature[..32], &[0; 32]].concat()),
        ("the scalar the order", [&signature[..32], &ORDER[..]].concat()),
        ("the order added", with_order_added(&signature, 1)),
        ("twice the order added", with_order_added(&signature, 2)),
        ("seven times the order added", with_order_added(&signature, 7)),
        ("the top bit set", flipped),
        ("over the payload", over(claims.as_bytes())),
        ("over the header", over(header.as_bytes())),
        ("over the decoded payload", over(payload().as_bytes())),
        ("over the digest of the message", over(&Sha256::digest(message))),
        ("over the long digest of the message", over(&Sha512::digest(message))),
        ("over the message and a dot", over(format!("{message}.").as_bytes())),
        ("over nothing", over(b"")),
        (
            "of the retired key under the active one's name",
            keys.retired.pair.sign(message.as_bytes()).as_ref().to_vec(),
        ),
        ("of a stranger", stranger.pair.sign(message.as_bytes()).as_ref().to_vec()),
        ("the public key twice", [keys.active.public(), keys.active.public()].concat()),
        ("an HMAC twice", [mac(keys.hmac.as_bytes(), message.as_bytes()); 2].concat()),
        (
            "an HMAC under the public key twice",
            [mac(keys.active.public(), message.as_bytes()); 2].concat(),
        ),
        ("SHA-512", Sha512::digest(message).to_vec()),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .into();
    for (number, point) in SMALL_ORDER.iter().enumerate() {
        signatures.push((format!("small point {number}"), [&point[..], &[0; 32]].concat()));
        let with_scalar = [&point[..], &signature[32..]].concat();
        signatures.push((format!("small point {number} with a scalar"), with_scalar));
    }
    for (name, bytes) in signatures {
        add(cases, "ed25519", name, format!("{message}.{}", b64(bytes)));
    }
    add(cases, "ed25519", "a stranger's token", stranger.jwt(stranger.header(), payload()));
    for (name, from, to) in [
        ("another user", r#""u""#, r#""v""#),
        ("another city", CITY, "city_other"),
        ("without end", &*format!(r#","exp":{}"#, NOW + 3_600), ""),
    ] {
        let changed = b64(payload().replacen(from, to, 1));
        add(
            cases,
            "ed25519",
            format!("{name} under the old signature"),
            format!("{header}.{changed}.{text}"),
        );
    }
}
