//! A text with places that each request fills in.

use std::fmt;

/// A text such as `/users/{id}` whose placeholders are filled in for each request. `{{` and `}}` are braces.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    text: Box<str>,
    pieces: Vec<Piece>,
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Stands as it is.
    Text(String),
    /// The value of this name.
    Value(String),
}

/// Why a text is no template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace without its partner.
    #[error(
        "a `{{` without its `}}`, or the other way round; braces are written twice, `{{{{` and `}}}}`"
    )]
    Brace,
    /// Nothing between the braces, or what is no name.
    #[error("a placeholder looks like `{{name}}`")]
    Name,
}

impl Template {
    /// Reads a template.
    pub fn new(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '{' | '}' if chars.next_if_eq(&c).is_some() => plain.push(c),
                '{' => {
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(Piece::Value(name(&mut chars)?));
                }
                '}' => return Err(TemplateError::Brace),
                c => plain.push(c),
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self { text: text.into(), pieces })
    }

    /// Its parts in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Names of its placeholders.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Value(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// As it was written.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

fn name(chars: &mut impl Iterator<Item = char>) -> Result<String, TemplateError> {
    let mut name = String::new();
    loop {
        match chars.next() {
            Some('}') if !name.is_empty() => return Ok(name),
            Some(c) if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') => name.push(c),
            Some(_) => return Err(TemplateError::Name),
            None => return Err(TemplateError::Brace),
        }
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_stand_in_braces() {
        let template = Template::new("/{a}/x{{1}}{b-c}").unwrap();
        let text = |t: &str| Piece::Text(t.to_owned());
        let value = |t: &str| Piece::Value(t.to_owned());
        assert_eq!(template.pieces(), [text("/"), value("a"), text("/x{1}"), value("b-c")]);
        assert_eq!(template.names().collect::<Vec<_>>(), ["a", "b-c"]);
        assert_eq!(Template::new("").unwrap().pieces(), []);
    }

    #[test]
    fn broken_placeholders_are_refused() {
        for (text, error) in [
            ("{a", TemplateError::Brace),
            ("a}", TemplateError::Brace),
            ("{}", TemplateError::Name),
            ("{*rest}", TemplateError::Name),
            ("{a b}", TemplateError::Name),
        ] {
            assert_eq!(Template::new(text), Err(error), "{text}");
        }
    }
}
