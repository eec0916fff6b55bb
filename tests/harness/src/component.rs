//! Components written by hand, for what no compiler would make.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::cargo;

/// A component that exports what a world of the contract says, such as `with-request`, made of a core module as text.
pub fn of_wat(world: &str, wat: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(cargo::root().join("wit")).expect("the contract is valid");
    let world = resolve.select_world(&[package], Some(world)).expect("the contract has that world");
    let mut module = wat::parse_str(wat).expect("the text is a module");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .expect("a module takes metadata");
    let encoder = ComponentEncoder::default().module(&module).expect("the module fits the world");
    encoder.validate(true).encode().expect("the component is valid")
}

/// A core module as text.
pub fn module(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).expect("the text is a module")
}
