//! What messages look like.

use super::*;

fn check_text(plugins_there: &[&str], text: &str, expected: &str) {
    let base = plugins(plugins_there);
    let report = match check_in(base.path(), text.trim_start()) {
        Ok(loaded) => loaded.origin.warnings,
        Err(report) => report,
    };
    let rendered = report.render(false);
    assert_eq!(rendered, expected.trim_matches('\n'), "\n{rendered}\n");
}

#[test]
fn a_misspelt_key_is_recognised() {
    check_text(
        &[],
        r#"
[routes.a]
match = "/"
respond = {}

[limits]
fule = 5000000
"#,
        r"
error[E0102]: unknown key `fule`
 --> edgewit.toml:6:1
  |
6 | fule = 5000000
  | ^^^^ did you mean `fuel`?
  |
  = help: known keys: configure-time, core-instances, file-size, fuel, host-bytes, host-calls, instantiate-time, memories, memory, request-fuel, table-entries, time
",
    );
}

#[test]
fn everything_is_said_at_once_and_in_order() {
    check_text(
        &["jwt-auth", "rate-limit"],
        r#"
[upstreams.orders]
servers = ["http://10.0.0.1"]

[routes.orders]
match = "/orders/{id}"
filters = ["jwt_auth", "rate-limit"]
timeout = "5 sec"
upstream = "order"
retry = { attempts = "3", on = ["conect"], budget = 20 }

[routes.orders-v2]
match = "GET /v2/{id"
listeners = ["web"]
upstream = "orders"
body = 1048576
"#,
        r#"
error[E0201]: no plugin named `jwt_auth`
 --> edgewit.toml:6:12
  |
6 | filters = ["jwt_auth", "rate-limit"]
  |            ^^^^^^^^^^ did you mean `jwt-auth`?

error[E0103]: unknown unit ` sec` in duration; use ms, s, m or h
 --> edgewit.toml:7:11
  |
7 | timeout = "5 sec"
  |           ^^^^^^^

error[E0202]: no upstream named `order`
 --> edgewit.toml:8:12
  |
8 | upstream = "order"
  |            ^^^^^^^ did you mean `orders`?

error[E0104]: expected a whole number from 0, found string "3"
 --> edgewit.toml:9:22
  |
9 | retry = { attempts = "3", on = ["conect"], budget = 20 }
  |                      ^^^

error[E0309]: `conect` is no reason to try again; use connect, reset, timeout, a status from 400 to 599, or 5xx
 --> edgewit.toml:9:33
  |
9 | retry = { attempts = "3", on = ["conect"], budget = 20 }
  |                                 ^^^^^^^^ did you mean `connect`?

error[E0103]: a share needs a unit; use %
 --> edgewit.toml:9:53
  |
9 | retry = { attempts = "3", on = ["conect"], budget = 20 }
  |                                                     ^^ did you mean `"20%"`?

error[E0302]: `/v2/{id` is no path to match
  --> edgewit.toml:12:9
   |
12 | match = "GET /v2/{id"
   |         ^^^^^^^^^^^^^ parameters look like `{name}`; braces are written twice, `{{`

error[E0204]: no listener named `web`
  --> edgewit.toml:13:14
   |
13 | listeners = ["web"]
   |              ^^^^^

error[E0103]: a size needs a unit; use B, KiB, MiB or GiB
  --> edgewit.toml:15:8
   |
15 | body = 1048576
   |        ^^^^^^^ did you mean `"1048576B"`?
"#,
    );
}

#[test]
fn two_routes_that_match_the_same_are_shown_together() {
    check_text(
        &[],
        r#"
[routes.orders]
match = "GET /orders/{id}"
respond = { status = 200 }

[routes.orders-v2]
match = "GET /orders/{order}"
respond = { status = 200 }
"#,
        r#"
error[E0301]: two routes match the same requests
 --> edgewit.toml:6:9
  |
2 | match = "GET /orders/{id}"
  |         ------------------ `orders` matches here first
...
6 | match = "GET /orders/{order}"
  |         ^^^^^^^^^^^^^^^^^^^^^ `orders-v2` can never be reached
  |
  = help: add a host, a header or a method to one of them, or use `upstreams` with weights
"#,
    );
}

#[test]
fn a_mistake_of_grammar_stops_at_three() {
    let text = "[routes.a\nmatch = \"/\"\nx = = 1\ny = [\n[a]\nz = \"\n";
    let report = check(text).unwrap_err();
    assert!((1..=3).contains(&report.diagnostics().len()), "{report}");
    assert!(report.diagnostics().iter().all(|d| d.code().id() == "E0101"));
    check_text(
        &[],
        "\n[routes.a\nmatch = \"/\"\n",
        "
error[E0101]: unclosed table, expected `]`
 --> edgewit.toml:1:10
  |
1 | [routes.a
  |          ^
",
    );
}

#[test]
fn administration_stays_at_home() {
    check_text(
        &[],
        "
[admin]
listen = \"0.0.0.0:9977\"
[routes.a]
match = '/'
respond = {}
",
        "
error[E0114]: administration on `0.0.0.0` would be open to the network
 --> edgewit.toml:2:10
  |
2 | listen = \"0.0.0.0:9977\"
  |          ^^^^^^^^^^^^^^ not a loopback address
  |
  = note: there is no authentication for it yet
  = help: listen = \"127.0.0.1:9977\"
",
    );
}
