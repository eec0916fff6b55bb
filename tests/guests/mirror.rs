//! Answers with what it sees: all facts, a declared field, the others by `*`, and one that the host is asked for.

use edgewit_sdk::{Answer, DeclaredFact, Fact, Needs, Request, RequestField, exchange};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Sees everything.
pub struct Mirror {
    declared: RequestField,
    facts: Vec<(Fact, DeclaredFact)>,
}

/// In which order things are declared.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    star_first: bool,
}

impl Mirror {
    fn configure(config: Config, needs: &mut Needs) -> Result<Self, String> {
        if config.star_first {
            needs.request_field("*");
        }
        let declared = needs.request_field("x-declared");
        needs.request_field("*");
        let facts = Fact::ALL.map(|fact| (fact, needs.fact(fact))).to_vec();
        Ok(Mirror { declared, facts })
    }

    fn on_request(&self, request: &mut Request) -> Answer {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let facts: Map<String, Value> = self
            .facts
            .iter()
            .filter_map(|(fact, key)| {
                Some((fact.name().to_owned(), text(&request.get(*key)?).into()))
            })
            .collect();
        let declared: Vec<_> = request.all(self.declared).map(|value| text(&value)).collect();
        let others: Vec<_> =
            request.others().map(|(name, value)| [name.to_owned(), text(&value)]).collect();
        let asked: Vec<_> = exchange::request_fields("x-asked").iter().map(|v| text(v)).collect();
        let seen =
            json!({ "facts": facts, "declared": declared, "others": others, "asked": asked });
        Answer::new(200).field("content-type", "application/json").body(seen.to_string())
    }
}

edgewit_sdk::export!(Mirror: lifecycle, request);
