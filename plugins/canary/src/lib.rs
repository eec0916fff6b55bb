//! Sends some requests to another upstream: those with a header or a cookie, or a share of all.
//!
//! Start reading at [`Canary`]'s `route`.

mod rule;

use edgewit_sdk::{DeclaredFact, Fact, Needs, Request, RequestField, field, random, routing};
use rule::{Condition, RawRule, Rule};
use serde::Deserialize;

/// The rules, and what keeps a client on its side.
#[derive(Debug)]
pub struct Canary {
    rules: Vec<Rule>,
    sticky: Option<Sticky>,
    salt: String,
}

/// What the operator writes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    rules: Vec<RawRule>,
    #[serde(default)]
    sticky: Option<String>,
    #[serde(default)]
    salt: String,
}

/// What makes the same client draw the same lot again.
#[derive(Debug)]
enum Sticky {
    Header(RequestField),
    Cookie { field: RequestField, name: String },
    ClientAddress(DeclaredFact),
}

/// Lots that are drawn: a hundredth of a percent each.
const LOTS: u32 = 10_000;

impl Canary {
    fn configure(config: Config, needs: &mut Needs) -> Result<Self, String> {
        let rules = rule::check(config.rules, needs)?;
        let sticky = config.sticky.map(|sticky| Sticky::parse(&sticky, needs)).transpose()?;
        Ok(Canary { rules, sticky, salt: config.salt })
    }

    /// The first rule that holds decides. Shares are of one lot, so that two rules of 5 % are two different 5 %.
    fn route(&self, request: &mut Request) -> routing::Verdict {
        let mut lot = None;
        let mut passed = 0;
        for rule in &self.rules {
            let holds = match &rule.condition {
                Condition::Header { field, equals } => {
                    request.all(*field).any(|value| equals.as_ref().is_none_or(|e| value == **e))
                }
                Condition::Cookie { field, name, equals } => cookies(request, *field, name)
                    .any(|value| equals.as_ref().is_none_or(|equals| value == equals.as_bytes())),
                Condition::Share(share) => {
                    passed += share;
                    *lot.get_or_insert_with(|| self.draw(request)) < passed
                }
            };
            if holds {
                return routing::Verdict::to(&rule.upstream);
            }
        }
        routing::Verdict::Stay
    }

    /// A client without the sticky value draws anew each time.
    fn draw(&self, request: &Request) -> u32 {
        match self.sticky.as_ref().and_then(|sticky| sticky.value(request)) {
            Some(value) => hash(self.salt.as_bytes(), &value) % LOTS,
            None => random::below(LOTS),
        }
    }
}

edgewit_sdk::export!(Canary: lifecycle, routing);

impl Sticky {
    fn parse(text: &str, needs: &mut Needs) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("header", name)) => {
                let name =
                    field::checked_name(name).map_err(|problem| format!("`sticky`: {problem}"))?;
                Ok(Sticky::Header(needs.request_field(&name)))
            }
            Some(("cookie", name)) if !name.is_empty() => {
                Ok(Sticky::Cookie { field: needs.request_field("cookie"), name: name.to_owned() })
            }
            None if text == "client-address" => {
                Ok(Sticky::ClientAddress(needs.fact(Fact::ClientAddress)))
            }
            _ => Err(format!(
                "`sticky`: `{text}` is not known; `header:NAME`, `cookie:NAME` and `client-address` are"
            )),
        }
    }

    fn value(&self, request: &Request) -> Option<Vec<u8>> {
        match self {
            Sticky::Header(field) => request.get(*field).map(Vec::from),
            Sticky::Cookie { field, name } => cookies(request, *field, name).next(),
            Sticky::ClientAddress(fact) => request.get(*fact).map(Vec::from),
        }
    }
}

/// The values of one cookie (RFC 6265 5.4). HTTP/2 may split the field.
fn cookies(request: &Request, field: RequestField, name: &str) -> impl Iterator<Item = Vec<u8>> {
    request.all(field).flat_map(move |line| {
        line.split(|byte| *byte == b';')
            .filter_map(|pair| {
                let pair = pair.trim_ascii();
                let equals = pair.iter().position(|byte| *byte == b'=')?;
                let (key, value) = pair.split_at(equals);
                (key == name.as_bytes()).then(|| value.get(1..).unwrap_or_default().to_vec())
            })
            .collect::<Vec<_>>()
    })
}

