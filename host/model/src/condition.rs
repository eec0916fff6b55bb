//! A condition of a route on one part of the request.

use http::HeaderName;

use crate::Regex;

/// A condition on a header field, a query parameter or a cookie, beyond an exact value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What is looked at.
    pub part: Part,
    /// What must hold for one of its values.
    pub test: Test,
}

/// A part of a request that has a name. One name may have several values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A header field, line by line.
    Header(HeaderName),
    /// A query parameter, name and value as they stand in the URL.
    Query(String),
    /// A cookie, name and value as they stand in the field.
    Cookie(String),
}

/// What must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// One value is this.
    Exact(String),
    /// One value begins like this.
    Prefix(String),
    /// One value is described by this, whole.
    Regex(Regex),
    /// There is any value.
    Present,
    /// There is no value.
    Absent,
}
