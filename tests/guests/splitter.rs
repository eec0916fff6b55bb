//! Writes the text of `x-say`, a JSON list of place and text, to that place: everywhere a filter's text leaves the host.

use edgewit_sdk::{Answer, Request, Response, auth, exchange, log, metrics, routing};

/// Would like to split something.
#[derive(Default)]
pub struct Splitter;

impl Splitter {
    fn authenticate(&self, _: &mut Request) -> auth::Verdict {
        match said("subject") {
            Some(text) => auth::Verdict::AllowAs(text),
            None => auth::Verdict::Allow,
        }
    }

    fn route(&self, _: &mut Request) -> routing::Verdict {
        if let Some(text) = said("path") {
            return routing::Verdict::rewrite(format!("/{text}"));
        }
        if let Some(text) = said("query") {
            return routing::Verdict::rewrite(format!("/?{text}"));
        }
        if let Some(text) = said("upstream") {
            return routing::Verdict::to(text);
        }
        match said("location") {
            Some(text) => routing::Verdict::Answer(Answer::redirect(308, format!("/{text}"))),
            None => routing::Verdict::Stay,
        }
    }

    fn on_request(&self, request: &mut Request) {
        for (place, name) in
            [("request-header", "x-a"), ("authority", "host"), ("cookie", "cookie")]
        {
            if let Some(text) = said(place) {
                request.set(name, text);
            }
        }
        if let Some(text) = said("name") {
            request.set(text, "a");
        }
        if let Some(text) = said("log") {
            log::info(&text);
        }
        if let Some(text) = said("label") {
            metrics::add("said_total", &[("text", &text)], 1);
        }
    }

    fn on_response(&self, response: &mut Response) {
        let places = [
            ("response-header", "x-a"),
            ("set-cookie", "set-cookie"),
            ("trailer", "trailer"),
            ("content-type", "content-type"),
        ];
        for (place, name) in places {
            if let Some(text) = said(place) {
                response.set(name, text);
            }
        }
    }
}

/// The text for this place.
fn said(place: &str) -> Option<String> {
    let json = exchange::request_field("x-say")?;
    let (at, text): (String, String) = serde_json::from_slice(&json).ok()?;
    (at == place).then_some(text)
}

edgewit_sdk::export!(Splitter: auth, routing, request, response);
