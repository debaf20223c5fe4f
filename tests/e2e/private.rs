//! Who else on the machine can reach what a run opens: other users, and the pages of a browser.

use crate::{
    common::eventually,
    dev::Dev,
    project::{Project, worker},
};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// The addresses on loopback at which a process of ours or of its children listens.
fn listening(processes: &[u32]) -> Vec<u16> {
    let sockets: Vec<String> = processes
        .iter()
        .flat_map(|process| fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten())
        .filter_map(|fd| fs::read_link(fd.ok()?.path()).ok()?.to_str().map(String::from))
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.trim_end_matches(']').to_string()))
        .collect();
    let mut ports = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (address, state, inode) = (fields[1], fields[3], fields[9]);
            if state == "0A" && sockets.iter().any(|socket| socket == inode) {
                ports.push(u16::from_str_radix(address.rsplit(':').next().unwrap(), 16).unwrap());
            }
        }
    }
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// The processes below `root`, itself included.
fn family(root: u32) -> Vec<u32> {
    let mut family = vec![root];
    let mut index = 0;
    while let Some(parent) = family.get(index).copied() {
        index += 1;
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let own_parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse::<u32>().ok());
            if own_parent == Some(parent) && !family.contains(&id) {
                family.push(id);
            }
        }
    }
    family
}

/// What a port answers to a request as a page of a browser makes it. The status, or 0 for no answer.
fn asked(port: u16, path: &str, headers: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer)
}

/// Tries every port but those of the Workers, with all that an outsider can know.
fn nobody_gets_in(ports: &[u16], own: &[u16]) {
    let others: Vec<u16> = ports.iter().copied().filter(|port| !own.contains(port)).collect();
    assert!(!others.is_empty(), "the administration Worker and the store of R2 listen: {ports:?}");
    for port in others {
        for (path, body) in [
            ("/call?class=counter/Counter&name=ada&method=increment", "[1000]"),
            ("/migrate?database=Events", "[]"),
            ("/evict-all", ""),
            ("/", ""),
        ] {
            for headers in [
                "",
                "Origin: https://evil.example\r\n",
                "x-realgar-secret: \r\n",
                "x-realgar-secret: 0000000000000000000000000000000000000000000000000000000000000000\r\n",
                "x-realgar-bucket: photos\r\ncf-r2-request: {\"version\":1,\"method\":\"list\"}\r\n",
            ] {
                let (status, answer) = asked(port, path, headers, body);
                assert_eq!(status, 403, "{port} {path} {headers}: {answer}");
            }
        }
    }
}

fn port(url: &str) -> u16 {
    url.rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap()
}

/// Every file and folder below `folder` that somebody else than its owner may read, write or enter.
fn open_to_others(folder: &Path) -> Vec<PathBuf> {
    let mode = |path: &Path| fs::symlink_metadata(path).map(|found| found.permissions().mode()).unwrap_or(0);
    // Into a closed folder nobody else gets.
    if mode(folder) & 0o077 == 0 { Vec::new() } else { vec![folder.into()] }
}

#[test]
fn no_socket_of_dev_answers_without_the_secret_of_the_run() {
    let source = worker("cx.bind(realgar::R2Bucket::new(\"files\")); cx.bind(D1Database::new(\"Events\"));", "own");
    let project = Project::new("scratch-private", &source);
    let dev = Dev::start(&[&project.folder]);
    let url = dev.serves("api");
    nobody_gets_in(&listening(&family(dev.id())), &[port(&url)]);
    let data = project.folder.join(".realgar/dev");
    assert_eq!(open_to_others(&data), Vec::<PathBuf>::new());
    for file in ["workerd.capnp", "classes.json", "lock"] {
        let mode = fs::metadata(data.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(dev.interrupt(), Some(0));
}

/// Run by the test below in a process of its own: an app that waits to be interrupted.
#[test]
fn an_app_that_waits_for_its_end() {
    if std::env::var_os("REALGAR_TEST_WAITS").is_none() {
        return;
    }
    let source = worker("cx.bind(realgar::R2Bucket::new(\"files\"));", "waits");
    let app = Project::new("scratch-waits", &source).start();
    println!("\nserves at {}", app.url("api"));
    // Until its standard input ends, which the test never does.
    let _ = std::io::stdin().read(&mut [0]);
    std::thread::park();
}

#[test]
fn an_interrupted_test_leaves_no_folder_and_its_sockets_let_nobody_in() {
    let temp = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interrupted");
    let _ = fs::remove_dir_all(&temp);
    fs::create_dir_all(&temp).unwrap();
    // A shell that runs the tests in the background makes them ignore SIGINT, and a child inherits that. (`env` of coreutils 8.31 or newer.)
    let mut child = Command::new("env")
        .arg("--default-signal=INT")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "private::an_app_that_waits_for_its_end", "--nocapture"])
        .envs([("REALGAR_TEST_WAITS", "1"), ("TMPDIR", temp.to_str().unwrap())])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let url = lines.find_map(|line| line.strip_prefix("serves at ").map(String::from)).expect("it serves");
    nobody_gets_in(&listening(&family(child.id())), &[port(&url)]);
    let folder = |temp: &Path| fs::read_dir(temp).unwrap().next().map(|entry| entry.unwrap().path());
    let data = folder(&temp).expect("the app has a folder");
    assert_eq!(open_to_others(&data), Vec::<PathBuf>::new());
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    child.wait().unwrap();
    eventually("the folder is gone", || folder(&temp).is_none());
}
