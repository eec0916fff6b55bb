//! What `edgewit run` serves where there is no configuration.

use edgewit_model::Config;

/// One listener on 127.0.0.1:8080, one route `welcome` that greets, administration on its default address.
///
/// Files are looked for in the current folder, so that a plugin which is dropped into `plugins/` is noticed.
pub fn welcome() -> Config {
    let loaded = crate::load_text("welcome.toml", WELCOME, std::path::Path::new(""));
    loaded.expect("the built-in configuration is checked by a test").config
}

const WELCOME: &str = r#"
[routes.welcome]
match = "/{*rest}"
respond = { status = 200, headers = { content-type = "text/plain; charset=utf-8" }, body = """
Welcome to Edgewit. It works.

Next   edgewit plugin new hi    write a filter
       edgewit schema           what a configuration may say, for your editor
""" }
"#;

#[cfg(test)]
mod tests {
    use edgewit_model::Action;

    use super::*;

    #[test]
    fn the_welcome_is_one_route_on_loopback() {
        let config = welcome();
        assert_eq!(config.listeners["http"].listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.admin.unwrap().listen.to_string(), "127.0.0.1:9977");
        let route = &config.routes["welcome"];
        assert_eq!(route.matchers[0].path, "/{*rest}");
        assert!(matches!(&route.action, Action::Respond(r) if r.body.starts_with("Welcome")));
    }
}
