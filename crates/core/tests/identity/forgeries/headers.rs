//! JWTs whose header asks for something else.

use super::corpus::{Case, add};
use super::material::{Key, Material, b64, mac, payload};

/// Headers that the Federation never writes, each properly signed with its active key.
pub(super) fn headers(keys: &Material, cases: &mut Vec<Case>) {
    let kid = &*keys.active.kid;
    let good = keys.active.header();
    let x = b64(keys.active.public());
    let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#);
    let replaced = |from: &str, to: &str| {
        let header = good.replacen(from, to, 1);
        assert_ne!(header, good);
        header
    };
    for alg in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        "HS256",
        "HS384",
        "HS512",
        "RS256",
        "RS512",
        "PS256",
        "ES256",
        "ES256K",
        "EdDsa",
        "eddsa",
        "EDDSA",
        "Ed25519",
        "Ed448",
        "EdDSA ",
        " EdDSA",
        "EdDSA\\u0000",
        "\\u0045dDSA",
        "dir",
        "A128KW",
    ] {
        add(
            cases,
            "header",
            format!("alg {alg:?}"),
            keys.active.jwt(replaced("EdDSA", alg), payload()),
        );
    }
    for name in [
        "",
        " ",
        "active",
        "null",
        "0",
        "../../../dev/null",
        "/dev/null",
        "..\\\\..\\\\nul",
        "file:///dev/null",
        "https://evil.example/jwks.json",
        "x' OR '1'='1",
        "'; DROP TABLE signing_keys; --",
        "$(id)",
        "%s%n",
        "\\u0000",
        "DOWNCITY_FEDERATION_TOKEN_SIGNING_KEY",
        "hmac",
        &kid[1..],
        &format!("{kid} "),
        &format!("{kid}\\u0000"),
        &kid.to_ascii_lowercase(),
        &keys.retired.kid,
        &Key::of_seed(&[7; 32]).kid,
    ] {
        add(
            cases,
            "header",
            format!("kid {name:?}"),
            keys.active.jwt(replaced(kid, name), payload()),
        );
    }
    let quoted = format!("\"{kid}\"");
    for value in
        ["null", "0", "true", "[]", "{}", &format!("[{quoted}]"), &format!("{{\"kid\":{quoted}}}")]
    {
        add(
            cases,
            "header",
            format!("kid as {value}"),
            keys.active.jwt(replaced(&quoted, value), payload()),
        );
    }
    for value in ["null", "0", "false", "[\"EdDSA\"]", "{}", "[\"none\",\"EdDSA\"]"] {
        add(
            cases,
            "header",
            format!("alg as {value}"),
            keys.active.jwt(replaced("\"EdDSA\"", value), payload()),
        );
    }
    for typ in ["jwt", "JWS", "at+jwt", "JOSE", ""] {
        add(
            cases,
            "header",
            format!("typ {typ:?}"),
            keys.active.jwt(replaced("\"JWT\"", &format!("\"{typ}\"")), payload()),
        );
    }
    for member in [
        r#""crit":["exp"]"#,
        r#""crit":["b64"],"b64":false"#,
        r#""crit":[]"#,
        r#""crit":["x"],"x":1"#,
        r#""b64":false"#,
        r#""b64":true"#,
        r#""jku":"https://evil.example/jwks.json""#,
        r#""x5u":"https://evil.example/cert.pem""#,
        r#""x5c":["AA"]"#,
        r#""x5t":"AA""#,
        r#""x5t#S256":"AA""#,
        r#""zip":"DEF""#,
        r#""cty":"JWT""#,
        r#""enc":"A256GCM""#,
        r#""iss":"x""#,
        r#""nonce":"x""#,
        r#""ub":1"#,
        r#""alg":"EdDSA""#,
        r#""alg":"none""#,
        r#""kid":"x""#,
        r#""typ":"JWT""#,
        r#""Alg":"none""#,
        &format!(r#""kid":{quoted}"#),
        &format!(r#""jwk":{jwk}"#),
        r#""p2c":2147483647"#,
    ] {
        let behind = replaced("}", &format!(",{member}}}"));
        add(cases, "header", format!("{member} behind"), keys.active.jwt(behind, payload()));
        let before = replaced("{", &format!("{{{member},"));
        add(cases, "header", format!("{member} before"), keys.active.jwt(before, payload()));
    }
    for (name, header) in [
        ("a blank behind", format!("{good} ")),
        ("a blank before", format!(" {good}")),
        ("blanks within", good.replace(',', ", ")),
        ("a line break", good.replace('{', "{\n")),
        ("a byte order mark", format!("\u{feff}{good}")),
        ("no alg", replaced(r#""alg":"EdDSA","#, "")),
        ("no typ", replaced(r#""typ":"JWT","#, "")),
        ("no kid", r#"{"alg":"EdDSA","typ":"JWT"}"#.to_owned()),
        ("another order", format!(r#"{{"typ":"JWT","alg":"EdDSA","kid":"{kid}"}}"#)),
        ("an escape", good.replacen("alg", "\\u0061lg", 1)),
        ("an array", format!(r#"["EdDSA","JWT","{kid}"]"#)),
        ("a string", format!("\"{kid}\"")),
        ("null", "null".to_owned()),
        ("nothing", "{}".to_owned()),
        ("half", good[..20].to_owned()),
        ("twice", format!("{good}{good}")),
        ("deep", format!("{}{good}{}", "[".repeat(2_000), "]".repeat(2_000))),
        ("the payload", payload()),
    ] {
        add(cases, "header", name, keys.active.jwt(header, payload()));
    }
    add(cases, "header", "no text", keys.active.jwt(b"\xff\xfe{}", payload()));
}

/// Tokens of other algorithms, signed as these ask for.
pub(super) fn algorithms(keys: &Material, cases: &mut Vec<Case>) {
    let (kid, public) = (&*keys.active.kid, keys.active.public());
    let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, b64(public));
    // RFC 8410, as `openssl pkey -pubin` writes it.
    let der = [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00], public]
        .concat();
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &der);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----\n");
    let secrets: [(&str, &[u8]); 9] = [
        ("nothing", b""),
        ("the public key", public),
        ("the text of the public key", &b64(public).into_bytes()),
        ("the public key as a JWK", jwk.as_bytes()),
        ("the public key as DER", &der),
        ("the public key as PEM", pem.as_bytes()),
        ("the public key as PEM without its end", pem.trim_end().as_bytes()),
        ("the key id", kid.as_bytes()),
        ("the signing key", keys.hmac.as_bytes()),
    ];
    for (name, secret) in secrets {
        for header in [
            format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{kid}"}}"#),
            r#"{"alg":"HS256","typ":"JWT"}"#.to_owned(),
            keys.active.header(),
        ] {
            let message = format!("{}.{}", b64(&header), b64(payload()));
            let signature = mac(secret, message.as_bytes());
            let token = format!("{message}.{}", b64(signature));
            add(cases, "algorithm", format!("{header} under {name}"), token);
            let long = [signature, signature].concat();
            let token = format!("{message}.{}", b64(long));
            add(cases, "algorithm", format!("{header} under {name}, as long as Ed25519"), token);
        }
    }
    for alg in ["none", "None", "NONE", "EdDSA"] {
        for signature in ["", "AA", &"A".repeat(43), &"A".repeat(86)] {
            let header = format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#);
            let token = format!("{}.{}.{signature}", b64(header), b64(payload()));
            add(cases, "algorithm", format!("{alg} with {} letters", signature.len()), token);
        }
    }
    // A key that the token brings along.
    let stranger = Key::of_seed(&[9; 32]);
    for (number, kid) in [kid, &*stranger.kid].into_iter().enumerate() {
        let x = b64(stranger.public());
        let header = format!(
            r#"{{"alg":"EdDSA","typ":"JWT","kid":"{kid}","jwk":{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}}}"#
        );
        add(
            cases,
            "algorithm",
            format!("a key of its own {number}"),
            stranger.jwt(header, payload()),
        );
    }
    add(
        cases,
        "algorithm",
        "a stranger under the active name",
        stranger.jwt(keys.active.header(), payload()),
    );
}
