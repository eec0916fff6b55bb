use prometheus_client::{collector::Collector, encoding::text, registry::Registry};

use super::*;

#[derive(Debug)]
struct Export(Arc<PluginMetrics>);

impl Collector for Export {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        self.0.encode(&mut encoder)
    }
}

fn exported(metrics: &Arc<PluginMetrics>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Export(Arc::clone(metrics))));
    let mut text = String::new();
    text::encode(&mut text, &registry).unwrap();
    text
}

fn name(text: &str) -> PluginName {
    PluginName::new(text).unwrap()
}

#[test]
fn each_kind_is_exported_with_the_plugin_as_label() {
    let metrics = Arc::new(PluginMetrics::new());
    let series = metrics.plugin(&name("jwt"));
    series.add("checks", &[("result", "ok")], 2);
    series.add("checks", &[("result", "ok")], 1);
    series.set("keys", &[], 3.5);
    series.observe("wait", &[], 0.02);
    series.observe("wait", &[], 99.0);
    let text = exported(&metrics);
    for line in [
        r#"edgewit_plugin_checks_total{plugin="jwt",result="ok"} 3"#,
        r#"edgewit_plugin_keys{plugin="jwt"} 3.5"#,
        r#"edgewit_plugin_wait_bucket{le="0.025",plugin="jwt"} 1"#,
        r#"edgewit_plugin_wait_bucket{le="+Inf",plugin="jwt"} 2"#,
        r#"edgewit_plugin_wait_count{plugin="jwt"} 2"#,
        r#"edgewit_plugin_metrics_dropped_total{plugin="jwt"} 0"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn labels_in_any_order_are_one_series() {
    let metrics = Arc::new(PluginMetrics::new());
    let series = metrics.plugin(&name("a"));
    series.add("n", &[("x", "1"), ("y", "2")], 1);
    series.add("n", &[("y", "2"), ("x", "1")], 1);
    assert!(exported(&metrics).contains(r#"{plugin="a",x="1",y="2"} 2"#));
}

#[test]
fn what_is_not_valid_is_dropped_and_counted() {
    let metrics = Arc::new(PluginMetrics::new());
    let series = metrics.plugin(&name("a"));
    let long = "v".repeat(129);
    let bad: [(&str, &[(&str, &str)]); 9] = [
        ("", &[]),
        ("A", &[]),
        ("1a", &[]),
        ("a-b", &[]),
        ("info", &[]),
        ("n", &[("plugin", "other")]),
        ("n", &[("le", "1")]),
        ("n", &[("x", "1"), ("x", "2")]),
        ("n", &[("x", &long)]),
    ];
    for (metric, labels) in bad {
        series.add(metric, labels, 1);
    }
    series.set("g", &[], f64::NAN);
    series.observe("h", &[], f64::INFINITY);
    series.add("kind", &[], 1);
    series.set("kind", &[("x", "1")], 1.0);
    assert_eq!(series.dropped(), 12);
    assert_eq!(exported(&metrics).matches("edgewit_plugin_n").count(), 0);
}

#[test]
fn a_flood_of_series_ends_at_the_bound() {
    let metrics = Arc::new(PluginMetrics::new());
    let series = metrics.plugin(&name("a"));
    for n in 0..1_500 {
        series.add("n", &[("x", &n.to_string())], 1);
    }
    series.add("n", &[("x", "7")], 1);
    assert_eq!(series.dropped(), 500);
    let text = exported(&metrics);
    assert_eq!(text.matches("edgewit_plugin_n_total{").count(), 1_000);
    assert!(text.contains(r#"x="7"} 2"#));
}

#[test]
fn label_values_cannot_break_out_of_their_line() {
    let metrics = Arc::new(PluginMetrics::new());
    let series = metrics.plugin(&name("a"));
    series.add("n", &[("x", "\"} 1\nedgewit_build_info 2\\")], 1);
    assert!(exported(&metrics).contains(r#"x="\"} 1\nedgewit_build_info 2\\"} 1"#));
}

#[test]
fn plugins_that_use_a_name_for_different_kinds_do_not_hide_each_other() {
    let metrics = Arc::new(PluginMetrics::new());
    let (a, b) = (metrics.plugin(&name("a")), metrics.plugin(&name("b")));
    a.set("n", &[], 1.0);
    b.add("n", &[], 2);
    let text = exported(&metrics);
    assert!(text.contains(r#"edgewit_plugin_n_total{plugin="b"} 2"#), "{text}");
    assert!(text.contains(r#"edgewit_plugin_n_gauge{plugin="a"} 1"#), "{text}");
}

#[test]
fn series_live_as_long_as_anybody_holds_them() {
    let metrics = Arc::new(PluginMetrics::new());
    let old = metrics.plugin(&name("a"));
    old.add("n", &[], 1);
    let new = metrics.plugin(&name("a"));
    drop(old);
    new.add("n", &[], 1);
    assert!(exported(&metrics).contains(r#"edgewit_plugin_n_total{plugin="a"} 2"#));
    drop(new);
    assert!(!exported(&metrics).contains("edgewit_plugin"));
}

#[test]
fn series_of_one_route_carry_its_name_and_are_not_those_of_another() {
    let metrics = Arc::new(PluginMetrics::new());
    let route = |name: &str| edgewit_model::RouteName::new(name).unwrap();
    let (one, two) = (
        metrics.plugin_in(&name("a"), &route("one")),
        metrics.plugin_in(&name("a"), &route("two")),
    );
    one.add("seen", &[("route", "forged"), ("kind", "x")], 1);
    two.add("seen", &[("kind", "x")], 2);
    metrics.plugin(&name("a")).add("seen", &[], 4);
    let text = exported(&metrics);
    for line in [
        r#"edgewit_plugin_seen_total{plugin="a",route="one",kind="x"} 1"#,
        r#"edgewit_plugin_seen_total{plugin="a",route="two",kind="x"} 2"#,
        r#"edgewit_plugin_metrics_dropped_total{plugin="a",route="one"} 0"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("forged"), "{text}");
    let again = metrics.plugin_in(&name("a"), &route("one"));
    assert!(Arc::ptr_eq(&one, &again));
}
