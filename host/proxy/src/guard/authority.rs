//! The hosts that the requests of a connection are for.

use std::cell::RefCell;

use edgewit_model::{Authority, AuthorityError};

/// The host that the last request of a connection was for. Most connections name the same one in each request, and a host
/// that was checked once need not be checked again.
#[derive(Debug, Default)]
pub(crate) struct LastAuthority(RefCell<Option<Last>>);

#[derive(Debug)]
struct Last {
    /// As the client wrote it.
    text: Box<[u8]>,
    authority: Authority,
}

impl LastAuthority {
    /// What these bytes of a request name.
    pub(crate) fn of(&self, text: &[u8]) -> Result<Authority, AuthorityError> {
        if let Some(last) = &*self.0.borrow()
            && *last.text == *text
        {
            return Ok(last.authority.clone());
        }
        let authority = Authority::new(std::str::from_utf8(text).map_err(|_| AuthorityError)?)?;
        self.0.replace(Some(Last { text: text.into(), authority: authority.clone() }));
        Ok(authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_for_the_host_that_it_names() {
        let last = LastAuthority::default();
        for (text, expected) in [
            ("a.test", Some("a.test")),
            ("a.test", Some("a.test")),
            ("A.test:80", Some("a.test:80")),
            ("b@a.test", None),
            ("a.test", Some("a.test")),
        ] {
            let authority = last.of(text.as_bytes()).ok();
            assert_eq!(authority.as_ref().map(Authority::as_str), expected);
        }
        assert!(last.of(b"a\xff.test").is_err());
    }
}
