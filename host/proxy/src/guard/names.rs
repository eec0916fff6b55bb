//! Field names that are one name to some servers and two to others.

use edgewit_model::Underscores;
use http::{HeaderMap, HeaderName, header};

use super::{OVERRIDES, forwarded, identity::X_REQUEST_ID};
use crate::{fields::HOP_BY_HOP, problem::Problem};

/// Names that other fields must not be mistaken for, beside those of hops, of forwarding and of other methods.
const OURS: [HeaderName; 3] = [header::HOST, header::CONTENT_LENGTH, X_REQUEST_ID];

/// `X_User` and `X-User` are one variable to CGI and its heirs (THREATS H5). Where such names may pass, still none does that
/// could be mistaken for a field which is ours to set or to take away.
pub(super) fn check(fields: &mut HeaderMap, policy: Underscores) -> Result<(), Problem> {
    let has_underscore = |name: &HeaderName| name.as_str().contains('_');
    if !fields.keys().any(has_underscore) {
        return Ok(());
    }
    if policy == Underscores::Refuse {
        return Err(Problem::BadRequest("a field name with an underscore"));
    }
    let goes = |name: &&HeaderName| {
        has_underscore(name) && (policy == Underscores::Drop || is_mistaken(name))
    };
    let named: Vec<HeaderName> = fields.keys().filter(goes).cloned().collect();
    for name in named {
        fields.remove(name);
    }
    Ok(())
}

fn is_mistaken(name: &HeaderName) -> bool {
    let name = name.as_str().replace('_', "-");
    let is_it = |own: &HeaderName| own.as_str() == name;
    OURS.iter().any(is_it)
        || OVERRIDES.iter().any(is_it)
        || HOP_BY_HOP.iter().any(is_it)
        || forwarded::FIELDS.iter().any(is_it)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn names_with_underscores_pass_by_policy() {
        let check = |policy, expected: Option<&[&str]>| {
            let mut fields = HeaderMap::new();
            for name in ["x_user", "x-user", "x_real_ip", "content_length"] {
                fields.append(name, HeaderValue::from_static("a"));
            }
            let checked = check(&mut fields, policy).ok();
            let kept = checked.map(|()| fields.keys().map(HeaderName::as_str).collect::<Vec<_>>());
            assert_eq!(kept.as_deref(), expected, "{policy:?}");
        };
        check(Underscores::Refuse, None);
        check(Underscores::Drop, Some(&["x-user"]));
        check(Underscores::Allow, Some(&["x_user", "x-user"]));
    }
}