/// FNV-1a with a final mix. Who can choose the sticky value can choose the side, which a share is no protection against;
/// so the hash need not resist anybody, only be the same everywhere and spread well.
fn hash(salt: &[u8], value: &[u8]) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in salt.iter().chain(&[0]).chain(value) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use edgewit_sdk::testing;

    type Fields<'a> = &'a [(&'a str, &'a str)];

    fn route(config: &str, fields: Fields, address: &str) -> Option<String> {
        let (filter, needs) = testing::configure(Canary::configure, config).unwrap();
        let mut builder = testing::request_for(&needs).fact(Fact::ClientAddress, address);
        for (name, value) in fields {
            builder = builder.field(name, value);
        }
        match filter.route(&mut builder.build()) {
            routing::Verdict::Stay => None,
            routing::Verdict::Choose { upstream, path: None } => upstream,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_header_or_cookie_chooses_the_upstream() {
        let config = r#"{"rules": [
            {"upstream": "a", "header": {"name": "x-canary", "equals": "always"}},
            {"upstream": "b", "header": {"name": "x-beta"}},
            {"upstream": "c", "cookie": {"name": "canary", "equals": "1"}}
        ]}"#;
        let table: [(Fields, Option<&str>); 8] = [
            (&[], None),
            (&[("x-canary", "always")], Some("a")),
            (&[("x-canary", "never")], None),
            (&[("x-beta", "")], Some("b")),
            (&[("x-beta", ""), ("x-canary", "always")], Some("a")),
            (&[("cookie", "session=7; canary=1")], Some("c")),
            (&[("cookie", "session=7"), ("cookie", "canary=1")], Some("c")),
            (&[("cookie", "xcanary=1; canary=10")], None),
        ];
        for (fields, upstream) in table {
            assert_eq!(route(config, fields, "").as_deref(), upstream, "{fields:?}");
        }
    }

    #[test]
    fn shares_are_kept_and_do_not_overlap() {
        let config = r#"{"sticky": "client-address", "rules": [
            {"upstream": "a", "weight": "5%"}, {"upstream": "b", "weight": "0.5%"}
        ]}"#;
        let mut counts = [0, 0];
        for client in 0..20_000_u32 {
            let address = format!("10.{}.{}.{}", client >> 16, client >> 8 & 255, client & 255);
            match route(config, &[], &address).as_deref() {
                Some("a") => counts[0] += 1,
                Some(_) => counts[1] += 1,
                None => {}
            }
        }
        assert!((900..1_100).contains(&counts[0]), "{counts:?}");
        assert!((60..140).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn a_sticky_client_stays_on_its_side() {
        let config = r#"{"sticky": "cookie:id", "rules": [{"upstream": "a", "weight": "50%"}]}"#;
        for id in 0..100 {
            let cookie = format!("id={id}");
            let first = route(config, &[("cookie", &cookie)], "");
            assert_eq!(route(config, &[("cookie", &cookie)], "192.0.2.1"), first);
        }
    }

    #[test]
    fn without_a_sticky_value_the_lot_is_random() {
        let config =
            r#"{"sticky": "header:x-user", "rules": [{"upstream": "a", "weight": "50%"}]}"#;
        testing::host(|host| host.random = [0, u64::MAX].into());
        assert_eq!(route(config, &[], "").as_deref(), Some("a"));
        assert_eq!(route(config, &[], ""), None);
    }

    #[test]
    fn nothing_and_everything_are_exact() {
        for value in [0, u64::MAX] {
            testing::host(|host| host.random = [value, value].into());
            assert_eq!(route(r#"{"rules": [{"upstream": "a", "weight": "0%"}]}"#, &[], ""), None);
            let all = r#"{"rules": [{"upstream": "a", "weight": "100%"}]}"#;
            assert_eq!(route(all, &[], "").as_deref(), Some("a"));
        }
    }

    #[test]
    fn a_wrong_configuration_is_refused_with_its_place() {
        let table = [
            (r#"{}"#, "missing field `rules`"),
            (r#"{"rules": []}"#, "`rules` is empty"),
            (r#"{"rules": [{"upstream": "a"}]}"#, "`rules[0]`: exactly one of"),
            (r#"{"rules": [{"upstream": "", "weight": "1%"}]}"#, "`rules[0].upstream` is empty"),
            (
                r#"{"rules": [{"upstream": "a", "weight": "5"}]}"#,
                "`rules[0].weight`: `5` is no share",
            ),
            (
                r#"{"rules": [{"upstream": "a", "weight": "101%"}]}"#,
                "`rules[0].weight`: `101%` is no",
            ),
            (
                r#"{"rules": [{"upstream": "a", "weight": "60%"}, {"upstream": "b", "weight": "50%"}]}"#,
                "`rules`: the weights sum up to more than 100%",
            ),
            (
                r#"{"rules": [{"upstream": "a", "weight": "1%"}], "sticky": "ip"}"#,
                "`sticky`: `ip` is not known",
            ),
        ];
        for (config, message) in table {
            let refused = testing::configure(Canary::configure, config).unwrap_err();
            assert!(refused.starts_with(message), "{refused}");
        }
    }

    #[test]
    fn the_schema_knows_every_key() {
        testing::assert_schema(Canary::configure, include_str!("../schema.json"));
    }
}
