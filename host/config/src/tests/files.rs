//! Several files, files that are not there, and places that are asked for later.

use edgewit_model::{PluginName, RouteName};

use super::*;
use crate::{Entry, code};

const MAIN: &str = "include = ['conf.d/*.toml']\n";
const ROUTE: &str = "[routes.a]\nmatch = '/'\nrespond = {}\n";

/// The messages about `edgewit.toml` in this folder, with the folder's path left out.
fn messages(files: &[(&str, &str)]) -> String {
    let folder = folder(files);
    let report = match crate::load(&folder.path().join("edgewit.toml")) {
        Ok(loaded) => loaded.origin.warnings,
        Err(report) => report,
    };
    report.to_string().replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn files_are_put_side_by_side() {
    let folder = folder(&[
        ("edgewit.toml", MAIN),
        ("conf.d/a.toml", ROUTE),
        ("conf.d/b.toml", "[routes.b]\nmatch = '/b'\nrespond = {}"),
        ("conf.d/.hidden.toml", "= ="),
        ("conf.d/c.txt", "= ="),
    ]);
    let loaded = crate::load(&folder.path().join("edgewit.toml")).unwrap();
    assert!(loaded.origin.warnings.is_empty());
    assert_eq!(loaded.config.routes.len(), 2);
    let expected = ["edgewit.toml", "conf.d/a.toml", "conf.d/b.toml"];
    assert_eq!(loaded.origin.files.paths, expected.map(|file| folder.path().join(file)));
    assert_eq!(loaded.origin.files.folders, [folder.path().join("conf.d")]);
    assert_eq!(loaded.config.server.plugin_dir, folder.path().join("plugins"));
}

#[test]
fn the_same_name_in_two_files_is_shown_in_both() {
    let expected = "\
error[E0108]: `a` is defined in two files
 --> conf.d/b.toml:2:1
  |
2 | [routes.a]
  | ^^^^^^^^^^ defined again here
  |
 ::: conf.d/a.toml:1:1
  |
1 | [routes.a]
  | ---------- defined here first";
    let again = format!("\n{ROUTE}");
    let files = [("edgewit.toml", MAIN), ("conf.d/a.toml", ROUTE), ("conf.d/b.toml", &again)];
    assert_eq!(messages(&files), expected);
}

#[test]
fn what_cannot_be_included_is_shown_where_it_is_asked_for() {
    for (include, expected) in [
        ("'none.toml'", "error[E0109]: cannot read `none.toml`"),
        ("'conf.d'", "error[E0109]: cannot read `conf.d`"),
        ("'*/a.toml'", "error[E0110]: only the last part of a path may have `*` in it"),
        ("'conf.d/'", "error[E0110]: only the last part of a path may have `*` in it"),
        ("'none/*.toml'", "warning[W0102]: no file fits `none/*.toml`"),
        ("'edgewit.toml'", ""),
        ("'*.toml'", ""),
    ] {
        let main = format!("include = [{include}]\n{ROUTE}");
        let found = messages(&[("edgewit.toml", &main), ("conf.d/a.toml", "")]);
        assert_eq!(found.lines().next().unwrap_or(""), expected, "{include}");
        assert!(found.is_empty() || found.contains(" --> edgewit.toml:1:12"), "{found}");
    }
    let nested = messages(&[("edgewit.toml", MAIN), ("conf.d/a.toml", "include = ['b.toml']")]);
    assert!(nested.contains("E0110") && nested.contains("conf.d/a.toml:1:1"), "{nested}");
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let folder = folder(&[("latin.toml", "")]);
    std::fs::write(folder.path().join("latin.toml"), b"# \xe4\n").unwrap();
    for (name, expected) in [
        ("none.toml", "there is no such file"),
        ("", "it is a folder"),
        ("latin.toml", "the first bad byte is at 2"),
    ] {
        let report = crate::load(&folder.path().join(name)).unwrap_err();
        assert!(report.to_string().contains("E0109"), "{report}");
        assert!(report.to_string().ends_with(&format!("= note: {expected}")), "{report}");
    }
}

#[test]
fn certificates_and_keys_are_looked_into() {
    let main = "[listeners.a]\nlisten = '127.0.0.1:443'\n\
        tls.files = { cert = 'cert.pem', key = '${env:NONE:-key.pem}' }\n";
    let main = format!("{main}{ROUTE}");
    let pem = |what: &str| format!("-----BEGIN {what}-----\nAAAA\n-----END {what}-----\n");
    let (cert, key) = (pem("CERTIFICATE"), pem("PRIVATE KEY"));
    let good = [("edgewit.toml", main.as_str()), ("cert.pem", &cert), ("key.pem", &key)];
    assert_eq!(messages(&good), "");
    let swapped = messages(&[good[0], ("cert.pem", &key), ("key.pem", &cert)]);
    assert!(swapped.contains("E0501]: `cert.pem` holds no certificate in PEM form"), "{swapped}");
    assert!(swapped.contains("E0502]: `key.pem` holds no private key in PEM form"), "{swapped}");
    let missing = messages(&good[..1]);
    assert!(missing.contains("E0501]: cannot read `cert.pem`"), "{missing}");
}

#[test]
fn a_file_that_cannot_be_a_plugin_is_none() {
    let text = format!("{ROUTE}filters = ['Hello', 'hello']");
    let report = check_in(plugins(&["Hello", "hello"]).path(), &text).unwrap_err();
    let messages: Vec<_> = report.diagnostics().iter().map(|d| d.message()).collect();
    assert_eq!(messages, ["no plugin named `Hello`"]);
}

#[test]
fn a_message_that_comes_later_has_its_place() {
    let text = "\
[plugins.jwt]
config = { issuer = 'a' }

[chains.c]
filters = ['hello']

[routes.a]
match = '/'
chain = 'c'
filters = ['jwt', { plugin = 'hello', config = { a = 1 } }]
respond = {}
";
    let loaded = check_in(plugins(&["hello"]).path(), text).unwrap();
    let (jwt, hello) = (PluginName::new("jwt").unwrap(), PluginName::new("hello").unwrap());
    let route = RouteName::new("a").unwrap();
    for (entry, expected) in [
        (Entry::Plugin(&jwt), "[plugins.jwt]"),
        (Entry::PluginConfig(&jwt), "config"),
        (Entry::Plugin(&hello), "'hello'"),
        (Entry::PluginConfig(&hello), "'hello'"),
        (Entry::Filter(&route, 0), "'hello'"),
        (Entry::Filter(&route, 1), "'jwt'"),
        (Entry::Filter(&route, 9), "[routes.a]"),
        (Entry::Route(&route), "[routes.a]"),
    ] {
        let diagnostic = loaded.origin.diagnostic_at(entry, code::PLUGIN_GRANT, "m", Some("h"));
        assert_eq!(&text[diagnostic.labels()[0].place.span()], expected, "{entry:?}");
    }
    let diagnostic = loaded.origin.diagnostic_at(
        Entry::Plugin(&jwt),
        code::PLUGIN_GRANT,
        "`jwt` wants a capability that is not granted",
        Some("allow = { kv = true }"),
    );
    let expected = "\
error[E0404]: `jwt` wants a capability that is not granted
 --> edgewit.toml:1:1
  |
1 | [plugins.jwt]
  | ^^^^^^^^^^^^^
  |
  = help: allow = { kv = true }";
    assert_eq!(diagnostic.render(false), expected);
}
