//! The phase `routing`: does what `x-go` says, such as `upstream:two`, `path:/other?a=b` or `answer:/elsewhere`.

use edgewit_sdk::{Answer, Request, routing};

/// Goes where it is told.
#[derive(Default)]
pub struct Router;

impl Router {
    fn route(&self, request: &mut Request) -> routing::Verdict {
        let go = request.field("x-go").and_then(|value| value.text().map(str::to_owned));
        match go.as_deref().and_then(|go| go.split_once(':')) {
            Some(("upstream", name)) => routing::Verdict::to(name),
            Some(("path", path)) => routing::Verdict::rewrite(path),
            Some(("answer", location)) => routing::Verdict::Answer(Answer::redirect(308, location)),
            _ => routing::Verdict::Stay,
        }
    }
}

edgewit_sdk::export!(Router: routing);
