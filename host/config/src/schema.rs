//! The JSON Schema of the file, for editors and for the check of unknown keys.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::raw;

/// The JSON Schema (draft 2020-12) of a whole configuration file.
pub fn schema() -> Value {
    SCHEMA.clone()
}

/// Made once: every load looks keys up in it.
pub(crate) static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<raw::File>().to_value();
    without_null(&mut schema);
    schema
});

/// TOML has no null: a key that is optional is left out.
fn without_null(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.retain(|item| item != &serde_json::json!({ "type": "null" }));
            items.iter_mut().for_each(without_null);
        }
        Value::Object(map) => {
            if let Some(types) = map.get_mut("type").and_then(Value::as_array_mut) {
                types.retain(|t| t != "null");
                if let [single] = types.as_slice() {
                    let single = single.clone();
                    map.insert("type".into(), single);
                }
            }
            map.retain(|key, value| key != "default" || !value.is_null());
            map.values_mut().for_each(without_null);
        }
        _ => {}
    }
}
