//! A value with facts in it, for example `{client-address}`.

use edgewit_sdk::{Fact, field};

/// A value of a field, made for each exchange. `{{` and `}}` stand for braces.
#[derive(Debug)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Text(String),
    Fact(Fact),
}

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if !field::is_value(text.as_bytes()) {
            return Err("control characters are not allowed in a value".into());
        }
        let (mut pieces, mut rest, mut plain) = (Vec::new(), text, String::new());
        while let Some(brace) = rest.find(['{', '}']) {
            let (before, at) = rest.split_at(brace);
            plain.push_str(before);
            if let Some(after) = at.strip_prefix("{{").or(at.strip_prefix("}}")) {
                plain.push_str(&at[..1]);
                rest = after;
            } else if at.starts_with('}') {
                return Err("`}` without `{`; write `}}` for a brace".into());
            } else {
                let Some((name, after)) = at[1..].split_once('}') else {
                    return Err("`{` without `}`; write `{{` for a brace".into());
                };
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
                pieces.push(Piece::Fact(Fact::named(name).ok_or_else(|| no_fact(name))?));
                rest = after;
            }
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        Ok(Template(pieces))
    }

    /// The value; `None` if a fact is missing.
    pub(crate) fn fill(&self, value_of: impl Fn(Fact) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        let mut value = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => value.extend_from_slice(text.as_bytes()),
                Piece::Fact(fact) => value.extend(value_of(*fact)?),
            }
        }
        Some(value)
    }

    pub(crate) fn facts(&self) -> impl Iterator<Item = Fact> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Fact(fact) => Some(*fact),
        })
    }
}

fn no_fact(name: &str) -> String {
    let known: Vec<_> = Fact::ALL.iter().map(|fact| fact.name()).collect();
    format!("`{name}` is no fact; there are {}", known.join(", "))
}
