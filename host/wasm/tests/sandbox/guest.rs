//! Components in WebAssembly text.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// When a guest does its deed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum When {
    /// In every phase that is called with a state, and in `configure` if there is a configuration.
    Asked,
    /// While it is instantiated, always.
    Started,
    /// While it is instantiated, from this time on, in milliseconds since 1970.
    StartedAfter(u64),
}

/// A filter with every phase whose deed is the function `$act` of `items`.
pub(crate) fn of_every_phase(items: &str, when: When) -> Vec<u8> {
    let start = match when {
        When::Asked => String::new(),
        When::Started => "(start $act)".to_owned(),
        When::StartedAfter(ms) => format!(
            "(func $late (if (i64.ge_u (call $wall) (i64.const {ms})) (then (call $act)))) (start $late)"
        ),
    };
    // Parameters before the state, of each phase.
    let head = "(param i32 i32 i32 i32)";
    let phases = [
        ("auth", "authenticate", head, 4),
        ("routing", "route", head, 4),
        ("request", "on-request", head, 4),
        ("request-body", "on-request-body", "(param i32 i32 i32)", 3),
        ("retry", "judge", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32)", 9),
        ("response", "on-response", "(param i32 i32 i32 i32 i32)", 5),
        ("response-body", "on-response-body", "(param i32 i32 i32)", 3),
        ("telemetry", "record", "(param i32 i32 i64 i32 i64 i64 i32 i32 i32 i32)", 10),
    ];
    let exports: String = phases
        .map(|(interface, function, before, count)| {
            let length = count + 1;
            format!(
                r#"(func (export "edgewit:filter/{interface}@0.1.0#{function}")
                    {before} (param i32 i32) (result i32)
                    (if (local.get {length}) (then (call $act)))
                    (i32.const 0))"#
            )
        })
        .concat();
    let configure = r#"(func (export "edgewit:filter/lifecycle@0.1.0#configure") (param i32 i32) (result i32)
        (if (i32.gt_u (local.get 1) (i32.const 2)) (then (call $act)))
        (i32.const 0))"#;
    // Without `lifecycle` there is no snapshot, so that every instance starts from the beginning.
    let (world, configure) = match when {
        When::Asked => ("filter", configure),
        _ => ("unconfigured", ""),
    };
    encode(world, &module(&[items, &exports, configure, &start].concat()))
}

/// A filter with the phase `request` alone; `body` is what its function does, with the state in locals 4 and 5.
pub(crate) fn of_request(items: &str, body: &str) -> Vec<u8> {
    let text = format!(
        r#"{items}
        (func (export "edgewit:filter/request@0.1.0#on-request")
            (param i32 i32 i32 i32 i32 i32) (result i32)
            {body}
            (i32.const 0))"#
    );
    encode("with-request", &module(&text))
}

/// A module around these items: imports, a memory whose first page is zero where results stand, an allocator.
fn module(items: &str) -> String {
    format!(
        r#"(module
            (import "edgewit:filter/clock@0.1.0" "monotonic-ms" (func $now (result i64)))
            (import "edgewit:filter/clock@0.1.0" "wall-ms" (func $wall (result i64)))
            (import "edgewit:filter/log@0.1.0" "write" (func $log (param i32 i32 i32)))
            (import "edgewit:filter/random@0.1.0" "bytes" (func $random (param i32 i32)))
            (import "edgewit:filter/exchange@0.1.0" "request-field" (func $field (param i32 i32 i32)))
            (import "edgewit:filter/metrics@0.1.0" "add" (func $count (param i32 i32 i32 i32 i64)))
            (import "edgewit:filter/kv@0.1.0" "set" (func $set (param i32 i32 i32 i32 i32 i64 i32)))
            (import "edgewit:filter/kv@0.1.0" "get" (func $get (param i32 i32 i32)))
            (import "edgewit:filter/rate@0.1.0" "take" (func $take (param i32 i32 i32 i32 i32 i32 i32)))
            (import "wasi:cli/stdout@0.2.6" "get-stdout" (func $stdout (result i32)))
            (import "wasi:io/streams@0.2.6" "[method]output-stream.check-write" (func $check (param i32 i32)))
            (import "wasi:io/streams@0.2.6" "[method]output-stream.write" (func $print (param i32 i32 i32 i32)))
            (memory $m (export "memory") 2)
            (data (i32.const 512) "x-long")
            (global $free (mut i32) (i32.const 1024))
            (global $deed (mut i32) (i32.const 0))
            (func $again (result i32)
                (call $take (i32.const 512) (i32.const 6) (i32.const 1) (i32.const 1000000000) (i32.const 1)
                    (i32.const 1) (i32.const 256))
                (i32.and (i32.eqz (i32.load8_u (i32.const 256))) (i32.eqz (i32.load8_u (i32.const 260)))))
            (func $allocate (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (if (i32.eq (global.get $deed) (i32.const 1)) (then (loop $more (br $more))))
                (if (i32.eq (global.get $deed) (i32.const 2)) (then (drop (call $now))))
                (if (i32.eq (global.get $deed) (i32.const 3)) (then (return (i32.const 0x7ffffff0))))
                (if (i32.eq (global.get $deed) (i32.const 4))
                    (then (return (call $allocate (local.get 0) (local.get 1) (local.get 2) (local.get 3)))))
                (local.set $at (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
                (global.set $free (i32.add (local.get $at) (local.get 3)))
                (local.get $at))
            {items}
        )"#
    )
}

/// Worlds of the contract that import standard output too, which the SDK keeps out.
const WORLDS: &str = r#"
package test:worlds;

world capable { import wasi:cli/stdout@0.2.6; include edgewit:filter/capabilities@0.1.0; }
world with-request { include capable; export edgewit:filter/request@0.1.0; }
world unconfigured {
  include with-request;
  export edgewit:filter/auth@0.1.0;
  export edgewit:filter/routing@0.1.0;
  export edgewit:filter/request-body@0.1.0;
  export edgewit:filter/retry@0.1.0;
  export edgewit:filter/response@0.1.0;
  export edgewit:filter/response-body@0.1.0;
  export edgewit:filter/telemetry@0.1.0;
}
world filter { include unconfigured; export edgewit:filter/lifecycle@0.1.0; }

package wasi:io@0.2.6 {
  interface error { resource error; }
  interface streams {
    use error.{error};
    variant stream-error { last-operation-failed(error), closed }
    resource output-stream {
      check-write: func() -> result<u64, stream-error>;
      write: func(contents: list<u8>) -> result<_, stream-error>;
    }
  }
}

package wasi:cli@0.2.6 {
  interface stdout {
    use wasi:io/streams@0.2.6.{output-stream};
    get-stdout: func() -> output-stream;
  }
}
"#;

fn encode(world: &str, text: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let wit = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    resolve.push_dir(wit).expect("the contract is valid");
    let package = resolve.push_str("worlds.wit", WORLDS).expect("the worlds are valid");
    let world = resolve.select_world(&[package], Some(world)).expect("the world is there");
    let mut module = wat::parse_str(text).expect("the text is a module");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .expect("a module takes metadata");
    let encoder = ComponentEncoder::default().module(&module).expect("the module fits the world");
    encoder.validate(true).encode().expect("the component is valid")
}
