//! The data folders of apps. Each process has one folder, which is removed when the process ends in whatever way. In it each app
//! has a folder of its own.

use std::{
    fs::{self, DirBuilder},
    io::{self, ErrorKind},
    os::unix::{fs::DirBuilderExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// A shell script that removes the folder when its standard input ends. That is when this process ends, killed or not. The kernel
/// kills workerd at the same moment; if workerd still wrote into the folder, another try removes it.
const GUARD: &str =
    "cat >/dev/null; n=0; while [ -e \"$1\" ] && [ $n -lt 50 ]; do rm -rf \"$1\" && break; n=$((n+1)); done";

/// A folder that is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct DataFolder(PathBuf);

impl DataFolder {
    pub(crate) fn new() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = process_folder()?.join(COUNT.fetch_add(1, Ordering::Relaxed).to_string());
        make(&folder)?;
        Ok(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Makes a folder that did not exist and that only its owner can enter.
fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(folder)
}

/// The folder of this process.
fn process_folder() -> io::Result<&'static Path> {
    static FOLDER: OnceLock<(PathBuf, Child)> = OnceLock::new();
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = crate::lock(&MAKING);
    if let Some((folder, _)) = FOLDER.get() {
        return Ok(folder);
    }
    // An earlier process with the same id may have left a folder of that name.
    let mut number = 0_u32;
    let folder = loop {
        let folder = std::env::temp_dir().join(format!("realgar-test-{}-{number}", std::process::id()));
        match make(&folder) {
            Ok(()) => break folder,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    };
    // The guard gets a process group of its own, so that Ctrl-C in a terminal ends the test, but not the guard that cleans up after
    // it.
    let guard = Command::new("sh")
        .args(["-c", GUARD, "sh"])
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    Ok(&FOLDER.get_or_init(|| (folder, guard)).0)
}
