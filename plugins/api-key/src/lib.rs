//! Authenticates by API key.
//!
//! The configuration holds digests, so that whoever reads it learns no key. Start reading at [`ApiKey`]'s
//! `authenticate`.

mod query;

use edgewit_sdk::{Answer, DeclaredFact, Fact, Needs, Request, RequestField, auth, field};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

/// The known keys and where to look for one.
#[derive(Debug)]
pub struct ApiKey {
    keys: Vec<Key>,
    header: String,
    field: RequestField,
    query: Option<(String, DeclaredFact)>,
    forward: bool,
}

/// What the operator writes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    keys: Vec<RawKey>,
    #[serde(default = "default_header")]
    header: String,
    #[serde(default)]
    query: Option<String>,
    #[serde(default)]
    forward: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    subject: String,
    sha256: String,
}

#[derive(Debug)]
struct Key {
    subject: String,
    digest: [u8; 32],
}

impl ApiKey {
    fn configure(config: Config, needs: &mut Needs) -> Result<Self, String> {
        if config.keys.is_empty() {
            return Err("`keys` is empty, so nobody could come in; name at least one key".into());
        }
        if config.query.is_some() && !config.forward {
            return Err("`query` needs `forward = true`: a key in the query reaches the upstream, because a filter that \
                        authenticates cannot change the path"
                .into());
        }
        let header = field::checked_name(&config.header)
            .map_err(|problem| format!("`header`: {problem}"))?;
        Ok(ApiKey {
            keys: check(config.keys)?,
            field: needs.request_field(&header),
            header,
            query: config.query.map(|name| (name, needs.fact(Fact::Query))),
            forward: config.forward,
        })
    }

    fn authenticate(&self, request: &mut Request) -> auth::Verdict {
        let Some(subject) = self.presented(request).and_then(|key| self.subject_of(&key)) else {
            return auth::Verdict::Deny(self.challenge());
        };
        if !self.forward {
            request.remove(&self.header);
        }
        auth::Verdict::AllowAs(subject.to_owned())
    }

    /// The one key of the request. None, and also more than one: whoever sends two hopes that somebody behind us looks
    /// at the other.
    fn presented(&self, request: &Request) -> Option<Vec<u8>> {
        let mut presented: Vec<Vec<u8>> = request.all(self.field).map(Vec::from).collect();
        if let Some((name, fact)) = &self.query
            && let Some(query) = request.get(*fact)
        {
            presented.extend(query::values(&query, name));
        }
        match presented.len() {
            1 => presented.pop(),
            _ => None,
        }
    }

    /// Looks at every key, in the same time whichever it is.
    fn subject_of(&self, presented: &[u8]) -> Option<&str> {
        let digest: [u8; 32] = Sha256::digest(presented).into();
        let mut found = u32::MAX;
        for (position, key) in (0_u32..).zip(&self.keys) {
            found.conditional_assign(&position, key.digest.ct_eq(&digest));
        }
        self.keys.get(found as usize).map(|key| key.subject.as_str())
    }

    fn challenge(&self) -> Answer {
        Answer::problem(401, "a valid API key is required")
            .field("www-authenticate", format!("ApiKey header=\"{}\"", self.header))
    }
}

edgewit_sdk::export!(ApiKey: lifecycle, auth);

fn default_header() -> String {
    "x-api-key".into()
}

fn check(raw: Vec<RawKey>) -> Result<Vec<Key>, String> {
    let mut keys: Vec<Key> = Vec::new();
    for (position, RawKey { subject, sha256 }) in raw.into_iter().enumerate() {
        if subject.is_empty() {
            return Err(format!("`keys[{position}].subject` is empty; say who has this key"));
        }
        let digest = digest_of(&sha256).ok_or_else(|| {
            format!("`keys[{position}].sha256` is no SHA-256; 64 hexadecimal digits are expected")
        })?;
        if let Some(other) = keys.iter().find(|key| key.digest == digest) {
            return Err(format!(
                "`keys[{position}]`: `{}` has the same key; every key has one subject",
                other.subject
            ));
        }
        keys.push(Key { subject, digest });
    }
    Ok(keys)
}

