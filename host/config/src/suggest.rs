//! Which known word is probably meant?

/// The candidate nearest to `word`, if its optimal string alignment distance is at most a third of the word's length,
/// and at least 1. Plain Levenshtein distance counts a swap of neighbours twice and misses `fule` for `fuel`.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let word: Vec<char> = word.chars().collect();
    let allowed = (word.len() / 3).max(1);
    candidates
        .into_iter()
        .filter(|c| c.len().abs_diff(word.len()) <= 4 * allowed)
        .take(MOST)
        .map(|c| (distance(&word, &c.chars().collect::<Vec<_>>()), c))
        .filter(|(d, _)| *d <= allowed)
        .min()
        .map(|(_, c)| c)
}

/// The nearest candidate as a label.
pub(crate) fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> String {
    nearest(word, candidates).map(|c| format!("did you mean `{c}`?")).unwrap_or_default()
}

const LONGEST: usize = 128; // twice the longest name
const MOST: usize = 1_000; // a suggestion is not worth more than a millisecond

fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = [vec![0; b.len() + 1], (0..=b.len()).collect(), vec![0; b.len() + 1]];
    for i in 1..=a.len() {
        let [before, last, row] = &mut rows;
        row[0] = i;
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        rows.rotate_left(1);
    }
    rows[1][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_keyboard_is_recognised() {
        let known = ["fuel", "memory", "time", "jwt-auth", "rate-limit"];
        let cases = [
            ("fule", Some("fuel")),
            ("ful", Some("fuel")),
            ("fuell", Some("fuel")),
            ("mem", None),
            ("jwt_auth", Some("jwt-auth")),
            ("ratelimit", Some("rate-limit")),
            ("x", None),
            ("", None),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }
}
