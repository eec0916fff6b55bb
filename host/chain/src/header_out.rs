//! The one gate through which header fields leave a filter.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::verdict::Edit;

/// Header fields that a filter may write: valid, bounded, and none that belongs to the host.
///
/// Framing, hop-by-hop fields (RFC 9110 7.6.1) and the target of the request belong to the host alone; a filter that could
/// write them could smuggle requests or split responses.
#[derive(Debug, Clone, Default)]
pub struct HeaderOut(HeaderMap);

/// Why a field may not leave a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderOutError {
    /// No token.
    #[error("`{0}` is no field name")]
    Name(String),
    /// A byte that has no place in a value.
    #[error("the value of `{0}` has a byte that is not allowed")]
    Value(HeaderName),
    /// A field of the host.
    #[error("`{0}` belongs to the host")]
    Reserved(HeaderName),
    /// Too many or too much.
    #[error("more than {MAX_FIELDS} fields or {MAX_BYTES} bytes")]
    TooMany,
}

/// Fields or edits in one verdict: browsers and frameworks stay below 100.
pub(crate) const MAX_FIELDS: usize = 256;
/// Bytes of all names and values of one verdict: what a request head may have by default.
pub(crate) const MAX_BYTES: usize = 32 << 10;

const RESERVED: [HeaderName; 9] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

impl HeaderOut {
    /// Checks the fields of an answer.
    pub fn validate<'a>(
        fields: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, HeaderOutError> {
        let mut room = Room::new();
        let mut out = HeaderMap::new();
        for (name, value) in fields {
            room.take(name, value)?;
            let (name, value) = checked(name, value)?;
            out.append(name, value);
        }
        Ok(Self(out))
    }

    /// Applies the edits to `fields` if every one of them is valid, else none.
    pub fn apply(edits: &[Edit], fields: &mut HeaderMap) -> Result<(), HeaderOutError> {
        let mut room = Room::new();
        let checked: Vec<Checked> =
            edits.iter().map(|edit| Checked::new(edit, &mut room)).collect::<Result<_, _>>()?;
        for edit in checked {
            edit.apply(fields);
        }
        Ok(())
    }

    /// The fields.
    pub fn into_fields(self) -> HeaderMap {
        self.0
    }
}

enum Checked {
    Set(HeaderName, HeaderValue),
    Append(HeaderName, HeaderValue),
    Remove(HeaderName),
}

impl Checked {
    fn new(edit: &Edit, room: &mut Room) -> Result<Self, HeaderOutError> {
        Ok(match edit {
            Edit::Set(name, value) => {
                room.take(name, value)?;
                let (name, value) = checked(name, value)?;
                Checked::Set(name, value)
            }
            Edit::Append(name, value) => {
                room.take(name, value)?;
                let (name, value) = checked(name, value)?;
                Checked::Append(name, value)
            }
            Edit::Remove(name) => {
                room.take(name, &[])?;
                Checked::Remove(checked_name(name)?)
            }
        })
    }

    fn apply(self, fields: &mut HeaderMap) {
        match self {
            Checked::Set(name, value) => drop(fields.insert(name, value)),
            Checked::Append(name, value) => drop(fields.append(name, value)),
            Checked::Remove(name) => drop(fields.remove(name)),
        }
    }
}

fn checked(name: &str, value: &[u8]) -> Result<(HeaderName, HeaderValue), HeaderOutError> {
    let name = checked_name(name)?;
    match HeaderValue::from_bytes(value) {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(HeaderOutError::Value(name)),
    }
}

fn checked_name(name: &str) -> Result<HeaderName, HeaderOutError> {
    let shown = || HeaderOutError::Name(name.chars().take(64).collect());
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| shown())?;
    if RESERVED.contains(&name) { Err(HeaderOutError::Reserved(name)) } else { Ok(name) }
}

struct Room {
    fields: usize,
    bytes: usize,
}

impl Room {
    fn new() -> Self {
        Self { fields: MAX_FIELDS, bytes: MAX_BYTES }
    }

