//! Bounds on the memory, tables and instances of one store.

use edgewit_model::PluginLimits;
use wasmtime::ResourceLimiter;

/// Bounds on the memory, tables and instances of one store, all of its component's together.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory_limit: usize,
    table_limit: usize,
    instances: usize,
    memories: usize,
    memory: usize,
    table: usize,
    denied: Option<String>,
}

impl Limiter {
    pub(crate) fn new(limits: &PluginLimits) -> Self {
        Self {
            memory_limit: limits.memory.as_usize(),
            table_limit: limits.table_entries,
            instances: limits.core_instances,
            memories: limits.memories,
            memory: 0,
            table: 0,
            denied: None,
        }
    }

    /// Bytes of linear memory now; it never shrinks.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    /// What was refused last, in words, if anything was.
    pub(crate) fn denied(&self) -> Option<&str> {
        self.denied.as_deref()
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let wanted = self.memory.saturating_add(desired.saturating_sub(current));
        if wanted > self.memory_limit {
            self.denied =
                Some(format!("wanted {wanted} bytes of memory, limit {}", self.memory_limit));
            return Ok(false);
        }
        self.memory = wanted;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let wanted = self.table.saturating_add(desired.saturating_sub(current));
        if wanted > self.table_limit {
            self.denied =
                Some(format!("wanted {wanted} table entries, limit {}", self.table_limit));
            return Ok(false);
        }
        self.table = wanted;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        // Each core instance may have a few; the sum of their entries is what is bounded.
        self.instances.saturating_mul(4)
    }

    fn memories(&self) -> usize {
        self.memories
    }
}
