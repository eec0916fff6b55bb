mod vectors;

use super::*;
use base64ct::{Base64UrlUnpadded, Encoding};
use edgewit_sdk::{Edit, testing};
use hmac::{Hmac, Mac};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::Sha256;
use vectors::*;

/// The wall clock of the tests, in seconds.
const NOW: u64 = 1_700_000_000;

const SECRET: &str = "a secret of at least thirty-two bytes";

fn signing_key() -> SigningKey {
    SigningKey::from_slice(&[7; 32]).unwrap()
}

/// The public half of [`signing_key`].
fn ec_jwk() -> Value {
    let point = signing_key().verifying_key().to_encoded_point(false);
    json!({
        "kty": "EC", "crv": "P-256", "kid": "e",
        "x": b64(point.x().unwrap()), "y": b64(point.y().unwrap()),
    })
}

/// Keys of all three kinds, and the audience `api`.
fn config() -> Value {
    json!({
        "audience": ["api"],
        "keys": [
            { "id": "h", "secret": SECRET },
            { "id": "r", "pem": RSA_2048_PEM },
            { "jwk": ec_jwk() },
        ],
    })
}

fn with(mut config: Value, key: &str, value: Value) -> Value {
    config[key] = value;
    config
}

fn b64(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// What comes before the signature.
fn signed(header: &str, payload: &str) -> String {
    format!("{}.{}", b64(header.as_bytes()), b64(payload.as_bytes()))
}

fn hs256_with(secret: &[u8], header: &str, payload: &str) -> String {
    let signed = signed(header, payload);
    let mac = Hmac::<Sha256>::new_from_slice(secret).unwrap().chain_update(&signed);
    format!("{signed}.{}", b64(&mac.finalize().into_bytes()))
}

fn hs256(payload: &str) -> String {
    hs256_with(SECRET.as_bytes(), r#"{"alg":"HS256","kid":"h"}"#, payload)
}

fn es256_signature(signed: &str) -> Signature {
    signing_key().sign(signed.as_bytes())
}

const GOOD: &str = r#"{"sub":"ada","aud":"api","exp":1700000100}"#;

fn ask(config: &Value, values: &[&str]) -> (auth::Verdict, Vec<Edit>) {
    testing::host(|host| host.wall_ms = NOW * 1_000);
    let (filter, needs) = testing::configure(Jwt::configure, &config.to_string()).unwrap();
    let mut builder = testing::request_for(&needs);
    for value in values {
        builder = builder.field("authorization", value);
    }
    let mut request = builder.build();
    let verdict = filter.authenticate(&mut request);
    (verdict, request.edits().to_vec())
}

/// Is a request with this token let in?
fn lets_in(config: &Value, token: &str) -> bool {
    match ask(config, &[&format!("Bearer {token}")]).0 {
        auth::Verdict::Deny(answer) => {
            assert_eq!(answer.status, 401);
            let challenge = &b"Bearer realm=\"edgewit\", error=\"invalid_token\""[..];
            assert_eq!(answer.get("www-authenticate"), Some(challenge));
            false
        }
        _ => true,
    }
}

#[test]
fn each_algorithm_lets_its_tokens_in() {
    let signed = signed(r#"{"alg":"ES256","kid":"e"}"#, GOOD);
    let es256 = format!("{signed}.{}", b64(&es256_signature(&signed).to_bytes()));
    for token in [hs256(GOOD).as_str(), es256.as_str(), RSA_2048_TOKEN] {
        let (verdict, edits) = ask(&config(), &[&format!("Bearer {token}")]);
        assert_eq!(verdict, auth::Verdict::AllowAs("ada".into()), "{token}");
        assert_eq!(edits, []);
    }
}

#[test]
fn tokens_of_other_software_are_understood() {
    let table = [
        (RSA_2048_PEM, RSA_2048_TOKEN),
        (RSA_3072_PEM, RSA_3072_TOKEN),
        (RSA_4096_PEM, RSA_4096_TOKEN),
        (EC_PEM, EC_TOKEN),
    ];
    for (pem, token) in table {
        let config = json!({ "audience": ["api"], "keys": [{ "pem": pem }] });
        assert!(lets_in(&config, token), "{pem}");
        let other = with(
            config,
            "keys",
            json!([{ "pem": if pem == EC_PEM { RSA_2048_PEM } else { EC_PEM } }]),
        );
        assert!(!lets_in(&other, token), "{pem}");
    }
}

/// RFC 7515 A.1, the JSON of which has line breaks.
#[test]
fn the_example_of_the_rfc_is_understood() {
    let config = json!({ "leeway": "10m", "require-exp": true, "jwks": { "keys": [{
        "kty": "oct",
        "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
    }]}});
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9l\
                 eGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let (filter, needs) = testing::configure(Jwt::configure, &config.to_string()).unwrap();
    for (second, allowed) in [(1_300_819_379, true), (1_300_819_979, true), (1_300_819_980, false)]
    {
        testing::host(|host| host.wall_ms = second * 1_000);
        let request =
            testing::request_for(&needs).field("authorization", format!("Bearer {token}"));
        let verdict = filter.authenticate(&mut request.build());
        assert_eq!(verdict == auth::Verdict::Allow, allowed, "{second}");
    }
}

#[test]
fn a_request_without_a_token_is_challenged_without_an_error() {
    for values in [&[][..], &["Basic YTpi"], &["Bearer"], &["token"], &[""]] {
        let (verdict, _) = ask(&config(), values);
        let auth::Verdict::Deny(answer) = verdict else { panic!("{values:?} was let in") };
        assert_eq!(answer.status, 401);
        assert_eq!(answer.get("www-authenticate"), Some(&b"Bearer realm=\"edgewit\""[..]));
    }
}

#[test]
fn two_tokens_are_no_token() {
    let value = format!("Bearer {}", hs256(GOOD));
    let (verdict, _) = ask(&config(), &[&value, &value]);
    let auth::Verdict::Deny(answer) = verdict else { panic!("let in") };
    assert_eq!(answer.status, 400);
    assert!(!lets_in(&config(), &format!("{}, {value}", hs256(GOOD))));
}

#[test]
fn the_scheme_is_matched_without_regard_to_case() {
    let (verdict, _) = ask(&config(), &[&format!("bEARER  {}", hs256(GOOD))]);
    assert_eq!(verdict, auth::Verdict::AllowAs("ada".into()));
}

#[test]
fn the_token_does_not_choose_the_algorithm() {
    let none = signed(r#"{"alg":"none"}"#, GOOD);
    let pem = RSA_2048_PEM.as_bytes();
    let point = signing_key().verifying_key().to_encoded_point(false);
    let header = |alg: &str, kid: &str| format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#);
    let table = [
        format!("{none}."),
        format!("{none}.AA"),
        format!("{}.", signed(r#"{"alg":"None","kid":"h"}"#, GOOD)),
        format!("{}.", signed(&header("HS256", "h"), GOOD)),
        // The public key as the secret, in the forms it is published in.
        hs256_with(pem, &header("HS256", "r"), GOOD),
        hs256_with(pem.trim_ascii(), &header("HS256", "r"), GOOD),
        hs256_with(pem, r#"{"alg":"HS256"}"#, GOOD),
        hs256_with(point.as_bytes(), &header("HS256", "e"), GOOD),
        // Right signature, wrong name of the algorithm or key.
        hs256_with(SECRET.as_bytes(), &header("HS384", "h"), GOOD),
        hs256_with(SECRET.as_bytes(), &header("hs256", "h"), GOOD),
        hs256_with(SECRET.as_bytes(), &header("HS256", "r"), GOOD),
        hs256_with(SECRET.as_bytes(), &header("HS256", "x"), GOOD),
        hs256_with(SECRET.as_bytes(), &header("HS256", "H"), GOOD),
        hs256_with(SECRET.as_bytes(), r#"{"kid":"h"}"#, GOOD),
        hs256_with(SECRET.as_bytes(), r#"{"alg":["HS256"],"kid":"h"}"#, GOOD),
        hs256_with(SECRET.as_bytes(), r#"{"alg":"HS256","kid":1}"#, GOOD),
        hs256_with(SECRET.as_bytes(), r#"{"alg":"none","alg":"HS256","kid":"h"}"#, GOOD),
    ];
    for token in table {
        assert!(!lets_in(&config(), &token), "{token}");
    }
}

#[test]
fn keys_that_a_token_brings_are_not_used() {
    for member in ["jwk", "jku", "x5u", "x5c"] {
        let brought = json!({ "kty": "oct", "k": b64(b"brought along by the attacker, 32+") });
        let header = json!({ "alg": "HS256", member: brought }).to_string();
        let token = hs256_with(b"brought along by the attacker, 32+", &header, GOOD);
        assert!(!lets_in(&config(), &token), "{member}");
        // And they do no harm to a token that a known key has signed.
        assert!(lets_in(&config(), &hs256_with(SECRET.as_bytes(), &header, GOOD)), "{member}");
    }
}

#[test]
fn critical_extensions_are_refused() {
    for header in [
        r#"{"alg":"HS256","kid":"h","crit":["b64"],"b64":false}"#,
        r#"{"alg":"HS256","kid":"h","crit":["exp"],"exp":1}"#,
        r#"{"alg":"HS256","kid":"h","crit":[]}"#,
        r#"{"alg":"HS256","kid":"h","crit":null}"#,
    ] {
        assert!(!lets_in(&config(), &hs256_with(SECRET.as_bytes(), header, GOOD)), "{header}");
    }
}

#[test]
fn damaged_tokens_are_refused() {
    let good = hs256(GOOD);
    let (rest, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = rest.split_once('.').unwrap();
    let other = b64(GOOD.replace("ada", "eve").as_bytes());
    let flipped = |text: &str, at: usize| {
        let mut bytes = Base64UrlUnpadded::decode_vec(text).unwrap();
        bytes[at] ^= 1;
        b64(&bytes)
    };
    let table = [
        String::new(),
        "..".into(),
        "a.b".into(),
        header.into(),
        rest.into(),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{header}.{other}.{signature}"),
        format!("{rest}.{}", &signature[..signature.len() - 1]),
        format!("{rest}.{}", &signature[..40]),
        format!("{rest}.{}", flipped(signature, 31)),
        format!("{rest}.{signature}AA"),
        format!("{rest}.{signature}="),
        format!("{rest}.+{}", &signature[1..]),
        format!("{header}= .{payload}.{signature}"),
        format!("{header}\n.{payload}.{signature}"),
        good.replace('.', ":"),
        // Bits left over behind the last byte.
        format!("{rest}.{}", &signature[..42]) + if signature.ends_with('A') { "B" } else { "_" },
        format!("{rest}.{}", "A".repeat(8_192)),
        hs256_with(SECRET.as_bytes(), "{", GOOD),
        hs256_with(SECRET.as_bytes(), "[]", GOOD),
        hs256("[]"),
        hs256("\"ada\""),
        hs256(&format!("{GOOD}{GOOD}")),
        hs256(&GOOD.replace("\"sub\"", "\"exp\":1,\"sub\"")),
        hs256(&GOOD.replace("\"ada\"", &format!("{}{}", "[".repeat(100), "]".repeat(100)))),
    ];
    for token in table {
        assert!(!lets_in(&config(), &token), "{token}");
    }
}

#[test]
fn rsa_signatures_are_exact() {
    let (rest, signature) = RSA_2048_TOKEN.rsplit_once('.').unwrap();
    let bytes = Base64UrlUnpadded::decode_vec(signature).unwrap();
    let signature = |bytes: &[u8]| format!("{rest}.{}", b64(bytes));
    let all_ones = [0xff; 256];
    let table = [
        signature(&bytes[1..]),
        signature(&bytes[..255]),
        signature(&[&[0], &bytes[..]].concat()),
        signature(&[&bytes[..], &[0]].concat()),
        signature(&[0; 256]),
        signature(&[&[0; 255][..], &[1]].concat()),
        signature(&all_ones),
        RSA_SHA1_TOKEN.into(),
        RSA_PSS_TOKEN.into(),
        RSA_3072_TOKEN.into(),
        RSA_2048_TOKEN.replacen('.', ".e", 1),
    ];
    for token in table {
        assert!(!lets_in(&config(), &token), "{token}");
    }
}

#[test]
fn ecdsa_signatures_are_two_numbers_of_32_bytes() {
    let signed = signed(r#"{"alg":"ES256","kid":"e"}"#, GOOD);
    let good = es256_signature(&signed);
    let (r, s) = good.split_bytes();
    let order = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let zero = [0; 32];
    let one = [&[0; 31][..], &[1]].concat();
    let table = [
        good.to_der().as_bytes().to_vec(),
        [&zero[..], &zero[..]].concat(),
        [&r[..], &zero[..]].concat(),
        [&zero[..], &s[..]].concat(),
        [&order[..], &s[..]].concat(),
        [&r[..], &order[..]].concat(),
        [&one[..], &one[..]].concat(),
        [&s[..], &r[..]].concat(),
        [&r[..], &s[1..]].concat(),
        [&r[..], &s[..], &[0]].concat(),
        Vec::new(),
    ];
    for signature in table {
        assert!(!lets_in(&config(), &format!("{signed}.{}", b64(&signature))), "{signature:?}");
    }
    let other = es256_signature("something else").to_bytes();
    assert!(!lets_in(&config(), &format!("{signed}.{}", b64(&other))));
}

#[test]
fn dates_are_numbers_and_bounds_are_exact() {
    // `leeway` is 30 s.
    let table = [
        (r#""exp":1700000100"#, true),
        (r#""exp":1699999971"#, true),
        (r#""exp":1699999970"#, false),
        (r#""exp":1699999970.5"#, true),
        (r#""exp":1.7000001e9"#, true),
        (r#""exp":1e300"#, true),
        (r#""exp":18446744073709551615"#, true),
        (r#""exp":0"#, false),
        (r#""exp":-1"#, false),
        (r#""exp":1e999"#, false),
        (r#""exp":"1700000100""#, false),
        (r#""exp":"2100-01-01T00:00:00Z""#, false),
        (r#""exp":null"#, false),
        (r#""exp":true"#, false),
        (r#""exp":[1700000100]"#, false),
        (r#""Exp":1700000100"#, false),
        (r#""iat":1600000000"#, false),
        (r#""exp":1700000100,"nbf":1700000030"#, true),
        (r#""exp":1700000100,"nbf":1700000030.5"#, false),
        (r#""exp":1700000100,"nbf":1700000031"#, false),
        (r#""exp":1700000100,"nbf":"0""#, false),
        (r#""exp":1700000100,"nbf":null"#, false),
    ];
    for (dates, allowed) in table {
        let payload = format!(r#"{{"aud":"api",{dates}}}"#);
        assert_eq!(lets_in(&config(), &hs256(&payload)), allowed, "{dates}");
    }
    let without_exp = with(config(), "require-exp", json!(false));
    assert!(lets_in(&without_exp, &hs256(r#"{"aud":"api"}"#)));
    assert!(!lets_in(&without_exp, &hs256(r#"{"aud":"api","exp":1}"#)));
}

#[test]
fn issuer_and_audience_are_those_configured() {
    let base = with(config(), "issuer", json!("https://id"));
    let two = with(base.clone(), "audience", json!(["api", "admin"]));
    let none = with(base.clone(), "audience", json!([]));
    let any = with(none.clone(), "any-audience", json!(true));
    let table = [
        (&base, r#""iss":"https://id","aud":"api""#, true),
        (&base, r#""iss":"https://id","aud":["web","api"]"#, true),
        (&base, r#""iss":"https://id/","aud":"api""#, false),
        (&base, r#""iss":["https://id"],"aud":"api""#, false),
        (&base, r#""aud":"api""#, false),
        (&base, r#""iss":"https://id""#, false),
        (&base, r#""iss":"https://id","aud":"apis""#, false),
        (&base, r#""iss":"https://id","aud":[]"#, false),
        (&base, r#""iss":"https://id","aud":[["api"]]"#, false),
        (&base, r#""iss":"https://id","aud":{"api":1}"#, false),
        (&base, r#""iss":"https://id","aud":null"#, false),
        (&two, r#""iss":"https://id","aud":"admin""#, true),
        (&none, r#""iss":"https://id""#, true),
        (&none, r#""iss":"https://id","aud":"api""#, false),
        (&any, r#""iss":"https://id","aud":"somebody""#, true),
    ];
    for (config, claims, allowed) in table {
        let payload = format!(r#"{{"exp":1700000100,{claims}}}"#);
        assert_eq!(lets_in(config, &hs256(&payload)), allowed, "{claims}");
    }
}

#[test]
fn the_type_of_token_can_be_demanded() {
    let config = with(config(), "type", json!("at+jwt"));
    let table = [
        (r#","typ":"at+jwt""#, true),
        (r#","typ":"application/AT+JWT""#, true),
        (r#","typ":"JWT""#, false),
        (r#","typ":1"#, false),
        ("", false),
    ];
    for (typ, allowed) in table {
        let header = format!(r#"{{"alg":"HS256","kid":"h"{typ}}}"#);
        let token = hs256_with(SECRET.as_bytes(), &header, GOOD);
        assert_eq!(lets_in(&config, &token), allowed, "{typ}");
    }
}

#[test]
fn claims_are_forwarded_and_never_taken_from_the_client() {
    let config = with(
        config(),
        "forward-claims",
        json!({ "sub": "X-User", "groups": "x-groups", "level": "x-level", "name": "x-name" }),
    );
    let payload =
        GOOD.replace("\"sub\"", r#""groups":["a","b"],"level":3,"name":"line\nbreak","sub""#);
    let (_, edits) = ask(&config, &[&format!("Bearer {}", hs256(&payload))]);
    let expected = [
        Edit::set("x-groups", "a, b"),
        Edit::set("x-level", "3"),
        Edit::remove("x-name"),
        Edit::set("x-user", "ada"),
    ];
    assert_eq!(edits, expected);

    let (_, edits) =
        ask(&config, &[&format!("Bearer {}", hs256(r#"{"aud":"api","exp":1700000100}"#))]);
    let names: Vec<_> = edits.iter().map(|edit| matches!(edit, Edit::Remove(_))).collect();
    assert_eq!(names, [true; 4]);
}

#[test]
fn a_claim_that_could_be_read_in_two_ways_is_not_forwarded() {
    let config = with(config(), "forward-claims", json!({ "groups": "x-groups" }));
    for groups in [r#"["a,b"]"#, r#"{"a":1}"#, r#"[["a"]]"#, "null", "1.5"] {
        let payload = GOOD.replace("\"sub\"", &format!(r#""groups":{groups},"sub""#));
        let (_, edits) = ask(&config, &[&format!("Bearer {}", hs256(&payload))]);
        assert_eq!(edits, [Edit::remove("x-groups")], "{groups}");
    }
}

#[test]
fn the_token_can_be_kept_from_the_upstream() {
    let config = with(config(), "forward", json!(false));
    let (_, edits) = ask(&config, &[&format!("Bearer {}", hs256(GOOD))]);
    assert_eq!(edits, [Edit::remove("authorization")]);
}

#[test]
fn a_subject_is_text_without_control_characters() {
    for sub in [r#""a\r\nb""#, "1", r#"["ada"]"#, "null"] {
        assert!(!lets_in(&config(), &hs256(&GOOD.replace("\"ada\"", sub))), "{sub}");
    }
}

#[test]
fn the_reason_goes_to_the_log_and_not_to_the_client() {
    let (verdict, _) = ask(&config(), &[&format!("Bearer {}", hs256(r#"{"aud":"api","exp":1}"#))]);
    let auth::Verdict::Deny(answer) = verdict else { panic!("let in") };
    assert!(!String::from_utf8(answer.body).unwrap().contains("exp"));
    let lines = testing::host(|host| host.log.clone());
    assert_eq!(lines, [(log::Level::Debug, "refused: claim `exp`: expired".into())]);
}

#[test]
fn without_a_kid_there_must_be_one_key_only() {
    let keys = json!([{ "secret": SECRET }, { "id": "old", "secret": "another secret of thirty-two bytes" }]);
    let config = with(config(), "keys", keys);
    let table = [
        (r#"{"alg":"HS256"}"#, false),
        (r#"{"alg":"HS256","kid":"new"}"#, true),
        (r#"{"alg":"HS256","kid":"old"}"#, false),
    ];
    for (header, allowed) in table {
        let token = hs256_with(SECRET.as_bytes(), header, GOOD);
        assert_eq!(lets_in(&config, &token), allowed, "{header}");
    }
}

#[test]
fn a_wrong_configuration_is_refused_with_its_place() {
    let key = |key: Value| json!({ "keys": [key] });
    let jwk = |change: Value| {
        let mut jwk = ec_jwk();
        jwk.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        key(json!({ "jwk": jwk }))
    };
    let table = [
        (json!({}), "no keys"),
        (json!({ "jwks": { "keys": [] } }), "no keys"),
        (json!({ "jwks": [] }), "`jwks`: a JWK Set is expected"),
        (json!({ "jwks": { "keys": [{ "kty": "OKP" }] } }), "`jwks`: no usable key"),
        (key(json!({})), "`keys[0]`: exactly one of"),
        (key(json!({ "secret": "short" })), "`keys[0]`: the secret is shorter"),
        (key(json!({ "secret": RSA_2048_PEM })), "`keys[0]`: the secret is a PEM"),
        (key(json!({ "pem": "x" })), "`keys[0]`: `pem` is no PEM text"),
        (key(json!({ "pem": RSA_1024_PEM })), "`keys[0]`: the RSA key has 1024 bits"),
        (key(json!({ "pem": EC_384_PEM })), "`keys[0]`: `pem` holds a key that is neither"),
        (
            key(json!({ "pem": EC_PEM, "algorithm": "RS256" })),
            "`keys[0]`: `algorithm` is `RS256`, but this key is for ES256",
        ),
        (jwk(json!({ "alg": "HS256" })), "`keys[0]`: the JWK's `alg` is \"HS256\""),
        (jwk(json!({ "d": "AA" })), "`keys[0]`: the JWK is a private key"),
        (jwk(json!({ "use": "enc" })), "`keys[0]`: the JWK's `use`"),
        (jwk(json!({ "y": "AA" })), "`keys[0]`: the JWK's `x` and `y`"),
        (jwk(json!({ "y": b64(&[1; 32]) })), "`keys[0]`: the JWK's `x` and `y`"),
        (
            with(config(), "keys", json!([{ "secret": SECRET }, { "secret": SECRET }])),
            "two keys for HS256",
        ),
        (
            with(config(), "algorithms", json!(["ES256", "HS256"])),
            "`algorithms` does not list RS256",
        ),
        (with(config(), "algorithms", json!(["none"])), "`algorithms`: `none` is not known"),
        (with(config(), "leeway", json!("1h")), "`leeway`: `1h` is not allowed"),
        (with(config(), "max-token", json!("1MiB")), "`max-token`: `1MiB` is not allowed"),
        (with(config(), "realm", json!("a\"b")), "`realm` has characters"),
        (with(config(), "any-audience", json!(true)), "`any-audience` and `audience`"),
        (
            with(config(), "forward-claims", json!({ "sub": "authorization" })),
            "`forward-claims.sub`: the field `authorization` is taken",
        ),
        (with(config(), "jwks-url", json!("https://id")), "`jwks-url`: unknown field"),
    ];
    for (config, message) in table {
        let refused = testing::configure(Jwt::configure, &config.to_string()).unwrap_err();
        assert!(refused.starts_with(message), "{refused}");
        assert!(!refused.contains(SECRET));
    }
}

#[test]
fn rsa_keys_have_2048_to_4096_bits_and_a_fit_exponent() {
    let f4 = &[1, 0, 1][..];
    let odd = |bytes: usize, first: u8| {
        let mut modulus = vec![0xff; bytes];
        modulus[0] = first;
        modulus
    };
    let even = [&odd(255, 0xff)[..], &[0xfe]].concat();
    let padded = [&[0, 0][..], &odd(256, 0x80)].concat();
    let table = [
        (odd(256, 0x80), f4, None),
        (odd(512, 0xff), f4, None),
        (padded, &[0, 1, 0, 1], None),
        (odd(256, 0x80), &[3], None),
        (odd(256, 0x80), &[0xff; 4], None),
        (odd(256, 0x7f), f4, Some("the RSA key has 2047 bits; 2048 to 4096 are allowed")),
        (odd(513, 0x01), f4, Some("the RSA key has 4097 bits; 2048 to 4096 are allowed")),
        (Vec::new(), f4, Some("the RSA key has 0 bits; 2048 to 4096 are allowed")),
        (even, f4, Some("the RSA key cannot be used: invalid modulus")),
        (odd(256, 0x80), &[], Some("the RSA key cannot be used: invalid exponent")),
        (odd(256, 0x80), &[1], Some("the RSA key cannot be used: public exponent too small")),
        (odd(256, 0x80), &[1, 0, 0], Some("the RSA key cannot be used: invalid exponent")),
        (odd(256, 0x80), &[1, 0, 0, 0, 1], Some("the RSA key's exponent is not below 2^32")),
    ];
    for (modulus, exponent, problem) in table {
        let jwk = json!({ "kty": "RSA", "n": b64(&modulus), "e": b64(exponent) });
        let config = json!({ "keys": [{ "jwk": jwk }] });
        let refused = testing::configure(Jwt::configure, &config.to_string()).err();
        let expected = problem.map(|problem| format!("`keys[0]`: {problem}"));
        assert_eq!(refused, expected, "{} bytes, {exponent:?}", modulus.len());
    }
}

#[test]
fn the_schema_knows_every_key() {
    testing::assert_schema(Jwt::configure, include_str!("../schema.json"));
}