    fn take(&mut self, name: &str, value: &[u8]) -> Result<(), HeaderOutError> {
        self.fields = self.fields.checked_sub(1).ok_or(HeaderOutError::TooMany)?;
        let bytes = name.len().saturating_add(value.len());
        self.bytes = self.bytes.checked_sub(bytes).ok_or(HeaderOutError::TooMany)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Edit {
        Edit::Set(name.into(), value.into())
    }

    #[test]
    fn edits_apply_in_order() {
        let mut fields = HeaderMap::new();
        fields.append("a", HeaderValue::from_static("1"));
        fields.append("a", HeaderValue::from_static("2"));
        let edits = [
            set("A", "3"),
            Edit::Append("a".into(), b"4".to_vec()),
            set("b", "\u{fc}"),
            Edit::Remove("c".into()),
        ];
        HeaderOut::apply(&edits, &mut fields).unwrap();
        let all: Vec<_> = fields.get_all("a").iter().collect();
        assert_eq!(all, ["3", "4"]);
        assert_eq!(fields["b"].as_bytes(), "\u{fc}".as_bytes());
    }

    #[test]
    fn one_bad_edit_leaves_everything_as_it_was() {
        let bad = [
            set("", "x"),
            set("a b", "x"),
            set(":path", "/admin"),
            set("a\r\n", "x"),
            set("a", "x\r\nset-cookie: y"),
            set("a", "x\ny"),
            set("a", "x\0y"),
            set("content-length", "5"),
            set("Transfer-Encoding", "chunked"),
            set("connection", "close"),
            set("host", "other"),
            Edit::Remove("content-length".into()),
            Edit::Append("a".into(), vec![b'x'; MAX_BYTES]),
        ];
        for edit in bad {
            let mut fields = HeaderMap::new();
            let edits = [set("good", "1"), edit.clone()];
            assert!(HeaderOut::apply(&edits, &mut fields).is_err(), "{edit:?}");
            assert!(fields.is_empty(), "{edit:?}");
        }
        let flood = vec![set("a", "x"); MAX_FIELDS + 1];
        assert_eq!(HeaderOut::apply(&flood, &mut HeaderMap::new()), Err(HeaderOutError::TooMany));
    }

    #[test]
    fn answers_pass_the_same_gate() {
        assert!(HeaderOut::validate([("content-type", b"text/plain".as_slice())]).is_ok());
        assert!(HeaderOut::validate([("location", b"/\r\nx: y".as_slice())]).is_err());
        assert!(HeaderOut::validate([("trailer", b"x".as_slice())]).is_err());
    }

    /// What RFC 9110 5.1 and 5.5 allow and the host does not keep for itself, written down a second time.
    fn is_allowed(name: &[u8], value: &[u8]) -> bool {
        let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
        let own = "connection content-length host te trailer transfer-encoding upgrade keep-alive \
                   proxy-connection";
        let lower = name.to_ascii_lowercase();
        !name.is_empty()
            && name.iter().all(token)
            && !own.split(' ').any(|own| own.as_bytes() == lower)
            && value.iter().all(|b| *b == b'\t' || (*b >= 0x20 && *b != 0x7f))
    }

    #[test]
    fn exactly_what_is_allowed_passes_and_no_line_is_split() {
        let names =
            ["a", "X-a", "Host", "te", "Upgrade", "KEEP-ALIVE", "content-lengthx", "x_y", "ü"];
        let bytes = b"aA0-: \t\r\n\0\x0b\x7f\x80\xff,;\"";
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move |bound: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random >> 33).unwrap_or(0) % bound
        };
        let mut passed = 0;
        for _ in 0..100_000 {
            let mut name = names[next(names.len())].to_owned();
            if next(3) == 0 {
                name.insert(0, char::from(bytes[next(bytes.len())]));
            }
            let value: Vec<u8> = (0..next(6)).map(|_| bytes[next(bytes.len())]).collect();
            let out = HeaderOut::validate([(name.as_str(), value.as_slice())]);
            assert_eq!(out.is_ok(), is_allowed(name.as_bytes(), &value), "{name:?}: {value:?}");
            let edits = [Edit::Set(name.clone(), value.clone())];
            assert_eq!(HeaderOut::apply(&edits, &mut HeaderMap::new()).is_ok(), out.is_ok());
            let Ok(out) = out else { continue };
            passed += 1;
            for (name, value) in &out.into_fields() {
                let line = [name.as_str().as_bytes(), b": ", value.as_bytes()].concat();
                assert!(!line.iter().any(|b| b"\r\n\0".contains(b)), "{line:?}");
            }
        }
        assert!(passed > 1_000, "{passed}");
    }
}
