//! Rust types of the contract in `wit/`, made by wasmtime's macro.

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "filter",
    imports: { default: trappable },
});
