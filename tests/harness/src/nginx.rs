//! A real nginx as an origin.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{program::Guard, until};

/// Set where nginx has to be there, so that tests that need it cannot be left out unnoticed.
const REQUIRED: &str = "EDGEWIT_REQUIRE_NGINX";

/// A running nginx that serves a folder. Dropping it ends it, by its process id.
pub struct Nginx {
    child: Option<Guard>,
    folder: TempDir,
    address: SocketAddr,
}

impl Nginx {
    /// Starts one that serves these files, with further directives for its `server` block. `None`, with a line that says so, on
    /// a machine without nginx.
    ///
    /// # Panics
    ///
    /// Without nginx where `EDGEWIT_REQUIRE_NGINX` is set.
    pub fn start(files: &[(&str, &[u8])], directives: &str) -> Option<Self> {
        let found = Self::program();
        if found.is_none() {
            assert!(
                std::env::var_os(REQUIRED).is_none(),
                "`{REQUIRED}` is set, but there is no nginx"
            );
            eprintln!("skipped: nginx is not installed (Debian: apt-get install nginx-light)");
        }
        found?;
        let folder = TempDir::new().expect("a folder can be made");
        fs::create_dir(folder.path().join("html")).expect("the folder is empty");
        for (name, content) in files {
            fs::write(folder.path().join("html").join(name), content).expect("it can be written");
        }
        let free = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = free.local_addr().expect("it is bound");
        drop(free);
        fs::write(folder.path().join("nginx.conf"), configuration(address, directives))
            .expect("a file can be written");
        let mut nginx = Self { child: None, folder, address };
        nginx.launch();
        Some(nginx)
    }

    fn program() -> Option<PathBuf> {
        ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"]
            .map(PathBuf::from)
            .into_iter()
            .find(|path| path.exists())
    }

    /// Starts it, again if need be, on the same port.
    pub fn launch(&mut self) {
        let program = Self::program().expect("it was there");
        let mut command = Command::new(program);
        command.arg("-p").arg(self.folder.path()).args(["-c", "nginx.conf", "-e", "error.log"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(Guard(child.spawn().expect("nginx can be started")));
        let log = self.folder.path().join("error.log");
        let what = || format!("nginx:\n{}", fs::read_to_string(&log).unwrap_or_default());
        crate::until_or_tell(what, || TcpStream::connect(self.address).ok());
    }

    /// Kills it: connections break off.
    pub fn kill(&mut self) {
        // The master first, which would replace a worker that is gone; a worker lives on without its master.
        let workers = self.workers();
        self.child = None;
        for worker in workers {
            let _ = kill_process(worker, Signal::KILL); // it may have ended
        }
    }

    /// Asks it to finish what it does and end, as for a rolling restart.
    pub fn quit(&mut self) {
        if let Some(mut child) = self.child.take() {
            kill_process(Pid::from_child(&child.0), Signal::QUIT).expect("the process is ours");
            until("nginx to end", || child.0.try_wait().expect("a child can be waited for"));
        }
    }

    /// Has it read its configuration anew: other workers take over.
    pub fn reload(&self) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(&child.0), Signal::HUP).expect("the process is ours");
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// For the configuration of an upstream.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn workers(&self) -> Vec<Pid> {
        let Some(child) = &self.child else { return Vec::new() };
        let id = child.0.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let children = children.unwrap_or_default();
        children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.kill();
    }
}

fn configuration(address: SocketAddr, directives: &str) -> String {
    // Its workers would be nobody, who may not read the folder.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    format!(
        "{user}daemon off;
worker_processes 1;
pid nginx.pid;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  default_type application/octet-stream;
  server {{
    listen {address};
    root html;
    {directives}
  }}
}}
"
    )
}
