//! Keeps the glue of a linked module. A build whose module did not change then runs neither wasm-bindgen nor `wasm-opt`, which take
//! longer than the rest together, above all where this crate is not optimised, as in the tests of users.

use crate::{
    BuildError, Profile, Tools, bindgen::Glue, cargo::Package, cargo::WASM_BINDGEN_VERSION, error::io, output::File,
    tools,
};
use realgar_wire::fingerprint;
use std::{
    fs,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

/// What makes the glue. A change of it makes all that was kept stale.
const MAKERS: [&str; 6] = [
    include_str!("kept.rs"),
    include_str!("bindgen.rs"),
    include_str!("glue.rs"),
    include_str!("optimize.rs"),
    tools::LOCK,
    WASM_BINDGEN_VERSION,
];

/// The variables of the environment that wasm-bindgen's library reads.
const SETTINGS: [&str; 3] = ["WASM_BINDGEN_EXTERNREF", "WASM_BINDGEN_ANYREF", "WASM_BINDGEN_MULTI_VALUE"];

/// The place of one bundle's glue, and what the glue must have been made of.
pub(crate) struct Kept {
    folder: PathBuf,
    /// The states of all files that the glue depends on.
    inputs: String,
}

impl Kept {
    /// For the glue of the first of `modules` that will do. The caller holds the lock of the bundle.
    pub(crate) fn new(package: &Package, profile: Profile, modules: &[PathBuf], optimizer: Option<&Tools>) -> Self {
        let program = optimizer.and_then(|tools| tools.wasm_opt.as_ref());
        let states: Vec<String> = modules.iter().chain(program).map(|path| state(path)).collect();
        let settings = SETTINGS.map(std::env::var_os);
        let inputs = format!("{:016x}\n{settings:?}\n{}", fingerprint(&MAKERS.concat()), states.join("\n"));
        Self { folder: package.own_target().join("glue").join(&package.name).join(profile.name()), inputs }
    }

    /// The kept glue, if it was made of the same inputs. Glue that is missing or damaged counts as not kept, and the caller makes it anew.
    pub(crate) fn read(&self) -> Option<Glue> {
        let read = |name: &str| fs::read(self.folder.join(name)).ok();
        let (js, wasm) = (String::from_utf8(read("worker.js")?).ok()?, read("worker.wasm")?);
        let snippets: Vec<(String, String)> = serde_json::from_slice(&read("snippets.json")?).ok()?;
        let snippets = snippets.into_iter().map(|(name, text)| File::text(&name, text)).collect();
        let glue = Glue { js, wasm, snippets, named: read("named.wasm") };
        (read("key")? == self.key(&glue).into_bytes()).then_some(glue)
    }

    /// Keeps the glue for the next build.
    pub(crate) fn write(&self, glue: &Glue) -> Result<(), BuildError> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).map_err(io("empty", &self.folder))?;
        }
        fs::create_dir_all(&self.folder).map_err(io("create", &self.folder))?;
        let put = |name: &str, content: &[u8]| {
            let path = self.folder.join(name);
            fs::write(&path, content).map_err(io("write", &path))
        };
        put("worker.js", glue.js.as_bytes())?;
        put("worker.wasm", &glue.wasm)?;
        let texts = glue.snippets.iter().map(|file| (&file.name, String::from_utf8_lossy(&file.content)));
        let snippets = serde_json::to_vec(&texts.collect::<Vec<_>>());
        put("snippets.json", &snippets.map_err(|error| io("write", &self.folder)(error.into()))?)?;
        if let Some(named) = &glue.named {
            put("named.wasm", named)?;
        }
        // Last, so that a build that was killed before has kept nothing.
        put("key", self.key(glue).as_bytes())
    }

    /// The inputs, and the lengths of what was made: after a power cut a file may be there without its content.
    fn key(&self, glue: &Glue) -> String {
        let named = glue.named.as_ref().map(Vec::len);
        format!("{}\n{} {} {named:?}\n", self.inputs, glue.js.len(), glue.wasm.len())
    }
}

/// Tells a version of a file from another one as cargo does: by the time at which it was written. The length is a second witness. A file
/// that is missing has a state too, because not every link makes a lean module.
fn state(path: &Path) -> String {
    let metadata = fs::metadata(path).ok();
    let written = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
    let written = written.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{} {:?} {:?}", path.display(), metadata.map(|metadata| metadata.len()), written)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glue(named: Option<Vec<u8>>) -> Glue {
        let snippets = vec![File::text("snippets/a/inline0.js", "export {};".into())];
        Glue { js: "export {};".into(), wasm: b"\0asm".to_vec(), snippets, named }
    }

    fn kept(name: &str, inputs: &str) -> Kept {
        let folder = std::env::temp_dir().join(format!("realgar-kept-{}-{name}", std::process::id()));
        Kept { folder, inputs: inputs.into() }
    }

    #[test]
    fn what_was_kept_is_read_back_whole() {
        let place = kept("whole", "one");
        assert!(place.read().is_none());
        place.write(&glue(Some(b"named".to_vec()))).unwrap();
        let read = place.read().unwrap();
        assert_eq!(
            (read.js.as_str(), &read.wasm[..], read.named.as_deref()),
            ("export {};", &b"\0asm"[..], Some(&b"named"[..]))
        );
        assert_eq!(
            (read.snippets[0].name.as_str(), &read.snippets[0].content[..]),
            ("snippets/a/inline0.js", &b"export {};"[..])
        );
        // The next glue has no names, and nothing is left of those before.
        place.write(&glue(None)).unwrap();
        assert!(place.read().unwrap().named.is_none());
        fs::remove_dir_all(&place.folder).unwrap();
    }

    #[test]
    fn what_was_made_of_other_inputs_or_is_damaged_is_made_anew() {
        let place = kept("stale", "one");
        place.write(&glue(None)).unwrap();
        assert!(kept("stale", "two").read().is_none());
        fs::write(place.folder.join("worker.wasm"), "").unwrap();
        assert!(place.read().is_none(), "a file without its content");
        place.write(&glue(None)).unwrap();
        assert!(place.read().is_some());
        fs::remove_file(place.folder.join("snippets.json")).unwrap();
        assert!(place.read().is_none());
        fs::remove_dir_all(&place.folder).unwrap();
    }

    #[test]
    fn a_file_that_is_written_anew_has_another_state() {
        let path = std::env::temp_dir().join(format!("realgar-kept-{}-state", std::process::id()));
        let missing = state(&path);
        fs::write(&path, "one").unwrap();
        let (first, again) = (state(&path), state(&path));
        assert_eq!(first, again);
        assert_ne!(first, missing);
        fs::File::open(&path).unwrap().set_modified(UNIX_EPOCH).unwrap();
        assert_ne!(state(&path), first);
        fs::remove_file(&path).unwrap();
    }
}
