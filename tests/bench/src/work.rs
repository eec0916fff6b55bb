//! What a contestant has to do with a request, and how to see that it does.

use crate::ask::{Answer, Ask};

/// What a contestant has to do with each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Pass it on.
    Pass,
    /// Set one request field and one response field, as many times.
    Fields(usize),
    /// Authenticate, choose the upstream, set fields, limit the rate, count.
    Five,
    /// Rewrite every byte of the response's body.
    Rewrite,
}

/// A request and what must come of it.
pub(crate) struct Probe {
    pub(crate) ask: Ask,
    /// Lines, or beginnings of lines, of the answer's head.
    pub(crate) head: Vec<String>,
    /// The only byte that its body has, if that matters.
    pub(crate) byte: Option<u8>,
}

/// The key that [`Work::Five`] lets in.
pub(crate) const KEY: &str = "secret";
/// Its SHA-256.
pub(crate) const KEY_SHA256: &str =
    "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
/// Its SHA-1, for those whose scripts have nothing better at hand.
pub(crate) const KEY_SHA1: &str = "e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4";
/// Whose it is.
pub(crate) const SUBJECT: &str = "bench";

impl Work {
    /// Requests with answers that only those give who do their work.
    pub(crate) fn probes(self, ask: &Ask) -> Vec<Probe> {
        let ok = |head: Vec<String>, byte| Probe { ask: ask.clone(), head, byte };
        match self {
            Work::Pass => vec![ok(vec![status(200)], Some(b'x'))],
            Work::Rewrite => vec![ok(vec![status(200)], Some(b'X'))],
            Work::Fields(count) => vec![ok(fields(count), Some(b'x'))],
            Work::Five => {
                let subject = format!("x-seen-x-user: {SUBJECT}");
                let seen = [fields(1), vec![subject]].concat();
                vec![
                    ok(seen, Some(b'x')),
                    Probe::new(ask.without("x-api-key"), status(401)),
                    Probe::new(ask.without("x-canary").with("x-canary", "always"), NEXT.into()),
                    Probe::new(ask.without("x-tenant"), status(400)),
                ]
            }
        }
    }
}

/// What the answers of the second origin carry.
pub(crate) const NEXT: &str = "x-origin: next";

fn status(status: u16) -> String {
    format!("status: {status}")
}

/// Both directions: what the client sees, and what the origin has seen.
fn fields(count: usize) -> Vec<String> {
    let both = |n| [format!("x-bench-{n}: 1"), format!("x-seen-x-bench-{n}: 1")];
    (0..count).flat_map(both).chain([status(200)]).collect()
}

impl Probe {
    fn new(ask: Ask, head: String) -> Self {
        Self { ask, head: vec![head], byte: None }
    }

    /// What is missing in an answer.
    pub(crate) fn missing(&self, answer: &Answer) -> Option<String> {
        let has = |wanted: &String| answer.head.lines().any(|line| line == wanted);
        if let Some(wanted) = self.head.iter().find(|wanted| !has(wanted)) {
            return Some(wanted.clone());
        }
        let byte = self.byte?;
        let count = answer.body.iter().filter(|b| **b == byte).count();
        let wanted = self.ask.size();
        (count != wanted).then(|| format!("body of {wanted} `{}` (has {count})", char::from(byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(head: &str, byte: u8) -> Answer {
        Answer { head: head.to_owned(), body: vec![byte; Ask::small().size()] }
    }

    #[track_caller]
    fn check(work: Work, answer: &Answer, missing: Option<&str>) {
        let probes = work.probes(&Ask::small());
        assert_eq!(probes[0].missing(answer).as_deref(), missing, "{work:?}");
    }

    #[test]
    fn work_that_was_left_out_is_missing() {
        let passed = answer("status: 200\n", b'x');
        check(Work::Pass, &passed, None);
        check(Work::Fields(1), &passed, Some("x-bench-0: 1"));
        check(Work::Rewrite, &passed, Some("body of 1024 `X` (has 0)"));
        check(Work::Five, &passed, Some("x-bench-0: 1"));
        check(Work::Pass, &answer("status: 503\n", b'x'), Some("status: 200"));
    }

    #[test]
    fn a_field_that_only_one_side_sees_is_missing() {
        let only_client = answer("status: 200\nx-bench-0: 1\n", b'x');
        check(Work::Fields(1), &only_client, Some("x-seen-x-bench-0: 1"));
        let both = answer("status: 200\nx-bench-0: 1\nx-seen-x-bench-0: 1\n", b'x');
        check(Work::Fields(1), &both, None);
        check(Work::Fields(2), &both, Some("x-bench-1: 1"));
    }

    #[test]
    fn the_five_are_told_apart_by_requests_that_each_of_them_refuses_or_sends_elsewhere() {
        let heads: Vec<_> = Work::Five.probes(&Ask::small()).into_iter().map(|p| p.head).collect();
        assert_eq!(heads[1..], [["status: 401"], [NEXT], ["status: 400"]]);
    }
}
