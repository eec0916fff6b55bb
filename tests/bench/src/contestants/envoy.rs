//! Envoy, where its binary was given, and what it does in Lua.

use std::fs;

use anyhow::Result;

use crate::{
    contestant::{Stage, Started},
    program::{FRONT, Program, free_port},
    work::Work,
};

pub(super) fn start(stage: &Stage<'_>) -> Result<Option<Started>> {
    let Some(envoy) = stage.envoy else { return Ok(None) };
    let address = free_port()?;
    let file = stage.folder.join("envoy.yaml");
    fs::write(&file, config(stage, address.port()))?;
    let file = file.display().to_string();
    let args = ["-c", &file, "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"];
    let mut program = Program::start(FRONT, envoy, &args)?;
    program.listens_on(address)?;
    Ok(Some(Started { program, address, metrics: None }))
}

fn config(stage: &Stage<'_>, port: u16) -> String {
    let filters = match stage.entry.work {
        Work::Fields(count) => (0..count).map(lua).collect(),
        _ => String::new(),
    };
    let [origin, _] = stage.origins;
    format!(
        "static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: {folder}/access.log
          route_config:
            virtual_hosts:
            - name: bench
              domains: ['*']
              routes: [{{ match: {{ prefix: / }}, route: {{ cluster: origin }} }}]
          http_filters:
{filters}          - name: envoy.filters.http.router
            typed_config: {{ '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
  clusters:
  - name: origin
    connect_timeout: 5s
    load_assignment:
      cluster_name: origin
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {origin} }} }} }}
",
        folder = stage.folder.display(),
        origin = origin.port(),
    )
}

fn lua(n: usize) -> String {
    format!(
        "          - name: bench-{n}
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
              default_source_code:
                inline_string: |
                  function envoy_on_request(handle) handle:headers():replace('x-bench-{n}', '1') end
                  function envoy_on_response(handle) handle:headers():replace('x-bench-{n}', '1') end
"
    )
}
