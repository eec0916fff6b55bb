//! The metrics page.

use std::collections::BTreeMap;

/// Everything on a metrics page.
#[derive(Debug, Clone)]
pub struct Metrics(Vec<Sample>);

#[derive(Debug, Clone)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Reads the text format of Prometheus.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(
            lines
                .map(|line| Sample::parse(line).unwrap_or_else(|| panic!("no sample: {line}")))
                .collect(),
        )
    }

    /// The sum of all series of that name that have these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |sample: &&Sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(key, value)| sample.labels.get(*key).is_some_and(|v| v == value))
        };
        self.0.iter().filter(has).map(|sample| sample.value).sum()
    }

    /// How many samples there are in all.
    pub fn samples(&self) -> usize {
        self.0.len()
    }

    /// How many series have that name.
    pub fn series(&self, name: &str) -> usize {
        self.0.iter().filter(|sample| sample.name == name).count()
    }
}

impl Sample {
    fn parse(line: &str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let value = value.parse().ok()?;
        let Some((name, labels)) =
            series.strip_suffix('}').and_then(|series| series.split_once('{'))
        else {
            return Some(Self { name: series.to_owned(), labels: BTreeMap::new(), value });
        };
        let label = |label: &str| {
            let (key, value) = label.split_once("=\"")?;
            Some((key.trim_start_matches(',').to_owned(), value.to_owned()))
        };
        let labels = labels.split_terminator('"').collect::<Vec<_>>();
        let labels = labels.chunks(2).map(|pair| label(&pair.join("\""))).collect::<Option<_>>()?;
        Some(Self { name: name.to_owned(), labels, value })
    }
}
