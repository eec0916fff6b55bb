//! Sets, appends and removes header fields of requests and responses.
//!
//! Start reading at [`Headers`]; [`template`] is how a value is made of facts.

mod template;

use edgewit_sdk::{DeclaredFact, Fact, Needs, Request, Response, exchange, field};
use serde::Deserialize;
use std::collections::BTreeMap;
use template::Template;

/// The changes, ready to be applied.
#[derive(Debug)]
pub struct Headers {
    request: Changes,
    response: Changes,
    facts: Vec<(Fact, DeclaredFact)>,
}

/// What the operator writes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    request: Section,
    #[serde(default)]
    response: Section,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    set: BTreeMap<String, String>,
    #[serde(default)]
    append: BTreeMap<String, String>,
}

/// Applied in this order.
#[derive(Debug)]
struct Changes {
    remove: Vec<String>,
    set: Vec<(String, Template)>,
    append: Vec<(String, Template)>,
}

impl Headers {
    fn configure(config: Config, needs: &mut Needs) -> Result<Self, String> {
        let request = config.request.check("request")?;
        let response = config.response.check("response")?;
        let facts = request.facts().map(|fact| (fact, needs.fact(fact))).collect();
        Ok(Headers { request, response, facts })
    }

    fn on_request(&self, request: &mut Request) {
        let (changes, facts) = (&self.request, &self.facts);
        for name in &changes.remove {
            request.remove(name);
        }
        for (name, template) in &changes.set {
            match template.fill(|fact| declared(request, facts, fact)) {
                Some(value) => request.set(name, value),
                // What a client sent under this name must not pass for the fact that is missing.
                None => request.remove(name),
            }
        }
        for (name, template) in &changes.append {
            if let Some(value) = template.fill(|fact| declared(request, facts, fact)) {
                request.append(name, value);
            }
        }
    }

    fn on_response(&self, response: &mut Response) {
        let changes = &self.response;
        for name in &changes.remove {
            response.remove(name);
        }
        for (name, template) in &changes.set {
            match template.fill(|fact| exchange::fact(fact).map(String::into_bytes)) {
                Some(value) => response.set(name, value),
                None => response.remove(name),
            }
        }
        for (name, template) in &changes.append {
            if let Some(value) = template.fill(|fact| exchange::fact(fact).map(String::into_bytes))
            {
                response.append(name, value);
            }
        }
    }
}

edgewit_sdk::export!(Headers: lifecycle, request, response);

impl Section {
    /// `place` is the key of this section, for messages.
    fn check(self, place: &str) -> Result<Changes, String> {
        let named = |list: &str, name: &str| {
            field::checked_name(name).map_err(|problem| format!("`{place}.{list}`: {problem}"))
        };
        let filled = |list: &str, fields: BTreeMap<String, String>| {
            let check = |(name, value): (String, String)| {
                let template = Template::parse(&value)
                    .map_err(|problem| format!("`{place}.{list}.{name}`: {problem}"))?;
                Ok((named(list, &name)?, template))
            };
            fields.into_iter().map(check).collect::<Result<Vec<_>, String>>()
        };
        Ok(Changes {
            remove: self
                .remove
                .iter()
                .map(|name| named("remove", name))
                .collect::<Result<_, _>>()?,
            set: filled("set", self.set)?,
            append: filled("append", self.append)?,
        })
    }
}

impl Changes {
    fn facts(&self) -> impl Iterator<Item = Fact> {
        self.set.iter().chain(&self.append).flat_map(|(_, template)| template.facts())
    }
}

fn declared(request: &Request, facts: &[(Fact, DeclaredFact)], fact: Fact) -> Option<Vec<u8>> {
    let (_, key) = facts.iter().find(|(known, _)| *known == fact)?;
    request.get(*key).map(Vec::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use edgewit_sdk::{Edit, testing};

    fn configured(config: &str) -> (Headers, Needs) {
        testing::configure(Headers::configure, config).unwrap()
    }

    #[test]
    fn fields_are_removed_then_set_then_appended() {
        let (filter, needs) = configured(
            r#"{"request": {"append": {"Via": "edge"}, "set": {"x-a": "b"}, "remove": ["X-Internal"]}}"#,
        );
        let mut request = testing::request_for(&needs).build();
        filter.on_request(&mut request);
        let expected =
            [Edit::remove("x-internal"), Edit::set("x-a", "b"), Edit::append("via", "edge")];
        assert_eq!(request.edits(), expected);
    }

    #[test]
    fn values_carry_facts() {
        let (filter, needs) = configured(
            r#"{"request": {"set": {"x-from": "{client-address} of {{{subject}}}"}},
                "response": {"set": {"x-id": "{request-id}"}}}"#,
        );
        let mut request = testing::request_for(&needs)
            .fact(Fact::ClientAddress, "192.0.2.1")
            .fact(Fact::Subject, "ci")
            .fact(Fact::RequestId, "42")
            .build();
        filter.on_request(&mut request);
        assert_eq!(request.edits(), [Edit::set("x-from", "192.0.2.1 of {ci}")]);

        let mut response = testing::response_for(&needs, 200).build();
        filter.on_response(&mut response);
        assert_eq!(response.edits(), [Edit::set("x-id", "42")]);
    }

    #[test]
    fn a_missing_fact_never_leaves_the_field_to_the_client() {
        let (filter, needs) = configured(
            r#"{"request": {"set": {"x-user": "{subject}"}, "append": {"x-users": "{subject}"}}}"#,
        );
        let mut request = testing::request_for(&needs).field("x-user", "admin").build();
        filter.on_request(&mut request);
        assert_eq!(request.edits(), [Edit::remove("x-user")]);
    }

    #[test]
    fn a_wrong_configuration_is_refused_with_its_place() {
        let table = [
            (r#"{"request": {"set": {"a b": "c"}}}"#, "`request.set`: `a b` is no name of a field"),
            (
                r#"{"response": {"remove": ["Connection"]}}"#,
                "`response.remove`: `connection` belongs",
            ),
            (r#"{"request": {"set": {"a": "{user}"}}}"#, "`request.set.a`: `user` is no fact"),
            (r#"{"request": {"set": {"a": "{path"}}}"#, "`request.set.a`: `{` without `}`"),
            (r#"{"request": {"set": {"a": "b\n"}}}"#, "`request.set.a`: control characters"),
            (r#"{"request": {"add": {}}}"#, "`request.add`: unknown field `add`"),
        ];
        for (config, message) in table {
            let refused = testing::configure(Headers::configure, config).unwrap_err();
            assert!(refused.starts_with(message), "{refused}");
        }
    }

    #[test]
    fn the_schema_knows_every_key() {
        testing::assert_schema(Headers::configure, include_str!("../schema.json"));
    }
}
