//! One engine configuration for the server and for the process that compiles for it.

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    RegallocAlgorithm, Result,
};

/// Largest linear memory that a limit may allow; address space, not memory, is what it costs.
pub(crate) const MAX_MEMORY: usize = 1 << 30;
/// Core instances for each component, on average over all that are alive.
const CORE_INSTANCES_EACH: u32 = 4;
/// Memory of a finished instance that is cleaned in place instead of given back to the kernel, in bytes. A filter touches some
/// tens of KiB. Slots go from one filter to another, so that in time each holds as much as the greediest has touched.
const KEEP_RESIDENT: usize = 128 << 10;

/// The engine that serves. `instances` is how many components may be alive at the same time.
pub(crate) fn serving(instances: u32) -> Result<Engine> {
    let mut config = common();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling(instances)));
    Engine::new(&config)
}

/// The engine that compiles and configures; what it compiles runs in the serving one.
pub(crate) fn compiling() -> Result<Engine> {
    let mut config = common();
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    Engine::new(&config)
}

/// The engine in which `configure` runs once: quick to compile, since its code is thrown away.
pub(crate) fn configuring() -> Result<Engine> {
    let mut config = common();
    config
        .allocation_strategy(InstanceAllocationStrategy::OnDemand)
        .cranelift_opt_level(OptLevel::None)
        .cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
    Engine::new(&config)
}

/// Everything that decides about compiled code is here, so that both engines agree.
///
/// Garbage collection, threads, exceptions and component-model-async are not compiled into this binary at all; what is
/// left to switch off is switched off here.
fn common() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        .wasm_component_model(true)
        .concurrency_support(false)
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_regalloc_algorithm(RegallocAlgorithm::Backtracking)
        .memory_reservation(4 << 30)
        .memory_guard_size(32 << 20)
        .memory_may_move(false)
        .max_wasm_stack(512 << 10);
    config
}

fn pooling(instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES_EACH))
        .total_memories(instances)
        .total_tables(instances.saturating_mul(2))
        .max_core_instances_per_component(64)
        .max_memories_per_component(8)
        .max_tables_per_component(64)
        .max_memory_size(MAX_MEMORY)
        .table_elements(10_000);
    // Cleaning in place without PAGEMAP_SCAN would touch memory from address 0 on; and a dirty page that was swapped
    // out is not seen by PAGEMAP_SCAN, so that it would outlive its instance.
    if PoolingAllocationConfig::is_pagemap_scan_available() && !has_swap() {
        pool.pagemap_scan(Enabled::Yes)
            .linear_memory_keep_resident(KEEP_RESIDENT)
            .table_keep_resident(KEEP_RESIDENT);
    }
    pool
}

fn has_swap() -> bool {
    let Ok(info) = std::fs::read_to_string("/proc/meminfo") else { return true };
    let total = info.lines().find_map(|line| line.strip_prefix("SwapTotal:"));
    total.is_none_or(|rest| rest.trim() != "0 kB")
}
