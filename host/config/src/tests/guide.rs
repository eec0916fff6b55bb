//! Every configuration on a page of the guide is one that is accepted as it stands, once the files that it names are there.

use std::{fs, path::PathBuf};

use super::*;

/// The blocks of a page that are whole configurations: those marked `toml` and nothing else.
fn blocks(page: &str) -> Vec<&str> {
    let mut rest = page;
    let mut found = Vec::new();
    while let Some((_, begun)) = rest.split_once("\n```toml\n") {
        let (block, after) = begun.split_once("\n```").expect("a block ends");
        found.push(block);
        rest = after;
    }
    found
}

/// Makes the files that a configuration names: what they hold has the right shape, which is all that is checked here.
fn make_files(base: &Path, block: &str) {
    let texts = block.split('"').skip(1).step_by(2);
    for file in texts {
        let what = match file.rsplit('.').next() {
            Some("pem") => "CERTIFICATE",
            Some("key") => "PRIVATE KEY",
            Some("crl") => "X509 CRL",
            _ => continue,
        };
        let pem = format!("-----BEGIN {what}-----\nAAAA\n-----END {what}-----\n");
        fs::write(base.join(file), pem).unwrap();
    }
}

fn pages() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/guide");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "md")).collect();
    pages.sort();
    pages
}

#[test]
fn every_configuration_of_the_guide_is_accepted() {
    let base = plugins(&["jwt", "api-key", "rate-limit", "headers", "canary", "hello"]);
    let pages = pages();
    assert!(!pages.is_empty());
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        let blocks = blocks(&text);
        let is_index = page.file_name().is_some_and(|name| name == "README.md");
        let has_any = !blocks.is_empty();
        assert!(is_index || has_any, "{} shows no configuration", page.display());
        for block in blocks {
            make_files(base.path(), block);
            match check_in(base.path(), block) {
                Ok(loaded) => {
                    assert!(
                        loaded.origin.warnings.is_empty(),
                        "{}: {}",
                        page.display(),
                        loaded.origin.warnings
                    );
                }
                Err(report) => panic!("{}:\n{block}\n{report}", page.display()),
            }
        }
    }
}
