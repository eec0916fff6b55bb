//! Bytes that nobody would write on purpose (THREATS E2, J6).

use super::*;

const VALID: &str = include_str!("full.toml");

#[test]
fn every_prefix_of_a_file_is_read_without_harm() {
    let base = plugins(&["hello"]);
    assert!(check_in(base.path(), VALID).is_ok(), "{:?}", check_in(base.path(), VALID).err());
    for end in (0..VALID.len()).filter(|end| VALID.is_char_boundary(*end)) {
        if let Err(report) = check_in(base.path(), &VALID[..end]) {
            assert!(!report.render(false).is_empty());
        }
    }
}

#[test]
fn changed_bytes_are_read_without_harm() {
    let base = plugins(&["hello"]);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % 0xffff_ffff).unwrap() % below
    };
    const ALPHABET: &[u8] = b"[]{}=.,\"'\\#\n\0\r\t -+_0123456789abcdefx$:/*?\xff\xc3\xa4";
    for _ in 0..ROUNDS {
        let mut bytes = VALID.as_bytes().to_vec();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(4) {
                0 => drop(bytes.remove(at)),
                1 => bytes.insert(at, ALPHABET[random(ALPHABET.len())]),
                2 => bytes[at] = ALPHABET[random(ALPHABET.len())],
                _ => bytes.copy_within(at.., at - random(at + 1)),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Err(report) = check_in(base.path(), &text) {
            assert!(report.has_errors() && !report.render(true).is_empty());
            assert!(serde_json::to_string(&report).is_ok());
        }
    }
}

/// Enough to meet every kind of token; the fuzz target goes on for longer.
const ROUNDS: usize = 2_000;

#[test]
fn odd_files_are_refused_and_not_crashed_on() {
    for text in [
        "\0".repeat(1_000),
        "[".repeat(100_000),
        "a = ".to_owned() + &"[".repeat(100_000),
        "a = ".to_owned() + &"{a=".repeat(100_000),
        "[".to_owned() + &"a.".repeat(100_000) + "a]",
        "a.".repeat(100_000) + "a = 1",
        "x.a = ".to_owned() + &"[".repeat(1_000) + &"]".repeat(1_000),
        "=\n".repeat(400_000),
        "\u{feff}\u{feff}".to_owned(),
        "a = '''".to_owned(),
        "routes = 1".to_owned(),
        "plugins.a.config.b = 99999999999999999999999999999999999999999".to_owned(),
        "plugins.a.config.b = 1e999".to_owned(),
        "'' = 1".to_owned(),
        "[routes.'']".to_owned(),
        "[limits]\ntime = -9223372036854775808".to_owned(),
    ] {
        let report = check(&text).unwrap_err();
        assert!(report.has_errors(), "{}", &text[..text.len().min(20)]);
        assert!(report.render(false).len() < 100_000);
    }
}

#[test]
fn a_file_beyond_the_bound_is_not_read() {
    let report = check(&"#".repeat((4 << 20) + 1)).unwrap_err();
    assert_eq!(report.diagnostics()[0].message(), "`edgewit.toml` is too large");
    assert!(check(&"#".repeat(4 << 20)).is_ok());
}

#[test]
fn many_mistakes_are_counted_and_not_all_shown() {
    let text: String = (0..5_000).map(|n| format!("[routes.r{n}]\nx = 1\n")).collect();
    let report = check(&text).unwrap_err();
    assert_eq!(report.diagnostics().len(), 1_000);
    assert!(report.to_string().contains(" more"));
}

#[test]
fn many_mistakes_in_one_table_take_no_longer_than_in_many() {
    // Keys that no type has, keys that no table may have, and good ones between them.
    let unknown: String = (0..150_000).map(|n| format!("k{n}=1\n")).collect();
    let lists: String =
        (0..50_000).map(|n| format!("[[routes.r{n}]]\n[routes.s{n}]\nmatch = '/{n}'\n")).collect();
    let begun = std::time::Instant::now();
    for (text, more) in [(unknown, 149_000), (lists, 99_000)] {
        let report = check(&text).unwrap_err();
        assert!(
            report.to_string().contains(&format!("and {more} more")),
            "{}",
            report.diagnostics().len()
        );
    }
    // Some seconds in a build for tests; one that moves all keys for each that is dropped takes minutes.
    assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{:?}", begun.elapsed());
}
