//! `metrics`: the filter's own metrics.

use crate::{
    bindings::edgewit::filter::metrics::{Host, Label},
    state::State,
};

impl Host for State {
    fn add(&mut self, name: String, labels: Vec<Label>, amount: u64) -> wasmtime::Result<()> {
        self.charge()?;
        if let Some(shared) = &self.shared {
            shared.metrics.add(&name, &pairs(&labels), amount);
        }
        Ok(())
    }

    fn set(&mut self, name: String, labels: Vec<Label>, value: f64) -> wasmtime::Result<()> {
        self.charge()?;
        if let Some(shared) = &self.shared {
            shared.metrics.set(&name, &pairs(&labels), value);
        }
        Ok(())
    }

    fn observe(&mut self, name: String, labels: Vec<Label>, value: f64) -> wasmtime::Result<()> {
        self.charge()?;
        if let Some(shared) = &self.shared {
            shared.metrics.observe(&name, &pairs(&labels), value);
        }
        Ok(())
    }
}

fn pairs(labels: &[Label]) -> Vec<(&str, &str)> {
    labels.iter().map(|l| (l.name.as_str(), l.value.as_str())).collect()
}
