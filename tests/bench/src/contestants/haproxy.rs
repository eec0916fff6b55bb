//! HAProxy, and what it does in Lua.

use std::fs;

use anyhow::Result;

use crate::{
    certificate::BOTH,
    contestant::{Stage, Started},
    program::{FRONT, Program, find, free_port},
    work::{KEY_SHA1, SUBJECT, Work},
};

const PROGRAMS: [&str; 3] = ["/usr/sbin/haproxy", "/usr/bin/haproxy", "/usr/local/sbin/haproxy"];

pub(super) fn start(stage: &Stage<'_>) -> Result<Option<Started>> {
    let Some(haproxy) = find(&PROGRAMS) else {
        println!("skipped: HAProxy is not installed (Debian: apt-get install haproxy)");
        return Ok(None);
    };
    let address = free_port()?;
    let lua = lua(stage.entry.work);
    if let Some(lua) = &lua {
        fs::write(stage.folder.join("bench.lua"), lua)?;
    }
    let file = stage.folder.join("haproxy.cfg");
    fs::write(&file, config(stage, &address.to_string(), lua.is_some()))?;
    let file = file.display().to_string();
    let mut program = Program::start(FRONT, haproxy, &["-q", "-db", "-f", &file])?;
    program.listens_on(address)?;
    let five = stage.entry.work == Work::Five;
    let metrics = five.then_some((address, "/bench-metrics", "requests:200 "));
    Ok(Some(Started { program, address, metrics }))
}

/// The log goes into a ring of memory: HAProxy has no buffered file, only a system call for each line.
fn config(stage: &Stage<'_>, address: &str, lua: bool) -> String {
    let folder = stage.folder.display();
    let tls = match stage.tls {
        true => format!(" ssl crt {folder}/{BOTH} alpn h2 ssl-min-ver TLSv1.3"),
        false => String::new(),
    };
    let load = if lua { format!("lua-load {folder}/bench.lua") } else { String::new() };
    let rules =
        if lua { "http-request lua.on_request\n  http-response lua.on_response" } else { "" };
    let five = if stage.entry.work == Work::Five {
        "http-request use-service lua.metrics if { path /bench-metrics }\n  \
         use_backend next if { var(txn.target) -m str next }"
    } else {
        ""
    };
    // Its own service must stand before the script that asks for a key.
    let (service, choice) = five.split_once("\n  ").unwrap_or_default();
    let [origin, next] = stage.origins;
    format!(
        "global
  nbthread 1
  maxconn 4096
  {load}
ring lines
  format rfc5424
  size 1048576
defaults
  mode http
  log ring@lines local0
  option httplog
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend web
  bind {address}{tls}
  unique-id-format %{{+X}}o%ci:%cp_%fi:%fp_%Ts_%rt:%pid
  unique-id-header x-request-id
  {service}
  {rules}
  {choice}
  default_backend origin
backend origin
  server one {origin}
backend next
  server one {next}
"
    )
}

fn lua(work: Work) -> Option<String> {
    match work {
        Work::Pass | Work::Rewrite => None,
        Work::Fields(count) => {
            let set = |call: &str| -> String {
                (0..count).map(|n| format!("  txn.http:{call}(\"x-bench-{n}\", \"1\")\n")).collect()
            };
            Some(format!(
                "local function on_request(txn)\n{}end\nlocal function on_response(txn)\n{}end\n{REGISTER}",
                set("req_set_header"),
                set("res_set_header"),
            ))
        }
        Work::Five => {
            let script = FIVE.replace("DIGEST", &KEY_SHA1.to_uppercase());
            Some(script.replace("SUBJECT", SUBJECT) + REGISTER)
        }
    }
}

const REGISTER: &str = r#"
core.register_action("on_request", { "http-req" }, on_request)
core.register_action("on_response", { "http-res" }, on_response)
"#;

/// Authenticate, choose the upstream, set fields, limit the rate, count: what the five filters do, in one script.
const FIVE: &str = r#"
local keys = { ["DIGEST"] = "SUBJECT" }
local buckets, counts = {}, {}

local function count(key, amount)
  counts[key] = (counts[key] or 0) + amount
end

local function refuse(txn, status)
  count("requests:" .. status, 1)
  txn:done(txn:reply({ status = status }))
end

local function on_request(txn)
  local key = txn.sf:req_hdr("x-api-key")
  local subject = keys[txn.c:hex(txn.c:sha1(key))]
  if not subject then return refuse(txn, 401) end
  txn.http:req_del_header("x-api-key")
  if txn.sf:req_hdr("x-canary") == "always" then txn:set_var("txn.target", "next") end
  txn.http:req_set_header("x-user", subject)
  txn.http:req_set_header("x-bench-0", "1")
  local tenant = txn.sf:req_hdr("x-tenant")
  if tenant == "" then return refuse(txn, 400) end
  local time = core.now()
  local now = time.sec + time.usec / 1000000
  local bucket = buckets[tenant]
  if not bucket then
    bucket = { level = 0, at = now }
    buckets[tenant] = bucket
  end
  bucket.level = math.max(0, bucket.level - (now - bucket.at) * 1000000) + 1
  bucket.at = now
  if bucket.level > 1000000 then return refuse(txn, 429) end
  txn:set_priv(now)
end

local function on_response(txn)
  txn.http:res_set_header("x-bench-0", "1")
  local time = core.now()
  local seconds = time.sec + time.usec / 1000000 - (txn:get_priv() or 0)
  local status = txn.sf:status()
  count("requests:" .. status, 1)
  count("seconds:" .. status, seconds)
  local bucket = seconds < 0.001 and 1 or seconds < 0.01 and 2 or seconds < 0.1 and 3 or 4
  count("bucket:" .. bucket, 1)
end

core.register_service("metrics", "http", function(applet)
  local lines = {}
  for key, value in pairs(counts) do lines[#lines + 1] = key .. " " .. value .. "\n" end
  local text = table.concat(lines)
  applet:set_status(200)
  applet:add_header("content-length", #text)
  applet:start_response()
  applet:send(text)
end)
"#;
