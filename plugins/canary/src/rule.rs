//! When a request goes elsewhere.

use crate::LOTS;
use edgewit_sdk::{Needs, RequestField, field};
use serde::Deserialize;

/// One rule, checked.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) upstream: String,
    pub(crate) condition: Condition,
}

/// Without `equals` being there is enough.
#[derive(Debug)]
pub(crate) enum Condition {
    Header {
        field: RequestField,
        equals: Option<String>,
    },
    Cookie {
        field: RequestField,
        name: String,
        equals: Option<String>,
    },
    /// So many lots.
    Share(u32),
}

/// One rule, as the operator writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRule {
    upstream: String,
    #[serde(default)]
    header: Option<Match>,
    #[serde(default)]
    cookie: Option<Match>,
    #[serde(default)]
    weight: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Match {
    name: String,
    #[serde(default)]
    equals: Option<String>,
}

pub(crate) fn check(raw: Vec<RawRule>, needs: &mut Needs) -> Result<Vec<Rule>, String> {
    if raw.is_empty() {
        return Err("`rules` is empty; without a rule this filter does nothing".into());
    }
    let rules = raw
        .into_iter()
        .enumerate()
        .map(|(position, rule)| rule.check(&format!("rules[{position}]"), needs))
        .collect::<Result<Vec<_>, _>>()?;
    let shares = rules.iter().map(|rule| match rule.condition {
        Condition::Share(share) => share,
        _ => 0,
    });
    if shares.sum::<u32>() > LOTS {
        return Err("`rules`: the weights sum up to more than 100%".into());
    }
    Ok(rules)
}

impl RawRule {
    fn check(self, place: &str, needs: &mut Needs) -> Result<Rule, String> {
        if self.upstream.is_empty() {
            return Err(format!(
                "`{place}.upstream` is empty; name an upstream that the route lists"
            ));
        }
        let condition = match (self.header, self.cookie, self.weight) {
            (Some(header), None, None) => {
                let name = field::checked_name(&header.name)
                    .map_err(|problem| format!("`{place}.header.name`: {problem}"))?;
                Condition::Header { field: needs.request_field(&name), equals: header.equals }
            }
            (None, Some(cookie), None) => Condition::Cookie {
                field: needs.request_field("cookie"),
                name: cookie.name,
                equals: cookie.equals,
            },
            (None, None, Some(weight)) => Condition::Share(lots(&weight).ok_or_else(|| {
                format!(
                    "`{place}.weight`: `{weight}` is no share; 0% to 100% with at most two decimals is allowed"
                )
            })?),
            _ => {
                return Err(format!(
                    "`{place}`: exactly one of `header`, `cookie` and `weight` is expected"
                ));
            }
        };
        Ok(Rule { upstream: self.upstream, condition })
    }
}

/// `12.5%` is 1,250 lots.
fn lots(weight: &str) -> Option<u32> {
    let number = weight.strip_suffix('%')?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str, most: usize| {
        let valid = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        valid.then(|| text.parse::<u32>().ok()).flatten()
    };
    let hundredths = match decimals.len() {
        1 => digits(decimals, 1)? * 10,
        _ => digits(decimals, 2)?,
    };
    let lots = digits(whole, 3)? * 100 + hundredths;
    (lots <= LOTS).then_some(lots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_percentages() {
        let table = [
            ("0%", Some(0)),
            ("5%", Some(500)),
            ("0.5%", Some(50)),
            ("12.25%", Some(1_225)),
            ("100%", Some(10_000)),
            ("100.01%", None),
            ("1.234%", None),
            ("5", None),
            ("%", None),
            (".5%", None),
            ("-1%", None),
            ("+1%", None),
        ];
        for (text, expected) in table {
            assert_eq!(lots(text), expected, "{text}");
        }
    }
}
