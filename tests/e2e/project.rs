//! A Worker crate of a test's own, which it can edit.

use realgar_test::{App, Bundle, read_bundle};
use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

static COPIES: AtomicU32 = AtomicU32::new(0);

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// The folder of the builds that were made with the tools as they are. Those of earlier tools are removed.
fn builds() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let mut hasher = DefaultHasher::new();
        for source in [
            "framework/src",
            "framework/js",
            "macros/src",
            "names/src",
            "wire/src",
            "Cargo.toml",
            "framework/Cargo.toml",
            "macros/Cargo.toml",
            "names/Cargo.toml",
            "wire/Cargo.toml",
            "Cargo.lock",
            "rust-toolchain.toml",
        ] {
            hash_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(source), &mut hasher);
        }
        let program = fs::metadata(env!("CARGO_BIN_EXE_realgar")).unwrap();
        (program.len(), program.modified().unwrap()).hash(&mut hasher);
        let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("built");
        let own = all.join(format!("{:016x}", hasher.finish()));
        if !own.exists() && all.exists() {
            fs::remove_dir_all(&all).unwrap();
        }
        fs::create_dir_all(&own).unwrap();
        own
    })
}

/// Hashes the names and contents of all files in `path`.
fn hash_files(path: &Path, hasher: &mut DefaultHasher) {
    if !path.is_dir() {
        path.hash(hasher);
        return fs::read(path).unwrap().hash(hasher);
    }
    let mut entries: Vec<PathBuf> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries.iter().for_each(|path| hash_files(path, hasher));
}

/// The bundle of these source folders. `build` makes it, and returns its folder, unless an earlier run has made it with the same tools.
pub(crate) fn once(sources: &[&str], build: impl FnOnce() -> Result<PathBuf, String>) -> Result<Bundle, String> {
    let mut hasher = DefaultHasher::new();
    sources.iter().for_each(|source| hash_files(Path::new(source), &mut hasher));
    let built = builds().join(format!("{:016x}", hasher.finish()));
    if !built.exists() {
        // The next build replaces the folder.
        let fresh = built.with_extension(format!("{}-{}", std::process::id(), COPIES.fetch_add(1, Ordering::Relaxed)));
        copy(&build()?, &fresh);
        // Two tests may have built the same source.
        if fs::rename(&fresh, &built).is_err() {
            fs::remove_dir_all(&fresh).unwrap();
        }
    }
    Ok(read_bundle(&built).unwrap())
}

/// Removes what an earlier run left in a crate's folder, but for the folder `out`: cargo's output, where a test wants it inside.
fn empty(folder: &Path) {
    let left = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    for path in left.filter(|path| !path.ends_with("out")) {
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
    }
}

/// A crate in a workspace of its own, which shares the target folder and the locked versions of this one.
pub(crate) struct Project {
    pub(crate) folder: PathBuf,
}

impl Project {
    /// Makes the crate `name` with this source.
    pub(crate) fn new(name: &str, source: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        empty(&folder);
        fs::create_dir_all(folder.join("src")).unwrap();
        fs::create_dir_all(folder.join(".cargo")).unwrap();
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        fs::write(folder.join(".cargo/config.toml"), format!("build.target-dir = {target:?}\n")).unwrap();
        fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        fs::write(folder.join("Cargo.toml"), Self::manifest(name, "")).unwrap();
        let project = Self { folder };
        project.write(source);
        project
    }

    /// What its `Cargo.toml` says. `statements` stand in `[workspace.metadata.realgar]`.
    fn manifest(name: &str, statements: &str) -> String {
        let statements = if statements.is_empty() { "]\n".into() } else { format!(".metadata.realgar]\n{statements}") };
        format!(
            "[workspace{statements}\n[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
             [lib]\ncrate-type = [\"cdylib\"]\n\n\
             [dependencies]\nrealgar = {{ path = {:?} }}\njs-sys = \"0.3\"\nserde = {{ version = \"1\", features = [\"derive\"] }}\n",
            Path::new(env!("CARGO_MANIFEST_DIR")).join("framework")
        )
    }

    /// Replaces what the workspace says of resources that are deployed.
    pub(crate) fn state(&self, statements: &str) {
        let name = self.folder.file_name().unwrap().to_str().unwrap();
        fs::write(self.folder.join("Cargo.toml"), Self::manifest(name, statements)).unwrap();
    }

    /// Replaces the source, and builds it. (The harness builds a folder once for each process.)
    #[track_caller]
    pub(crate) fn build(&self, source: &str) -> Bundle {
        self.try_build(source).unwrap()
    }

    /// As [`Project::build`], for sources that are refused.
    pub(crate) fn try_build(&self, source: &str) -> Result<Bundle, String> {
        self.write(source);
        self.built()
    }

    /// Starts the Worker as it is.
    #[track_caller]
    pub(crate) fn start(&self) -> App {
        App::builder().bundle(self.built().unwrap()).start()
    }

    /// The Worker as it is. A source that was built in an earlier run, with the same tools, is not built again.
    pub(crate) fn built(&self) -> Result<Bundle, String> {
        let folder = self.folder.to_str().unwrap();
        once(&[folder], || {
            let output = Command::new(env!("CARGO_BIN_EXE_realgar")).args(["build", "--dev", folder]).output().unwrap();
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned());
            }
            Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
        })
    }

    /// Replaces the source.
    pub(crate) fn write(&self, source: &str) {
        fs::write(self.folder.join("src/lib.rs"), source).unwrap();
    }
}

/// A Worker without objects, with this init phase, binding the resources in `binds`.
pub(crate) fn worker(init: &str, answer: &str) -> String {
    format!(
        "use realgar::prelude::*;\n\n#[worker]\npub struct Api;\n\nimpl Worker for Api {{\n    \
         fn init(cx: &mut Init) -> Self {{\n        let _ = &cx;\n        {init}\n        Api\n    }}\n\n    \
         async fn fetch(&self, _request: Request, _cx: &Context) -> Result<Response> {{\n        \
         Ok(Response::ok({answer:?})?)\n    }}\n}}\n\nrealgar::export!(Api);\n"
    )
}