fn digest_of(hex: &str) -> Option<[u8; 32]> {
    let nibbles: Vec<u8> =
        hex.chars().map(|digit| Some(digit.to_digit(16)? as u8)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = nibbles
        .chunks(2)
        .map(|pair| Some(pair.first()? << 4 | pair.get(1)?))
        .collect::<Option<_>>()?;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use edgewit_sdk::{Edit, testing};

    /// SHA-256 of `secret`.
    const SECRET: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

    fn config(rest: &str) -> String {
        format!(r#"{{"keys": [{{"subject": "ci", "sha256": "{SECRET}"}}]{rest}}}"#)
    }

    fn check(config: &str, fields: &[(&str, &str)], query: &str) -> (auth::Verdict, Vec<Edit>) {
        let (filter, needs) = testing::configure(ApiKey::configure, config).unwrap();
        let mut builder = testing::request_for(&needs).fact(Fact::Query, query);
        for (name, value) in fields {
            builder = builder.field(name, value);
        }
        let mut request = builder.build();
        let verdict = filter.authenticate(&mut request);
        (verdict, request.edits().to_vec())
    }

    fn allowed() -> auth::Verdict {
        auth::Verdict::AllowAs("ci".into())
    }

    #[test]
    fn a_known_key_is_let_in_and_kept_from_the_upstream() {
        let (verdict, edits) = check(&config(""), &[("X-Api-Key", "secret")], "");
        assert_eq!(verdict, allowed());
        assert_eq!(edits, [Edit::remove("x-api-key")]);
    }

    #[test]
    fn a_key_may_be_forwarded() {
        let (verdict, edits) =
            check(&config(r#", "forward": true"#), &[("x-api-key", "secret")], "");
        assert_eq!(verdict, allowed());
        assert_eq!(edits, []);
    }

    #[test]
    fn everything_else_gets_the_same_challenge() {
        let table: [&[(&str, &str)]; 6] = [
            &[],
            &[("x-api-key", "")],
            &[("x-api-key", "Secret")],
            &[("x-api-key", SECRET)],
            &[("x-api-key", "secret"), ("x-api-key", "secret")],
            &[("authorization", "secret")],
        ];
        for fields in table {
            let (verdict, edits) = check(&config(""), fields, "key=secret");
            let auth::Verdict::Deny(answer) = verdict else { panic!("{fields:?} was let in") };
            assert_eq!(answer.status, 401);
            assert_eq!(answer.get("www-authenticate"), Some(&b"ApiKey header=\"x-api-key\""[..]));
            assert_eq!(edits, []);
        }
    }

    #[test]
    fn the_query_is_looked_at_only_where_it_is_configured() {
        let config = config(r#", "query": "key", "forward": true"#);
        assert_eq!(check(&config, &[], "a=b&key=s%65cret").0, allowed());
        for query in ["", "key=", "key=secret&key=secret", "akey=secret"] {
            assert!(matches!(check(&config, &[], query).0, auth::Verdict::Deny(_)), "{query}");
        }
        let twice = check(&config, &[("x-api-key", "secret")], "key=secret");
        assert!(matches!(twice.0, auth::Verdict::Deny(_)));
    }

    #[test]
    fn a_wrong_configuration_is_refused_with_its_place() {
        let same = format!(
            r#"{{"keys": [{{"subject": "a", "sha256": "{SECRET}"}}, {{"subject": "b", "sha256": "{SECRET}"}}]}}"#
        );
        let table = [
            (r#"{}"#.to_owned(), "missing field `keys`"),
            (r#"{"keys": []}"#.to_owned(), "`keys` is empty"),
            (
                r#"{"keys": [{"subject": "a", "sha256": "secret"}]}"#.to_owned(),
                "`keys[0].sha256` is no",
            ),
            (config("").replace("ci", ""), "`keys[0].subject` is empty"),
            (same, "`keys[1]`: `a` has the same key"),
            (config(r#", "header": "x y""#), "`header`: `x y` is no name"),
            (config(r#", "query": "key""#), "`query` needs `forward = true`"),
            (config(r#", "headers": "x""#), "`headers`: unknown field"),
        ];
        for (config, message) in table {
            let refused = testing::configure(ApiKey::configure, &config).unwrap_err();
            assert!(refused.starts_with(message), "{refused}");
        }
    }

    #[test]
    fn the_schema_knows_every_key() {
        testing::assert_schema(ApiKey::configure, include_str!("../schema.json"));
    }
}
