//! nginx, and what it does in Lua.

use std::{fs, path::Path};

use anyhow::Result;

use crate::{
    certificate::{CERT, KEY},
    contestant::{Stage, Started},
    program::{FRONT, Program, find, free_port},
    work::{KEY_SHA1, SUBJECT, Work},
};

const PROGRAMS: [&str; 3] = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];
/// Where Debian puts the Lua module; the kit that it needs stands beside it.
const LUA: [&str; 2] = [
    "/usr/lib/nginx/modules/ngx_http_lua_module.so",
    "/usr/local/lib/nginx/modules/ngx_http_lua_module.so",
];
const KIT: &str = "ndk_http_module.so";

pub(super) fn start(stage: &Stage<'_>) -> Result<Option<Started>> {
    let Some(nginx) = find(&PROGRAMS) else {
        println!("skipped: nginx is not installed (Debian: apt-get install nginx-light)");
        return Ok(None);
    };
    let lua = find(&LUA);
    if lua.is_none() && stage.entry.work != Work::Pass {
        println!("skipped: nginx has no Lua (Debian: apt-get install libnginx-mod-http-lua)");
        return Ok(None);
    }
    let address = free_port()?;
    let lua = lua.filter(|_| stage.entry.work != Work::Pass);
    fs::write(stage.folder.join("nginx.conf"), config(stage, &address.to_string(), lua))?;
    let folder = stage.folder.display().to_string();
    let args = ["-p", &folder, "-c", "nginx.conf", "-e", "error.log"];
    let mut program = Program::start(FRONT, nginx, &args)?;
    program.listens_on(address)?;
    let five = stage.entry.work == Work::Five;
    let metrics = five.then_some((address, "/bench-metrics", "requests:200 "));
    Ok(Some(Started { program, address, metrics }))
}

/// As a careful operator would have it, with the log that we write, too: the same fields, buffered.
fn config(stage: &Stage<'_>, address: &str, lua: Option<&Path>) -> String {
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let modules = lua.map(|lua| {
        let kit = lua.with_file_name(KIT);
        format!("load_module {};\nload_module {};\n", kit.display(), lua.display())
    });
    let (tls, listen) = match stage.tls {
        true => (
            format!(
                "ssl_certificate {CERT};\nssl_certificate_key {KEY};\nssl_protocols TLSv1.3;\n"
            ),
            " ssl http2",
        ),
        false => (String::new(), ""),
    };
    let (shared, script) = script(stage.entry.work);
    let [origin, next] = stage.origins;
    format!(
        r#"{user}{modules}daemon off;
worker_processes 1;
pid nginx.pid;
events {{ worker_connections 4096; }}
http {{
  log_format bench escape=json '{{"timestamp":"$time_iso8601","request_id":"$request_id",'
    '"client.address":"$remote_addr","url.scheme":"$scheme","network.protocol.version":"$server_protocol",'
    '"http.request.method":"$request_method","server.address":"$host","url.path":"$uri",'
    '"user_agent.original":"$http_user_agent","http.response.status_code":$status,'
    '"duration":$request_time,"http.request.body.size":$request_length,'
    '"http.response.body.size":$body_bytes_sent,"upstream":"$upstream_addr"}}';
  access_log access.log bench buffer=64k flush=1s;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  upstream origin {{ server {origin}; keepalive 64; keepalive_requests 1000000000; }}
  upstream next {{ server {next}; keepalive 64; keepalive_requests 1000000000; }}
  {shared}
  server {{
    listen {address}{listen};
    {tls}
    set $target origin;
    location /bench-metrics {{ access_log off; {METRICS} }}
    location / {{
      {script}
      proxy_pass http://{target};
      proxy_http_version 1.1;
      proxy_set_header connection "";
      proxy_set_header host $host;
      proxy_buffers 16 8k;
      proxy_max_temp_file_size 0;
    }}
  }}
}}
"#,
        modules = modules.unwrap_or_default(),
        target = if stage.entry.work == Work::Five { "$target" } else { "origin" },
        METRICS = if stage.entry.work == Work::Five { SHOW } else { "return 404;" },
    )
}

/// What stands in `http`, and what in the location.
fn script(work: Work) -> (String, String) {
    match work {
        Work::Pass => Default::default(),
        Work::Fields(count) => {
            let set = |what: &str| -> String {
                (0..count).map(|n| what.replace('N', &n.to_string())).collect()
            };
            let location = format!(
                "access_by_lua_block {{ {} }}\nheader_filter_by_lua_block {{ {} }}",
                set(r#"ngx.req.set_header("x-bench-N", "1") "#),
                set(r#"ngx.header["x-bench-N"] = "1" "#),
            );
            (String::new(), location)
        }
        Work::Five => {
            let keys = KEYS.replace("DIGEST", KEY_SHA1).replace("SUBJECT", SUBJECT);
            (keys, FIVE.to_owned())
        }
        Work::Rewrite => (String::new(), REWRITE.to_owned()),
    }
}

const KEYS: &str = r#"
  lua_shared_dict limits 8m;
  lua_shared_dict counts 1m;
  init_by_lua_block {
    local digest = ("DIGEST"):gsub("..", function(two) return string.char(tonumber(two, 16)) end)
    keys = { [digest] = "SUBJECT" }
  }
"#;

/// Authenticate, choose the upstream, set fields, limit the rate, count: what the five filters do, in one script.
const FIVE: &str = r#"
      access_by_lua_block {
        local key = ngx.var.http_x_api_key
        local subject = key and keys[ngx.sha1_bin(key)]
        if not subject then return ngx.exit(401) end
        ngx.req.clear_header("x-api-key")
        if ngx.var.http_x_canary == "always" then ngx.var.target = "next" end
        ngx.req.set_header("x-user", subject)
        ngx.req.set_header("x-bench-0", "1")
        local tenant = ngx.var.http_x_tenant
        if not tenant then return ngx.exit(400) end
        local asked = ngx.shared.limits:incr(tenant, 1, 0, 1)
        if asked > 1000000 then return ngx.exit(429) end
      }
      header_filter_by_lua_block { ngx.header["x-bench-0"] = "1" }
      log_by_lua_block {
        local counts = ngx.shared.counts
        local seconds = tonumber(ngx.var.request_time)
        counts:incr("requests:" .. ngx.status, 1, 0)
        counts:incr("seconds:" .. ngx.status, seconds, 0)
        local bucket = seconds < 0.001 and 1 or seconds < 0.01 and 2 or seconds < 0.1 and 3 or 4
        counts:incr("bucket:" .. bucket, 1, 0)
      }
"#;

const SHOW: &str = r#"content_by_lua_block {
      local lines = {}
      for _, key in ipairs(ngx.shared.counts:get_keys()) do
        lines[#lines + 1] = key .. " " .. ngx.shared.counts:get(key) .. "\n"
      end
      local text = table.concat(lines)
      ngx.header["content-length"] = #text
      ngx.print(text)
    }"#;

const REWRITE: &str = r#"
      header_filter_by_lua_block { ngx.header.content_length = nil }
      body_filter_by_lua_block { ngx.arg[1] = ngx.arg[1] and ngx.arg[1]:upper() }
"#;
