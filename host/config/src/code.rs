//! The codes of messages: one table for all of them.
//!
//! A code is an interface: it keeps its meaning for ever and is never given to something else.

use std::fmt;

use crate::Severity;

/// What kind of mistake a message is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code(&'static Text);

#[derive(PartialEq, Eq)]
struct Text {
    id: &'static str,
    title: &'static str,
    explanation: &'static str,
}

impl Code {
    /// The code with this id, in any case.
    pub fn find(id: &str) -> Option<Code> {
        ALL.iter().find(|code| code.id().eq_ignore_ascii_case(id)).copied()
    }

    /// `E` or `W` with four digits.
    pub fn id(self) -> &'static str {
        self.0.id
    }

    /// A few words.
    pub fn title(self) -> &'static str {
        self.0.title
    }

    /// A paragraph: what it means, what to do.
    pub fn explanation(self) -> &'static str {
        self.0.explanation
    }

    /// Codes that begin with `W` are warnings.
    pub fn severity(self) -> Severity {
        if self.id().starts_with('W') { Severity::Warning } else { Severity::Error }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

macro_rules! codes {
    ($($id:literal $name:ident $title:literal $explanation:literal)*) => {
        $(
            #[doc = concat!($id, ": ", $title, ".")]
            pub const $name: Code = Code(&Text { id: $id, title: $title, explanation: $explanation });
        )*

        /// Every code, in order.
        pub const ALL: &[Code] = &[$($name),*];
    };
}

codes! {
"E0101" SYNTAX "the text is not TOML"
"The file breaks the grammar of TOML, so nothing in it can be trusted. At most three places are shown, because one missing \
quote or bracket often breaks everything after it: mend the first one and check again."

"E0102" UNKNOWN_KEY "unknown key"
"Every key must be one that Edgewit knows, because a misspelt key would otherwise silently do nothing. The message lists \
the keys that are allowed there. Notes of your own can stand in tables below `[x]`, such as `[x.team]`: they are ignored."

"E0103" UNIT "a number without its unit, or with an unknown one"
"Durations and sizes are strings of a whole number and a unit, without a space: `\"250ms\"`, `\"16MiB\"`. Durations take ms, s, \
m and h; sizes take B, KiB, MiB and GiB; shares take %."

"E0104" WRONG_TYPE "a value of the wrong type"
"The key exists, but takes another type of value: a string instead of a number, or a table instead of a string. The message \
says which one."

"E0105" INVALID_VALUE "a value that is not allowed"
"The type of the value is right, but not the value itself: a number out of its range, a word that is none of the choices, an \
address that cannot be read."

"E0106" MISSING_KEY "a required key is missing"
"A table lacks a key that has no default. The message names it."

"E0107" INVALID_NAME "a name that cannot be used"
"Names of listeners, plugins, chains, upstreams and routes become metric labels, log fields and file names. So they are 1 to \
64 characters of a-z, 0-9, `-`, `_` and `.`, and begin with a letter or digit."

"E0108" DEFINED_TWICE "the same name is defined in two files"
"Files that are included are put side by side, never merged into one another, so that each thing has one place. Rename one \
of the two or delete it."

"E0109" UNREADABLE "a file cannot be read"
"The configuration file, or one that it includes or refers to, is missing, is not readable by this user, is not UTF-8 or is \
larger than 4 MiB, or 16 MiB with all its includes."

"E0110" INCLUDE "`include` cannot be followed"
"`include` is a list of paths relative to the main file; the last part may have `*` in it, as in `conf.d/*.toml`. Only the \
main file may include others."

"E0111" REFERENCE "a reference to the environment or a file leads nowhere"
"`${env:NAME}` is replaced by an environment variable, `${env:NAME:-default}` by the default if the variable is unset or \
empty, `${file:/path}` by the content of a file without its last line break. `$${env:NAME}` stands for itself."

"E0112" VERSION "the file is written for another version"
"`version` says which rules the file follows. This Edgewit knows version 1; leave the key out to mean the same."

"E0113" SAME_ADDRESS "two listeners want the same address"
"Only one listener can be bound to an address and port; the administration endpoint counts as one. Give one of them another \
port."

"E0114" ADMIN_ADDRESS "the administration endpoint would be open to the network"
"Administration has no authentication yet, so it listens on loopback addresses only, such as `127.0.0.1:9977`. Use an SSH \
tunnel or a side-car to reach it from elsewhere."

"E0115" TOO_MANY "a list is over its limit"
"Every list has an upper bound, so that a slip in a script that writes the configuration cannot exhaust the server."

"E0201" NO_PLUGIN "no plugin of this name"
"A chain or route names a filter that is neither declared as `[plugins.<name>]` nor found as `<name>.wasm` in the plugin \
folder (`server.plugin-dir`, by default `plugins` beside the configuration file)."

"E0202" NO_UPSTREAM "no upstream of this name"
"A route forwards to an upstream that is not declared as `[upstreams.<name>]`."

"E0203" NO_CHAIN "no chain of this name"
"A route uses a chain that is not declared as `[chains.<name>]`."

"E0204" NO_LISTENER "no listener of this name"
"A route is bound to a listener that is not declared as `[listeners.<name>]`. Without any declaration there is one listener, \
`http`, on 127.0.0.1:8080."

"E0301" SAME_REQUESTS "two routes match the same requests"
"Which route wins is decided by how exact its conditions are, never by the order in the file. Two routes with the same \
host, path, conditions and a common method on a common listener cannot be told apart. Names of path parameters do not \
matter. Add a condition to one of them, or use one route with two weighted `upstreams`."

"E0302" INVALID_PATH "a path pattern that cannot match"
"A path pattern begins with `/` and is made of the characters that stand in a request line, percent-encoded where needed. \
`{name}` stands for one segment, or a part of one, `{*rest}` for the rest of the path and only at its end."

"E0304" INVALID_HOST "a host pattern that cannot match"
"A host is a name such as `api.example.com`, an address, or a name with `*.` in front for everything below it. It has no \
scheme, port or path. Leave it out to match every host."

"E0305" INVALID_CONDITION "a condition of a route that cannot be met"
"Methods are upper case, such as `GET`. Names of header fields are tokens; values are visible characters. Header fields, query \
parameters and cookies have an exact value, or a table with one of `regex` (which describes the whole value), `prefix` and \
`present`. `client` lists networks such as `10.0.0.0/8`."

"E0306" ROUTE_ACTION "a route must do exactly one thing"
"Each route has exactly one of `upstream`, `upstreams`, `respond` and `redirect`."

"E0307" INVALID_ANSWER "an answer that cannot be sent"
"A fixed answer has a status from 200 to 599 and valid header fields. Fields that frame a message, such as `content-length` or \
`connection`, are the host's business."

"E0308" INVALID_REWRITE "a rewrite that cannot be done"
"A path is rewritten in one way: `strip-prefix`, `prefix`, `path` or `regex`. Prefixes begin with `/` and do not end with it, such \
as `/orders`. `regex` describes the whole path; `replace` names its groups as `$1` or `${name}`. `host` is `upstream` or a host with \
an optional port."

"E0309" INVALID_RETRY "a retry that cannot be done"
"`attempts` is 1 to 10; `on` lists `connect`, `reset`, `timeout`, a status such as `503`, or `5xx`; `backoff` goes from the \
shorter to the longer pause; `budget` is 0% to 100%."

"E0320" PLACEHOLDER "a placeholder that stands for nothing"
"In templates `{name}` stands for a value of the request or for a parameter of the path: one of `match`, or a named group of \
`path-regex`. A route with several conditions can use only the parameters that all of them have. Braces that shall stand for \
themselves are written twice."

"E0321" HEADER_EDIT "a change of a header field that cannot be done"
"`set`, `append` and `remove` take names of header fields. Fields that frame a message or belong to one connection, such as \
`content-length` or `connection`, are the host's business; the host that an upstream sees is set by `rewrite`."

"E0322" CORS "a permission for other origins that cannot be given"
"An origin is what a browser sends: scheme, host and, unless it is the usual one, port, in lower case and without a slash at the \
end. Everything that stands for all, `*` or `null`, is refused beside `credentials = true`: browsers do not accept it, and a \
server that made it work would hand the data of its users to every page."

"E0401" PLUGIN_UNREADABLE "a plugin cannot be loaded"
"The file is missing, too large, or no WebAssembly component. A core module has to be made a component first; the SDKs do."

"E0402" PLUGIN_WORLD "a plugin does not fit the contract"
"The component exports or imports interfaces of `edgewit:filter` in a version that this host does not speak, exports none of its \
phases, or imports something that no filter can have. Build it again with the SDK of a version that the host speaks."

"E0403" PLUGIN_CONFIG "a plugin refuses its configuration"
"The filter's own `configure` function said no, or the table does not fit the schema that the filter carries. The message is \
the filter's own."

"E0404" PLUGIN_GRANT "a plugin wants a capability that is not granted"
"What a component imports is its list of permissions. `kv` and `rate` have to be granted, as in `allow = { kv = true }`; \
everything else can be taken away with `false`."

"E0405" PLUGIN_FAIL_OPEN "a plugin that authenticates must not be skipped on errors"
"With `on-error = \"skip\"` a filter that fails lets the request through. For a filter that exports `auth` that would be an open \
door, so it needs the longer word `skip-even-auth`."

"E0406" PLUGIN_COMPILE "a plugin cannot be compiled within its limits"
"Compiling happens in a child process with bounds on time and memory. The component is broken or too large for them."

"E0407" PLUGIN_START "a plugin cannot be started within its limits"
"Instances could not be made or configured with the fuel, time and memory of `limits`. Raise the limit that the message names, \
if the filter deserves it."

"E0408" PLUGIN_GOLDEN "a plugin does not pass its own golden requests"
"A component can carry requests with the answers that its author expects, in the custom section `edgewit:golden`. They are played \
before the component serves, with its limits and grants, but apart from its stores. One that goes otherwise refuses the version. \
`edgewit plugin test` plays the same cases at the author's desk."

"E0451" PLUGIN_STOPS "a plugin keeps running into a limit"
"Many calls were stopped by fuel, time or memory. Either the filter has a fault or its `limits` are too small for what it does. \
After `quarantine.stops` of them within `quarantine.window`, if they are a large enough share of its requests, that version is \
not called any more: `on-error` holds for every request until one that tries comes through."

"E0452" PLUGIN_ROLLED_BACK "a new version of a plugin was rolled back"
"Shortly after the swap it was stopped in many of its requests, and much more often than the version before, which serves again. \
The file is not taken again until it changes. `edgewit plugin swap` takes it all the same; `fallback = false` turns this off."

"E0501" CERTIFICATE "a certificate cannot be used"
"The file must be readable, at most 1 MiB, and hold at least one certificate in PEM form, the leaf first. The file of `crl` holds \
revocation lists instead (`-----BEGIN X509 CRL-----`)."

"E0502" PRIVATE_KEY "a private key cannot be used"
"The file must be readable, at most 1 MiB, and hold one private key in PEM form (PKCS#8, PKCS#1 or SEC1), without a password."

"E0503" TLS_PROTOCOL "protocols and encryption do not fit together"
"With TLS a listener speaks `h1` and `h2`. Without, HTTP/2 needs prior knowledge and is called `h2c`."

"E0601" INVALID_SERVER "a server address that cannot be used"
"A server is a URL of scheme, host and port, such as `http://10.0.0.11:8080` or `https://orders.internal`. Paths are the business \
of routes: use `rewrite`."

"E0602" NO_SERVER "an upstream without a server"
"An upstream needs at least one entry in `servers`, or `discovery` to find them."

"E0603" WEIGHT "weights that cannot be used"
"A server's weight is 1 to 65535. Among the `upstreams` of a route at least one has a weight above 0, and each name stands \
once."

"E0604" H2C "`h2c` does not fit the servers"
"`h2c` means HTTP/2 without TLS. With `https` HTTP/2 is agreed on during the handshake, and the key has to go."

"E0605" DISCOVERY "servers cannot be discovered like this"
"Servers of an upstream come from one place: `servers`, or `discovery.dns` with a host `name` or the name of `srv` records, or \
`discovery.file`."

"E0606" HASH_ON "the policy and `hash-on` do not fit together"
"`balance = \"ring-hash\"` and `\"maglev\"` send requests that are alike to the same server. `hash-on` says what of a request \
decides: `header:NAME`, `cookie:NAME`, `query:NAME`, `client` or `path`. Other policies have no use for it."

"E0621" INVALID_HEALTH "a check or a bound that cannot be used"
"`health` has either `path`, the path of a `GET` such as `/healthz`, or `tcp = true`; `host` and `status` go with `path`. \
`outlier` ejects for `eject` at first and never for longer than `eject-at-most`. `concurrency` has a `min` that is not above its \
`max`."

"W0101" TOML_1_1 "an inline table that TOML 1.0 does not have"
"Inline tables over several lines, or with a comma at the end, came with TOML 1.1. Edgewit reads them; other tools may not. Write a \
`[table]` instead."

"W0102" EMPTY_INCLUDE "`include` finds no file"
"No file fits the pattern at present. That is fine if files come later; otherwise look at the path, which is relative to the \
main file."

"W0201" UNUSED "nothing uses this"
"The chain or upstream is declared, but no route uses it."

"W0301" NO_ROUTES "there are no routes"
"Without routes every request is answered with 404."

"W0302" NO_EFFECT "a key has no effect here"
"The route answers by itself, so that there is nothing to try again, to rewrite or to copy, or it has only one upstream, so that \
there is nothing to split."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_explained() {
        assert!(ALL.windows(2).all(|pair| pair[0].id() < pair[1].id()));
        for code in ALL {
            assert!(code.id().len() == 5 && code.explanation().len() > 40, "{}", code.id());
            assert!(code.explanation().ends_with('.'), "{}", code.id());
        }
    }

    #[test]
    fn a_code_is_found_by_its_id() {
        assert_eq!(Code::find("e0201"), Some(NO_PLUGIN));
        assert_eq!(Code::find("E9999"), None);
    }
}
