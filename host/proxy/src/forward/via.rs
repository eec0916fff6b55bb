//! Requests that come back to where they were.

use http::{HeaderMap, header::VIA};

use crate::problem::Problem;

/// How we name ourselves (RFC 9110 7.6.3).
const NAME: &[u8] = b"edgewit";

/// Edgewits that a request may have passed. A mesh has two or three in a row; nobody has nine on purpose.
const MOST: usize = 8;

/// Refuses a request that has passed too many of us: it goes round in a circle.
///
/// All Edgewits bear the same name, on purpose: a circle through several of them, or through the members of a cluster,
/// ends after as many steps as one through a single process.
pub(super) fn check(fields: &HeaderMap) -> Result<(), Problem> {
    let entries = fields.get_all(VIA).iter().flat_map(|line| line.as_bytes().split(|b| *b == b','));
    if entries.filter(|entry| is_ours(entry)).count() > MOST {
        return Err(Problem::LoopDetected);
    }
    Ok(())
}

/// `1.1 edgewit`, with a comment or without.
fn is_ours(entry: &[u8]) -> bool {
    let mut words = entry.split(|b| matches!(b, b' ' | b'\t')).filter(|word| !word.is_empty());
    words.nth(1).is_some_and(|name| name.eq_ignore_ascii_case(NAME))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn too_many_of_us_are_a_circle() {
        let check = |lines: &[String], expected: bool| {
            let mut fields = HeaderMap::new();
            for line in lines {
                fields.append(VIA, HeaderValue::from_str(line).unwrap());
            }
            assert_eq!(super::check(&fields).is_ok(), expected, "{lines:?}");
        };
        let ours = "1.1 edgewit".to_owned();
        check(&[], true);
        check(&vec![ours.clone(); 8], true);
        check(&vec![ours.clone(); 9], false);
        check(&[vec![ours.clone(); 9].join(", ")], false);
        check(&[vec!["2 edgewit (a)".to_owned(); 9].join(",\t ")], false);
        check(&vec!["1.1 edgewit.example".to_owned(); 20], true);
        check(&vec!["1.1 other (edgewit)".to_owned(); 20], true);
    }
}
