//! The values of a parameter in a query.

/// All values of that name, with percent-encoding resolved. A `+` stands for itself: keys have no spaces.
pub(crate) fn values(query: &[u8], name: &str) -> Vec<Vec<u8>> {
    query
        .split(|byte| *byte == b'&')
        .filter_map(|pair| {
            let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let (key, value) = pair.split_at(equals);
            (decoded(key) == name.as_bytes()).then(|| decoded(value.get(1..).unwrap_or_default()))
        })
        .collect()
}

/// A `%` that no two hexadecimal digits follow stands for itself.
fn decoded(text: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
    while let [first, after @ ..] = rest {
        match (first, escape(after)) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

fn escape(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    Some((digit(0)? << 4 | digit(1)?) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_decoded_name() {
        let table: [(&str, &[&str]); 5] = [
            ("", &[]),
            ("key", &[""]),
            ("key=a&b=c&key=d", &["a", "d"]),
            ("k%65y=a%2Bb+c", &["a+b+c"]),
            ("key=%&key=%4&key=%zz", &["%", "%4", "%zz"]),
        ];
        for (query, expected) in table {
            let expected: Vec<_> = expected.iter().map(|value| value.as_bytes().to_vec()).collect();
            assert_eq!(values(query.as_bytes(), "key"), expected, "{query}");
        }
    }
}
