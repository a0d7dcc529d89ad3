//! What is properly signed, and says what no token says.

use super::corpus::{Case, add};
use super::material::{CITY, Material, NOW, payload};

/// Payloads that are no claims, properly signed.
pub(super) fn payloads(keys: &Material, cases: &mut Vec<Case>) {
    let good = payload();
    let texts: Vec<(&str, Vec<u8>)> = vec![
        ("null", b"null".to_vec()),
        ("a number", b"1".to_vec()),
        ("a text", b"\"x\"".to_vec()),
        ("an array", b"[]".to_vec()),
        ("an array of claims", format!("[{good}]").into_bytes()),
        ("an empty object", b"{}".to_vec()),
        ("blanks", b"   ".to_vec()),
        ("half", good.as_bytes()[..40].to_vec()),
        ("without its end", good.as_bytes()[..good.len() - 1].to_vec()),
        ("two objects", format!("{good}{good}").into_bytes()),
        ("more behind", format!("{good}x").into_bytes()),
        ("a comma too many", good.replace('}', ",}").into_bytes()),
        ("a byte order mark", format!("\u{feff}{good}").into_bytes()),
        ("no UTF-8", [&good.as_bytes()[..10], b"\xff\xfe", &good.as_bytes()[10..]].concat()),
        ("UTF-16", good.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("a zero byte", good.replace(r#""u""#, "\"u\0\"").into_bytes()),
        ("single quotes", good.replace('"', "'").into_bytes()),
        ("a comment", good.replacen('{', "{/**/", 1).into_bytes()),
        ("half a surrogate", good.replace(r#""u""#, r#""\ud800""#).into_bytes()),
        ("deep arrays", format!("{}{}", "[".repeat(1_500), "]".repeat(1_500)).into_bytes()),
        ("deep arrays without end", "[".repeat(3_000).into_bytes()),
        ("deep objects without end", "{\"a\":".repeat(900).into_bytes()),
        ("form fields", b"aud=downcity:user&city_id=city_downcity&user_id=u&iat=1".to_vec()),
    ];
    for (name, text) in texts {
        for (kind, token) in ["ub", "jwt"].into_iter().zip(keys.both(&text)) {
            add(cases, "payload", format!("{kind}, {name}"), token);
        }
    }
}

/// Claims that break a rule, properly signed: only an issuer gone wrong writes them.
pub(super) fn claims(keys: &Material, cases: &mut Vec<Case>) {
    let (iat, exp) = (format!(r#""iat":{}"#, NOW - 10), format!(r#""exp":{}"#, NOW + 3_600));
    let (aud, city) = (r#""aud":"downcity:user""#, format!(r#""city_id":"{CITY}""#));
    let (user, metadata) = (r#""user_id":"u""#, r#""metadata":{}"#);
    let twice = |claim: &str| format!("{claim},{claim}");
    let changes: Vec<(&str, String)> = [
        (
            aud,
            vec![
                r#""aud":"downcity:admin""#,
                r#""aud":"downcity""#,
                r#""aud":"Downcity:user""#,
                r#""aud":"downcity:user ""#,
                r#""aud":"""#,
                r#""aud":null"#,
                r#""aud":["downcity:user"]"#,
                r#""aud":{}"#,
                r#""aud":1"#,
                r#""AUD":"downcity:user""#,
                &*twice(aud),
                r#""aud":"x","aud":"downcity:user""#,
                r#""aud":"downcity:user","a\u0075d":"downcity:user""#,
            ]
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>(),
        ),
        (
            &city,
            vec![
                r#""city_id":"city_gone""#.into(),
                r#""city_id":"city_never_was""#.into(),
                r#""city_id":"""#.into(),
                r#""city_id":null"#.into(),
                r#""city_id":7"#.into(),
                format!(r#""city_id":["{CITY}"]"#),
                format!(r#""city_id":" {CITY}""#),
                format!(r#""city_id":"{}""#, CITY.to_ascii_uppercase()),
                twice(&city),
                format!(r#"{city},"studio_id":"city_other""#),
                format!(r#"{city},"product_id":7"#),
                r#""tenant":"city_downcity""#.into(),
                format!(r#""city_id":"{CITY}\u0000""#),
            ],
        ),
        (
            user,
            vec![
                r#""user_id":"""#.into(),
                r#""user_id":null"#.into(),
                r#""user_id":7"#.into(),
                r#""user_id":["u"]"#.into(),
                twice(user),
                r#""user_id":"u","user_id":"admin""#.into(),
                r#""sub":"u""#.into(),
            ],
        ),
        (
            metadata,
            vec![
                r#""metadata":[]"#.into(),
                r#""metadata":null"#.into(),
                r#""metadata":"{}""#.into(),
                r#""metadata":1"#.into(),
                twice(metadata),
            ],
        ),
        (
            &iat,
            vec![
                r#""iat":null"#.into(),
                r#""iat":"1""#.into(),
                r#""iat":1.5"#.into(),
                r#""iat":1e9"#.into(),
                r#""iat":[]"#.into(),
                r#""iat":true"#.into(),
                r#""iat":01"#.into(),
                r#""iat":+1"#.into(),
                r#""iat":-"#.into(),
                r#""iat":NaN"#.into(),
                r#""iat":0x10"#.into(),
                r#""iat":9223372036854775808"#.into(),
                r#""iat":9223372036854775807"#.into(),
                format!(r#""iat":{}"#, NOW + 2 * 86_400 + 1),
                format!(r#""iat":{}"#, NOW + 3_153_600_000_i64),
                twice(&iat),
                r#""nbf":1"#.into(),
            ],
        ),
        (
            &exp,
            vec![
                r#""exp":null"#.into(),
                r#""exp":"9999999999""#.into(),
                r#""exp":9999999999.5"#.into(),
                r#""exp":1e12"#.into(),
                r#""exp":[]"#.into(),
                r#""exp":{}"#.into(),
                r#""exp":true"#.into(),
                r#""exp":Infinity"#.into(),
                r#""exp":9223372036854775808"#.into(),
                r#""exp":-9223372036854775809"#.into(),
                r#""exp":1,"exp":9999999999"#.into(),
                twice(&exp),
            ],
        ),
        (
            r#""jti":"tok_x""#,
            vec![
                r#""jti":null"#.into(),
                r#""jti":7"#.into(),
                r#""jti":["tok_x"]"#.into(),
                r#""jti":"tok_x","jti":"tok_y""#.into(),
            ],
        ),
    ]
    .into_iter()
    .flat_map(|(claim, wrong)| wrong.into_iter().map(move |wrong| (claim, wrong)))
    .collect();
    let good = payload();
    for (claim, wrong) in &changes {
        let changed = good.replacen(claim, wrong, 1);
        assert_ne!(changed, good, "{wrong}");
        for (kind, token) in ["ub", "jwt"].into_iter().zip(keys.both(changed)) {
            add(cases, "claims", format!("{kind}, {wrong}"), token);
        }
    }
    for claim in [aud, &city, user] {
        let without = good.replacen(&format!("{claim},"), "", 1);
        for (kind, token) in ["ub", "jwt"].into_iter().zip(keys.both(without)) {
            add(cases, "claims", format!("{kind}, without {claim}"), token);
        }
    }
}
