//! The order of the filters of a chain.

use edgewit_harness::{Origin, Setup};

use crate::common::{through, with};
use crate::guest;

#[test]
fn requests_go_forward_and_responses_back() {
    let origin = Origin::echo();
    let filters =
        ["a", "b", "c"].map(|name| with("marker", &format!("name = \"{name}\""))).join(", ");
    let gateway = Setup::new(through(&origin, &filters)).guest(guest::MARKER).start();
    let reply = gateway.get("/");
    assert_eq!(
        reply.echoed("x-trail"),
        "a:auth,a:routing,a:request,b:auth,b:routing,b:request,c:auth,c:routing,c:request"
    );
    assert_eq!(reply.all("x-trail"), ["c:response", "b:response", "a:response"]);
}

#[test]
fn the_filters_of_a_chain_come_before_those_of_the_route() {
    let origin = Origin::echo();
    let toml = through(&origin, &with("marker", "name = \"route\""))
        + "chain = \"shared\"\n[chains.shared]\nfilters = [\"marker\"]\n\
           [plugins.marker]\nconfig = { name = \"chain\" }\n";
    let gateway = Setup::new(toml).guest(guest::MARKER).start();
    let reply = gateway.get("/");
    assert!(reply.echoed("x-trail").starts_with("chain:auth,"), "{}", reply.echoed("x-trail"));
    assert_eq!(reply.all("x-trail"), ["route:response", "chain:response"]);
}

#[test]
fn an_answer_goes_back_only_through_the_filters_that_were_reached() {
    let filters = [
        with("marker", "name = \"a\""),
        with("editor", "answer = 203"),
        with("marker", "name = \"b\""),
    ];
    let toml = format!(
        "[routes.all]\nmatch = \"/{{*rest}}\"\nrespond = {{ status = 500 }}\nfilters = [{}]",
        filters.join(", ")
    );
    let gateway = Setup::new(toml).guest(guest::MARKER).guest(guest::EDITOR).start();
    let reply = gateway.get("/");
    assert_eq!((reply.status, reply.all("x-trail")), (203, vec!["a:response"]));
}
