//! The maintained filter `jwt` with tokens that were really signed.

use std::time::{SystemTime, UNIX_EPOCH};

use base64ct::{Base64UrlUnpadded, Encoding};
use edgewit_harness::{Gateway, Origin, Setup, get};
use hmac::{Hmac, Mac};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SigningKey};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::common::through;

const SECRET: &str = "a secret of at least thirty-two bytes";

/// What signs a token.
enum Signer {
    Hs256(&'static str),
    Rs256(KeyPair),
    Es256(KeyPair),
}

impl Signer {
    fn rs256() -> Self {
        Self::Rs256(KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap())
    }

    fn es256() -> Self {
        Self::Es256(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap())
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Hs256(_) => "HS256",
            Self::Rs256(_) => "RS256",
            Self::Es256(_) => "ES256",
        }
    }

    /// The entry of the filter's `keys`.
    fn key(&self) -> String {
        match self {
            Self::Hs256(secret) => format!("{{ secret = \"{secret}\" }}"),
            Self::Rs256(pair) | Self::Es256(pair) => {
                format!("{{ pem = \"\"\"\n{}\"\"\" }}", pair.public_key_pem().replace("\r\n", "\n"))
            }
        }
    }

    fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({ "alg": self.algorithm(), "typ": "JWT" }), claims)
    }

    fn token_with(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
        let input = format!("{}.{}", part(header), part(claims));
        let signature = match self {
            Self::Hs256(secret) => {
                let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
                mac.update(input.as_bytes());
                mac.finalize().into_bytes().to_vec()
            }
            Self::Rs256(pair) => pair.sign(input.as_bytes()).unwrap(),
            Self::Es256(pair) => raw(&pair.sign(input.as_bytes()).unwrap()),
        };
        format!("{input}.{}", Base64UrlUnpadded::encode_string(&signature))
    }
}

/// From the two integers of DER to the 64 bytes of RFC 7518 3.4.
fn raw(der: &[u8]) -> Vec<u8> {
    let mut rest = &der[2..];
    let mut out = Vec::new();
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let integer = &rest[2..2 + length];
        let digits = &integer[integer.len().saturating_sub(32)..];
        out.extend(std::iter::repeat_n(0, 32 - digits.len()).chain(digits.iter().copied()));
        rest = &rest[2 + length..];
    }
    out
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn good() -> Value {
    json!({ "iss": "https://login.example.com", "aud": "api", "sub": "ada", "exp": now() + 600 })
}

fn gateway(origin: &Origin, signer: &Signer) -> Gateway {
    let toml = through(origin, "\"jwt\"")
        + "[plugins.jwt.config]\nissuer = \"https://login.example.com\"\naudience = [\"api\"]\n"
        + &format!("forward-claims = {{ sub = \"x-user\" }}\nkeys = [{}]\n", signer.key());
    Setup::new(toml).maintained("jwt").start()
}

#[track_caller]
fn check(gateway: &Gateway, token: &str, status: u16, why: &str) {
    let reply = gateway.send(
        get("/").header("authorization", format!("Bearer {token}")).header("x-user", "forged"),
    );
    assert_eq!(reply.status, status, "{why}");
    match status {
        200 => assert_eq!(reply.echoed("x-user"), "ada", "{why}"),
        _ => assert!(reply.header("www-authenticate").starts_with("Bearer"), "{why}"),
    }
}

#[test]
fn tokens_of_each_algorithm_are_let_in_and_others_are_not() {
    let signers = [Signer::Hs256(SECRET), Signer::rs256(), Signer::es256()];
    let origin = Origin::echo();
    for signer in &signers {
        let gateway = gateway(&origin, signer);
        let name = signer.algorithm();
        check(&gateway, &signer.token(&good()), 200, name);
        assert_eq!(gateway.get("/").status, 401, "{name}: no token");
        for other in
            [Signer::Hs256("another secret of at least 32 bytes"), Signer::rs256(), Signer::es256()]
        {
            check(&gateway, &other.token(&good()), 401, name);
        }
        let token = signer.token(&good());
        let (input, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = input.split_once('.').unwrap();
        let admin = Base64UrlUnpadded::encode_string(
            json!({ "sub": "root", "exp": now() + 9 }).to_string().as_bytes(),
        );
        check(
            &gateway,
            &format!("{header}.{admin}.{signature}"),
            401,
            "claims that were not signed",
        );
        check(&gateway, &format!("{input}."), 401, "no signature");
    }
    assert_eq!(origin.seen().len(), 3);
}

#[test]
fn claims_decide_after_the_signature() {
    let signer = Signer::Hs256(SECRET);
    let origin = Origin::echo();
    let gateway = gateway(&origin, &signer);
    let changed = |key: &str, value: Value| {
        let mut claims = good();
        claims[key] = value;
        claims
    };
    let table = [
        ("expired", changed("exp", json!(now() - 120)), 401),
        ("expired within the leeway", changed("exp", json!(now() - 5)), 200),
        ("exp as text", changed("exp", json!((now() + 600).to_string())), 401),
        ("not yet", changed("nbf", json!(now() + 120)), 401),
        ("since a while", changed("nbf", json!(now() - 120)), 200),
        ("another issuer", changed("iss", json!("https://evil.example.com")), 401),
        ("another audience", changed("aud", json!("other")), 401),
        ("one of its audiences", changed("aud", json!(["other", "api"])), 200),
    ];
    for (why, claims, status) in table {
        check(&gateway, &signer.token(&claims), status, why);
    }
    let headers = [
        ("none", json!({ "alg": "none" })),
        ("crit", json!({ "alg": "HS256", "crit": ["exp"], "exp": 1 })),
        ("an algorithm of another key", json!({ "alg": "RS256" })),
    ];
    for (why, header) in headers {
        check(&gateway, &signer.token_with(&header, &good()), 401, why);
    }
}

#[test]
fn a_public_key_is_no_secret() {
    let signer = Signer::rs256();
    let Signer::Rs256(pair) = &signer else { unreachable!() };
    let pem: &'static str = pair.public_key_pem().leak();
    let origin = Origin::echo();
    let gateway = gateway(&origin, &signer);
    check(&gateway, &Signer::Hs256(pem).token(&good()), 401, "HMAC with the public key as secret");
    assert!(origin.seen().is_empty());
}
